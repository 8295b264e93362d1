//! The second part of a node: its layers, from the cache or written now.
//!
//! A node has one layer, unless its step is to be split: then each part is a layer by itself, found and remembered by
//! its own content. Of a large tree with a changed file, all parts but one are there.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::{runtime::Handle, sync::OnceCell};

use super::{
    StepError,
    key::{KeyBuilder, layer_key},
    made::Made,
    run::{Run, blocking, lock},
};
use crate::{
    error::Failure,
    event::{Outcome, Running},
    graph::{Node, NodeId},
    layer::{self, Entry, Kind, Layer, split, write_layer},
    oci::Digest,
    recipe::StepKind,
    store::Bucket,
};

/// A layer of a node, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Piece {
    /// The content key of what is in it.
    pub(super) content: Digest,
    /// The layer.
    pub(super) layer: Layer,
}

impl Run {
    /// Tells of layers that can be sent.
    pub(super) fn tell_ready(&self, layers: &[Piece]) {
        for Piece { layer, .. } in layers {
            // A part may be in another machine's cache alone.
            if self.engine.store.has_blob(&layer.descriptor) {
                (self.ready)(&layer.descriptor, None);
            }
        }
    }

    /// How many layers a node has at the most.
    pub(super) fn most_layers(&self, id: NodeId) -> u8 {
        most_layers(self.node_of(id), self.split_copies)
    }

    /// The key of one layer whose entries have this content key.
    fn layer_key(&self, content: &Digest) -> Digest {
        let mut key = KeyBuilder::new(b"imgbuild layer 2");
        key.part(content.as_bytes());
        key.part(self.compression.id().as_bytes());
        key.finish()
    }

    /// The key of a node's layers whose entries have this content key.
    pub(super) fn layers_key(&self, id: NodeId, content: &Digest) -> Digest {
        let most = self.most_layers(id);
        if most == 1 {
            return self.layer_key(content);
        }
        let mut key = KeyBuilder::new(b"imgbuild layers 1");
        key.part(content.as_bytes());
        key.part(self.compression.id().as_bytes());
        key.number(most.into());
        key.finish()
    }

    /// The layers of a node, lowest first.
    pub(super) async fn layers(
        self: &Arc<Self>,
        id: NodeId,
        made: Arc<Made>,
        task: &Arc<Running>,
    ) -> Result<(Outcome, Vec<Piece>), Failure> {
        let content = match made.ready_content_key() {
            Some(known) => known,
            None => {
                let keyed = Arc::clone(&made);
                blocking(move || keyed.content_key()).await??
            }
        };
        let key = self.layers_key(id, &content);
        let cell = Arc::clone(lock(&self.layers).entry(key).or_default());
        let mut outcome = Outcome::Cached;
        let layers = cell
            .get_or_try_init(async || {
                if let Some(layers) = self.cached(id, &key, content)? {
                    return Ok(layers);
                }
                outcome = Outcome::Done;
                let _permit = self.limits.layers.acquire().await;
                let (run, task) = (Arc::clone(self), Arc::clone(task));
                let written = blocking(move || run.write(id, &made, &key, &task)).await?;
                written.map_err(|error| error.at(self.node_of(id)))
            })
            .await?;
        Ok((outcome, layers.clone()))
    }

    /// The layer that was written of the tar with this digest, if it can be had.
    pub(super) fn layer_of_tar(&self, diff_id: &Digest) -> Result<Option<Layer>, StepError> {
        let key = self.layer_key(&Made::key_of_tar(diff_id));
        if let Some(pieces) = lock(&self.layers).get(&key).and_then(|cell| cell.get()) {
            return Ok(pieces.first().map(|piece| piece.layer.clone()));
        }
        let layer = self.engine.store.record::<Layer>(Bucket::Layers, &key)?;
        let store = &self.engine.store;
        Ok(layer.filter(|layer| layer.diff_id == *diff_id && store.has_blob(&layer.descriptor)))
    }

    fn cached(&self, id: NodeId, key: &Digest, content: Digest) -> Result<Option<Vec<Piece>>, StepError> {
        if self.avoids_cache(id) {
            return Ok(None);
        }
        let store = &self.engine.store;
        let layers = match self.most_layers(id) {
            1 => {
                let layer = store.record::<Layer>(Bucket::Layers, key)?;
                layer.map(|layer| vec![Piece { content, layer }])
            }
            _ => store.record::<Vec<Piece>>(Bucket::Layers, key)?,
        };
        Ok(layers.filter(|pieces| pieces.iter().all(|piece| store.has_blob(&piece.layer.descriptor))))
    }

