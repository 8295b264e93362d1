//! What caches of other machines know of this build's steps, and what they are told of them.
//!
//! Nothing that such a cache says is written into the local store, but blobs, which are checked by their digests: whoever
//! is believed in one build is not thereby believed in the next.

use std::sync::Arc;

use tokio::sync::OnceCell;

use super::{
    StepError,
    key::KeyBuilder,
    made::Made,
    run::{Run, Trust, lock},
};
use crate::{
    cache::{Entry, Part, Tar},
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
        self.cache.as_ref().is_some_and(|cache| cache.writes(self.part(id)))
    }

    fn part(&self, id: NodeId) -> Part {
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
        let Some(cache) = self.cache.as_ref().filter(|cache| cache.reads()) else { return Ok(None) };
        let Some(found) = cache.get(&self.shared_key(key)).await else { return Ok(None) };
        let (repository, entry) = (found.repository(), &found.entry);
        let Some(layer) = &entry.layer else { return Ok(Some(found.entry)) };
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
        let known = Arc::new(OnceCell::from(layer.clone()));
        lock(&self.layers).entry(self.layer_key(&entry.content)).or_insert(known);
        Ok(Some(found.entry))
    }

    /// Tells what a node left, under the key of the step.
    pub(super) fn share(
        &self,
        id: NodeId,
        key: &Digest,
        content: Digest,
        tar: Option<Tar>,
        layer: Option<&Layer>,
    ) {
        let Some(cache) = &self.cache else { return };
        let entry = Entry { key: self.shared_key(key), content, tar, layer: layer.cloned() };
        cache.put(entry, self.part(id));
    }

    /// The key of an entry: layers that are compressed in another way are others.
    fn shared_key(&self, key: &Digest) -> Digest {
        let mut shared = KeyBuilder::new(b"imgbuild entry 1");
        shared.part(key.as_bytes());
        shared.part(self.compression.id().as_bytes());
        shared.finish()
    }
}
