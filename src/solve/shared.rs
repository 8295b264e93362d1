//! What caches of other machines know of this build's steps, and what they are told of them.
//!
//! Nothing that such a cache says is written into the local store, but blobs, which are checked by their digests: whoever
//! is believed in one build is not thereby believed in the next.

use super::{
    StepError,
    key::KeyBuilder,
    layers::Piece,
    made::Made,
    run::{Run, Trust},
};
use crate::{
    cache::{Entry, Found, Part, Tar},
    graph::NodeId,
    image::remember_origin,
    layer::Layer,
    oci::Digest,
};

impl Run {
    /// Whether other machines' caches are asked or told.
    pub(super) fn shares(&self) -> bool {
        self.cache.as_ref().is_some_and(|cache| cache.reads() || cache.writes(Part::Image))
    }

    /// Whether they are told what this node left.
    pub(super) fn tells(&self, id: NodeId) -> bool {
        self.cache.as_ref().is_some_and(|cache| cache.writes(self.part_of_image(id)))
    }

    fn part_of_image(&self, id: NodeId) -> Part {
        if self.node_of(id).shipped { Part::Image } else { Part::Between }
    }

    /// What is known elsewhere of the command with this key.
    pub(super) async fn shared_command(&self, id: NodeId, key: &Digest) -> Result<Option<Tar>, StepError> {
        let Some(entry) = self.shared_entry(id, key).await? else { return Ok(None) };
        // The key of what it left follows from its tar.
        Ok(entry.tar.filter(|tar| entry.content == Made::key_of_tar(&tar.diff_id)))
    }

    /// The content key of what the step with this key, which is no command, left elsewhere.
    pub(super) async fn shared_step(&self, id: NodeId, key: &Digest) -> Result<Option<Digest>, StepError> {
        Ok(self.shared_entry(id, key).await?.map(|entry| entry.content))
    }

    async fn shared_entry(&self, id: NodeId, key: &Digest) -> Result<Option<Entry>, StepError> {
        let Some(found) = self.asked(&self.shared_key(key, self.most_layers(id))).await else {
            return Ok(None);
        };
        let content = found.entry.content;
        if found.entry.layer.is_some() {
            let Some(layer) = self.shared_layer(id, &found).await? else { return Ok(None) };
            self.believe(id, &content, vec![Piece { content, layer }]);
        } else if !found.entry.parts.is_empty() && self.node_of(id).shipped {
            let mut pieces = Vec::new();
            for part in &found.entry.parts {
                // Its parts are put together here where one is missing.
                let Some(piece) = self.shared_piece(id, part).await? else { return Ok(Some(found.entry)) };
                pieces.push(piece);
            }
            self.believe(id, &content, pieces);
        }
        Ok(Some(found.entry))
    }

    async fn asked(&self, key: &Digest) -> Option<Found> {
        self.cache.as_ref().filter(|cache| cache.reads())?.get(key).await
    }

    /// What is known elsewhere of a part of a node's layer that has this content key.
    pub(super) async fn shared_piece(
        &self,
        id: NodeId,
        content: &Digest,
    ) -> Result<Option<Piece>, StepError> {
        let Some(found) = self.asked(&self.part_key(content)).await else { return Ok(None) };
        if found.entry.content != *content {
            return Ok(None);
        }
        let layer = self.shared_layer(id, &found).await?;
        Ok(layer.map(|layer| Piece { content: *content, layer }))
    }

    /// The layer of an entry, where its blob is at hand whenever it will be needed.
    async fn shared_layer(&self, id: NodeId, found: &Found) -> Result<Option<Layer>, StepError> {
        let (Some(cache), Some(layer)) = (&self.cache, &found.entry.layer) else { return Ok(None) };
        let repository = found.repository();
        // A registry gives the blob when somebody looks into it, or links it where the image is pushed. Others cannot be
        // asked by those who send images.
        let now = self.trust == Trust::Content || (repository.is_none() && self.node_of(id).shipped);
        if now && let Err(error) = cache.fetch(&layer.descriptor).await {
            self.engine.sink.warn(format!("{}: {error}; it is made here", self.node_of(id).name));
            return Ok(None);
        }
        if let Some(repository) = repository {
            remember_origin(&self.engine.store, &layer.descriptor.digest, repository)?;
        }
        Ok(Some(layer.clone()))
    }

    /// Tells what a node left, under the key of the step.
    pub(super) fn share(
        &self,
        id: NodeId,
        key: &Digest,
        content: Digest,
        tar: Option<Tar>,
        layers: &[Piece],
    ) {
        let Some(cache) = &self.cache else { return };
        let entry = Entry {
            key: self.shared_key(key, self.most_layers(id)),
            content,
            tar,
            layer: None,
            parts: Vec::new(),
        };
        let entry = match layers {
            [] => entry,
            [Piece { layer, .. }] => Entry { layer: Some(layer.clone()), ..entry },
            parts => {
                for Piece { content, layer } in parts {
                    let (key, layer) = (self.part_key(content), Some(layer.clone()));
                    let part = Entry { key, content: *content, layer, ..entry.clone() };
                    cache.put(part, self.part_of_image(id));
                }
                Entry { parts: parts.iter().map(|part| part.content).collect(), ..entry }
            }
        };
        cache.put(entry, self.part_of_image(id));
    }

    /// The key of an entry: layers that are compressed in another way, or more of them, are others.
    fn shared_key(&self, key: &Digest, most_layers: u8) -> Digest {
        let mut shared = KeyBuilder::new(b"imgbuild entry 1");
        shared.part(key.as_bytes());
        shared.part(self.compression.id().as_bytes());
        if most_layers > 1 {
            shared.number(most_layers.into());
        }
        shared.finish()
    }

    /// The key of the entry of a part: its content is all that decides its layer.
    fn part_key(&self, content: &Digest) -> Digest {
        let mut key = KeyBuilder::new(b"imgbuild part 1");
        key.part(content.as_bytes());
        self.shared_key(&key.finish(), 1)
    }
}