    fn write(
        self: &Arc<Self>,
        id: NodeId,
        made: &Made,
        key: &Digest,
        task: &Running,
    ) -> Result<Vec<Piece>, StepError> {
        let (content, entries) = (made.content_key()?, made.entries(self, id)?);
        if !matches!(self.node_of(id).kind, StepKind::Run(_)) {
            let known = Some((entries, content));
            let reason = self.journal.missed(id, known, self.avoids_cache(id))?;
            reason.into_iter().for_each(|reason| task.missed(reason));
        }
        task.expect(tar_size(entries));
        let most = self.most_layers(id);
        if most == 1 {
            let entries: Vec<&Entry> = entries.iter().collect();
            return Ok(vec![Piece { content, layer: self.write_one(id, None, &entries, key, task)? }]);
        }
        let (mut pieces, mut own) = (Vec::new(), true);
        for part in split(entries, most) {
            let (piece, from_here) = self.part(id, &part, task)?;
            own &= from_here;
            pieces.push(piece);
        }
        // What another machine's cache says is for this build alone.
        if own {
            self.engine.store.put_record(Bucket::Layers, key, &pieces)?;
        }
        Ok(pieces)
    }

    /// The layer of a part: one that is there already, here or in another machine's cache, or a new one. And whether it
    /// is this machine that says so.
    fn part(&self, id: NodeId, part: &layer::Part<'_>, task: &Running) -> Result<(Piece, bool), StepError> {
        let store = &self.engine.store;
        let content = layer_key(&part.entries, "").map_err(StepError::Content)?;
        let key = self.layer_key(&content);
        if !self.avoids_cache(id) {
            let layer = store.record::<Layer>(Bucket::Layers, &key)?;
            if let Some(layer) = layer.filter(|layer| store.has_blob(&layer.descriptor)) {
                return Ok((Piece { content, layer }, true));
            }
            if let Some(piece) = Handle::current().block_on(self.shared_piece(id, &content))? {
                return Ok((piece, false));
            }
        }
        let layer = self.write_one(id, Some(part.number), &part.entries, &key, task)?;
        Ok((Piece { content, layer }, true))
    }

    fn write_one(
        &self,
        id: NodeId,
        part: Option<usize>,
        entries: &[&Entry],
        key: &Digest,
        task: &Running,
    ) -> Result<Layer, StepError> {
        let (store, lineage) = (&self.engine.store, self.lineage(id, part));
        let previous =
            if self.avoids_cache(id) { None } else { store.record::<Digest>(Bucket::Lineage, &lineage)? };
        let previous: Vec<Digest> = previous.into_iter().collect();
        let options =
            layer::Options { compression: self.compression, previous: &previous, progress: Some(task) };
        let written = write_layer(store, &self.engine.pool, entries.iter().copied(), &options)?;
        store.put_record(Bucket::Layers, key, &written.layer)?;
        store.put_record(Bucket::Lineage, &lineage, &written.layer.descriptor.digest)?;
        Ok(written.layer)
    }

    /// Names the step across builds, so that its last layer can be found when its content has changed. Only a hint: the
    /// parts that are reused are known by their content.
    fn lineage(&self, id: NodeId, part: Option<usize>) -> Digest {
        let node = self.node_of(id);
        let mut key = KeyBuilder::new(b"imgbuild lineage 1");
        for context in self.contexts.values() {
            key.part(context.root().as_os_str().as_encoded_bytes());
        }
        key.part(node.stage.as_bytes());
        key.part(node.name.as_bytes());
        for platform in &node.platforms {
            key.part(platform.to_string().as_bytes());
        }
        if let Some(part) = part {
            key.number(part as u64);
        }
        key.finish()
    }

    /// Takes what another machine's cache says of a node's layers for true, in this run.
    pub(super) fn believe(&self, id: NodeId, content: &Digest, layers: Vec<Piece>) {
        let known = Arc::new(OnceCell::from(layers));
        lock(&self.layers).entry(self.layers_key(id, content)).or_insert(known);
    }
}

/// How many layers a node has at the most, where copies that do not say it have so many.
pub(super) fn most_layers(node: &Node, split_copies: u8) -> u8 {
    match &node.kind {
        StepKind::Copy(copy) => copy.split.unwrap_or(split_copies).max(1),
        _ => 1,
    }
}

/// How large the tar of these entries is, but for paths that are too long for a header.
fn tar_size(entries: &[Entry]) -> u64 {
    const BLOCK: u64 = 512;
    let sizes = entries.iter().map(|entry| match &entry.kind {
        Kind::File(content) => BLOCK + content.size().next_multiple_of(BLOCK),
        _ => BLOCK,
    });
    2 * BLOCK + sizes.sum::<u64>()
}
