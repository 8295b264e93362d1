//! Pushes: blobs and documents to every repository by digest first, tags last.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use futures_util::future::try_join_all;
use tokio::task::JoinSet;

use super::OutputError;
use crate::{
    error::Failure,
    event::{Outcome, Sink, Task},
    image::{BlobOrigin, Built, fetch, origin_of},
    oci::{Descriptor, Digest, Reference, Repository},
    registry::{Blob, Client},
    store::Store,
};

/// Sends images to registries. Layers can be sent while others are still being made: [`Pusher::begin`].
#[derive(Debug, Clone)]
pub struct Pusher {
    blobs: Blobs,
    sink: Sink,
    names: Arc<[Reference]>,
    early: Arc<Mutex<JoinSet<Result<(), Failure>>>>,
}

/// Where blobs are, and how they get elsewhere.
#[derive(Debug, Clone)]
struct Blobs {
    store: Store,
    registry: Client,
}

impl Pusher {
    /// A pusher of an image under these names.
    pub fn new(store: Store, registry: Client, sink: Sink, names: &[Reference]) -> Self {
        Self { blobs: Blobs { store, registry }, sink, names: names.into(), early: Arc::default() }
    }

    /// Begins to send a layer, which came from `origin` if it is not new, to every repository. A failure is told by
    /// [`Pusher::finish`].
    pub fn begin(&self, layer: &Descriptor, origin: Option<&BlobOrigin>) {
        let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
        for repository in self.repositories() {
            let (blobs, layer, origin) = (self.blobs.clone(), layer.clone(), origin.cloned());
            early.spawn(async move { blobs.send(&repository, &layer, origin.as_ref()).await });
        }
    }

    /// Sends what is missing of a built image, then lets its tags point to it. If anything fails, no tag was changed.
    pub async fn finish(&self, built: &Built) -> Result<(), Failure> {
        if self.names.is_empty() {
            return Err(OutputError::NoName.into());
        }
        // Which tags point to the image already? Then its registry has all of it.
        let root = built.root().digest;
        let current = try_join_all(self.names.iter().map(|name| self.blobs.registry.published(name))).await?;
        let stale: Vec<&Reference> = (self.names.iter().zip(&current))
            .filter(|(_, there)| there.as_ref().is_none_or(|there| there.digest != root))
            .map(|(name, _)| name)
            .collect();
        let mut early = std::mem::take(&mut *self.early.lock().unwrap_or_else(PoisonError::into_inner));
        // Where every tag is right already, nothing of it was needed.
        while !stale.is_empty()
            && let Some(sent) = early.join_next().await
        {
            // It was tried again for as long as it may be: no use to begin anew.
            sent.map_err(|error| OutputError::Worker(error.to_string()))??;
        }
        let repositories: BTreeSet<&Repository> = stale.iter().map(|name| &name.repository).collect();
        try_join_all(repositories.into_iter().map(|repository| self.send(repository, built))).await?;
        let bytes = self.document(&root)?;
        for name in self.names.iter() {
            if stale.contains(&name) {
                self.blobs.registry.push_manifest(name, &built.root().media_type, bytes.clone()).await?;
            } else {
                let task = self.sink.start(Task::Publish { reference: name.to_string() }, None);
                task.finish(Outcome::Exists, Some((root, built.root().size)));
            }
        }
        Ok(())
    }

    fn repositories(&self) -> BTreeSet<Repository> {
        self.names.iter().map(|name| name.repository.clone()).collect()
    }

    /// Sends everything of an image to a repository, by digest.
    async fn send(&self, to: &Repository, built: &Built) -> Result<(), Failure> {
        let mut seen = BTreeSet::new();
        let mut blobs = Vec::new();
        for image in &built.images {
            for blob in image.layers.iter().chain([&image.config]) {
                if seen.insert(blob.digest) {
                    blobs.push(self.blobs.send(to, blob, image.origins.get(&blob.digest)));
                }
            }
        }
        try_join_all(blobs).await?;
        let manifests = built.images.iter().map(|image| self.send_document(to, &image.manifest));
        try_join_all(manifests).await?;
        if let Some(index) = &built.index {
            self.send_document(to, index).await?;
        }
        Ok(())
    }

    async fn send_document(&self, to: &Repository, document: &Descriptor) -> Result<(), Failure> {
        let bytes = self.document(&document.digest)?;
        self.blobs.registry.push_manifest(&to.at(document.digest), &document.media_type, bytes).await?;
        Ok(())
    }

    fn document(&self, digest: &Digest) -> Result<Bytes, Failure> {
        let bytes = self.blobs.store.read_blob(digest)?.ok_or(OutputError::Lost { digest: *digest })?;
        Ok(bytes.into())
    }
}

impl Blobs {
    /// Sends a blob. A base's layer is fetched only if the target neither has it nor can link it.
    async fn send(
        &self,
        to: &Repository,
        descriptor: &Descriptor,
        origin: Option<&BlobOrigin>,
    ) -> Result<(), Failure> {
        let known = origin_of(&self.store, &descriptor.digest)?;
        let source = match origin {
            Some(BlobOrigin::Registry(repository)) => Some(repository.clone()),
            _ => known,
        };
        let mount_from: Vec<Repository> = source.clone().into_iter().collect();
        let blob = Blob { descriptor: descriptor.clone(), path: self.store.blob_path(&descriptor.digest) };
        match self.registry.push_blob(to, &blob, &mount_from).await {
            Err(error) if error.is_missing_file() => {}
            other => return other.map(drop).map_err(Failure::from),
        }
        let origin = match (origin, source) {
            (Some(origin), _) => origin.clone(),
            (None, Some(repository)) => BlobOrigin::Registry(repository),
            (None, None) => BlobOrigin::Store,
        };
        fetch(&self.store, &self.registry, "to push", &origin, descriptor).await?;
        self.registry.push_blob(to, &blob, &mount_from).await?;
        Ok(())
    }
}
