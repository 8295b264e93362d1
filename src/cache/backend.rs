//! What can be done with any cache.

use std::time::Duration;

use super::{
    CacheError, Entry, Place, Result, TrustedKey, actions::Actions, bucket::Objects, directory::Directory,
    document, registry::Repo,
};
use crate::{
    oci::{Descriptor, Digest, Repository},
    registry::{Client, Patience},
    store::Store,
};

/// How long one answer may take in all. Failures that show are given up on much sooner.
const LONGEST: Duration = Duration::from_secs(120);

/// A cache, however it keeps things.
#[derive(Debug, Clone)]
pub(super) enum Backend {
    Registry(Box<Repo>),
    Directory(Directory),
    Bucket(Box<Objects>),
    Actions(Box<Actions>),
}

/// What a cache has under a key.
#[derive(Debug)]
pub(super) struct Kept {
    /// The entry's document, as it is.
    pub(super) document: Vec<u8>,
    /// The blobs that are kept as long as the document is; `None`: each must be asked for.
    pub(super) blobs: Option<Vec<Digest>>,
}

/// An entry to write.
#[derive(Debug, Clone, Copy)]
pub(super) struct New<'a> {
    pub(super) entry: &'a Entry,
    /// Its document.
    pub(super) document: &'a [u8],
    /// Where a registry may have the layer's blob already.
    pub(super) mount_from: &'a [Repository],
}

impl Backend {
    pub(super) fn new(place: &Place, registry: &Client) -> Self {
        match place {
            Place::Registry { repository, prefix } => {
                Self::Registry(Box::new(Repo::new(registry, repository.clone(), prefix.clone())))
            }
            Place::Directory { path } => Self::Directory(Directory::new(path.clone())),
            Place::Actions(service) => Self::Actions(Box::new(Actions::new(service.clone(), registry))),
            Place::Bucket(bucket) => Self::Bucket(Box::new(Objects::new((**bucket).clone(), registry))),
        }
    }

    /// The entry under this key, if the cache has one that is to be believed, and its blob.
    ///
    /// # Errors
    /// [`CacheError::Damaged`]: it has one that is not.
    pub(super) async fn get(&self, key: &Digest, trusted: &[TrustedKey]) -> Result<Option<Entry>> {
        let found = tokio::time::timeout(LONGEST, self.look_up(key, trusted)).await;
        found.unwrap_or_else(|_| {
            Err(CacheError::Late { action: format!("look for the entry {key}"), seconds: LONGEST.as_secs() })
        })
    }

    async fn look_up(&self, key: &Digest, trusted: &[TrustedKey]) -> Result<Option<Entry>> {
        let damaged = |problem| CacheError::Damaged { key: Box::new(*key), problem };
        let Some(kept) = self.kept(key).await? else { return Ok(None) };
        let Some(entry) = document::read(&kept.document, key, trusted).map_err(damaged)? else {
            return Ok(None);
        };
        let Some(layer) = &entry.layer else { return Ok(Some(entry)) };
        match kept.blobs {
            Some(blobs) if blobs.contains(&layer.descriptor.digest) => Ok(Some(entry)),
            Some(_) => Err(damaged("it names a layer that it does not keep".into())),
            // Somebody may have cleared old blobs away.
            None => Ok(self.has_blob(&layer.descriptor).await?.then_some(entry)),
        }
    }

    async fn kept(&self, key: &Digest) -> Result<Option<Kept>> {
        match self {
            Self::Registry(repo) => repo.get(key).await,
            Self::Directory(directory) => directory.get(key).await,
            Self::Bucket(objects) => objects.get(key).await,
            Self::Actions(service) => service.get(key).await,
        }
    }

    async fn has_blob(&self, blob: &Descriptor) -> Result<bool> {
        match self {
            Self::Registry(repo) => repo.has_blob(blob).await,
            Self::Directory(directory) => directory.has_blob(blob).await,
            Self::Bucket(objects) => objects.has_blob(blob).await,
            Self::Actions(service) => service.has_blob(blob).await,
        }
    }

    /// Brings a blob into the store, verified.
    pub(super) async fn fetch(&self, blob: &Descriptor, store: &Store) -> Result<()> {
        match self {
            Self::Registry(repo) => repo.fetch(blob, store).await,
            Self::Directory(directory) => directory.fetch(blob, store).await,
            Self::Bucket(objects) => objects.fetch(blob, store).await,
            Self::Actions(service) => service.fetch(blob, store).await,
        }
    }

    /// Writes the layer's blob, unless it is there, then the entry in place of what may be there.
    pub(super) async fn put(&self, new: New<'_>, store: &Store) -> Result<()> {
        match self {
            Self::Registry(repo) => repo.put(new, store).await,
            Self::Directory(directory) => directory.put(new, store).await,
            Self::Bucket(objects) => objects.put(new, store).await,
            Self::Actions(service) => service.put(new, store).await,
        }
    }

    /// The registry that it is on.
    pub(super) fn registry(&self) -> Option<&str> {
        match self {
            Self::Registry(repo) => Some(repo.host()),
            Self::Directory(_) | Self::Bucket(_) | Self::Actions(_) => None,
        }
    }
}

/// The patience for questions: a build waits for the answers, and can do without.
pub(super) fn little(patience: Patience) -> Patience {
    Patience {
        attempts: patience.attempts.min(3),
        budget: patience.budget.min(Duration::from_secs(5)),
        idle: patience.idle.min(Duration::from_secs(15)),
        ..patience
    }
}

/// The name of a key wherever it is part of a name: 64 hex digits.
pub(super) fn name_of(key: &Digest) -> String {
    match key {
        Digest::Sha256(_) => key.hex(),
        Digest::Sha512(_) => Digest::of(key.to_string().as_bytes()).hex(),
    }
}
