//! What can be done with any cache.

use std::time::Duration;

use futures_util::future::try_join_all;

use super::{
    CacheError, Place, Result, TrustedKey,
    actions::Actions,
    bucket::Objects,
    directory::Directory,
    document::{self, Kept},
    registry::Repo,
};
use crate::{
    layer::Layer,
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
pub(super) struct Answer {
    /// The document, as it is.
    pub(super) document: Vec<u8>,
    /// The blobs that are kept as long as the document is; `None`: each must be asked for.
    pub(super) blobs: Option<Vec<Digest>>,
}

/// Something to write.
#[derive(Debug, Clone, Copy)]
pub(super) struct New<'a> {
    pub(super) key: &'a Digest,
    /// The layers whose blobs belong to it.
    pub(super) layers: &'a [Layer],
    /// Its document.
    pub(super) document: &'a [u8],
    /// Where a registry may have the blobs already.
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

    /// What is under this key, if the cache has something that is to be believed, and its blobs.
    ///
    /// # Errors
    /// [`CacheError::Damaged`]: it has something that is not.
    pub(super) async fn get<T: Kept>(&self, key: &Digest, trusted: &[TrustedKey]) -> Result<Option<T>> {
        let found = tokio::time::timeout(LONGEST, self.look_up(key, trusted)).await;
        found.unwrap_or_else(|_| {
            Err(CacheError::Late { action: format!("look for the entry {key}"), seconds: LONGEST.as_secs() })
        })
    }

    async fn look_up<T: Kept>(&self, key: &Digest, trusted: &[TrustedKey]) -> Result<Option<T>> {
        let damaged = |problem| CacheError::Damaged { key: Box::new(*key), problem };
        let Some(found) = self.found(key).await? else { return Ok(None) };
        let Some(kept) = document::read::<T>(&found.document, key, trusted).map_err(damaged)? else {
            return Ok(None);
        };
        match found.blobs {
            Some(blobs) => {
                let here = kept.layers().iter().all(|layer| blobs.contains(&layer.descriptor.digest));
                if here {
                    Ok(Some(kept))
                } else {
                    Err(damaged("it names a layer that it does not keep".into()))
                }
            }
            // Somebody may have cleared old blobs away.
            None => {
                let asked = kept.layers().iter().map(|layer| self.has_blob(&layer.descriptor));
                let here = try_join_all(asked).await?;
                Ok(here.into_iter().all(|here| here).then_some(kept))
            }
        }
    }

    async fn found(&self, key: &Digest) -> Result<Option<Answer>> {
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

    /// Writes the layers' blobs that are not there, then the document in place of what may be there.
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
