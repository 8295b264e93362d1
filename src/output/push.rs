//! Pushes: blobs and documents to every repository, by digest. No tag is set here: that is for when all is everywhere.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use futures_util::future::try_join_all;
use tokio::task::JoinSet;

use super::{Contents, OutputError};
use crate::{
    error::Failure,
    image::{BlobOrigin, fetch, origin_of},
    oci::{Descriptor, Digest, Reference, Repository},
    registry::{Blob, Client},
    store::Store,
};

/// Sends images to repositories. Layers can be sent while others are still being made: [`Pusher::begin`].
#[derive(Debug, Clone)]
pub struct Pusher {
    blobs: Blobs,
    repositories: Arc<BTreeSet<Repository>>,
    early: Arc<Mutex<JoinSet<Result<(), Failure>>>>,
}

/// Where blobs are, and how they get elsewhere.
#[derive(Debug, Clone)]
struct Blobs {
    store: Store,
    registry: Client,
}

impl Pusher {
    /// A pusher to the repositories of these names.
    pub fn new(store: Store, registry: Client, names: &[Reference]) -> Self {
        let repositories: BTreeSet<_> = names.iter().map(|name| name.repository.clone()).collect();
        Self { blobs: Blobs { store, registry }, repositories: repositories.into(), early: Arc::default() }
    }

    /// Begins to send a layer, which came from `origin` if it is not new, to every repository. A failure is told by
    /// [`Pusher::send`].
    pub fn begin(&self, layer: &Descriptor, origin: Option<&BlobOrigin>) {
        let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
        for repository in self.repositories.iter() {
            let (blobs, repository) = (self.blobs.clone(), repository.clone());
            let (layer, origin) = (layer.clone(), origin.cloned());
            early.spawn(async move { blobs.send(&repository, &layer, origin.as_ref()).await });
        }
    }

    /// Sends what is missing of an image to these repositories: blobs, then manifests, then indices, by digest. Where
    /// there are none, what was begun is given up.
    pub async fn send(&self, contents: &Contents, to: &BTreeSet<Repository>) -> Result<(), Failure> {
        let mut early = std::mem::take(&mut *self.early.lock().unwrap_or_else(PoisonError::into_inner));
        while !to.is_empty()
            && let Some(sent) = early.join_next().await
        {
            // It was tried again for as long as it may be: no use to begin anew.
            sent.map_err(|error| OutputError::Worker(error.to_string()))??;
        }
        try_join_all(to.iter().map(|repository| self.send_to(repository, contents))).await?;
        Ok(())
    }

    async fn send_to(&self, to: &Repository, contents: &Contents) -> Result<(), Failure> {
        let blobs =
            contents.blobs.iter().map(|blob| self.blobs.send(to, blob, contents.origins.get(&blob.digest)));
        try_join_all(blobs).await?;
        try_join_all(contents.manifests.iter().map(|manifest| self.send_document(to, manifest))).await?;
        for index in &contents.indices {
            self.send_document(to, index).await?;
        }
        Ok(())
    }

    async fn send_document(&self, to: &Repository, document: &Descriptor) -> Result<(), Failure> {
        let bytes = self.document(&document.digest)?;
        self.blobs.registry.push_manifest(&to.at(document.digest), &document.media_type, bytes).await?;
        Ok(())
    }

    /// The bytes of a document of the store.
    pub fn document(&self, digest: &Digest) -> Result<Bytes, Failure> {
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
