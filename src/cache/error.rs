//! What goes wrong with caches.

use std::{io, path::PathBuf};

use super::Place;
use crate::{
    error::{Explain, Kind},
    oci::Digest,
    registry::RegistryError,
    store::{CopyError, StoreError},
};

/// What went wrong with a cache.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// A registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The local store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file failed.
    #[error("failed to {action} {path}: {source}")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A bucket, or a service that is no registry, failed.
    #[error("failed to {action}: {problem}")]
    Remote {
        /// What was tried, on what.
        action: String,
        /// Why it failed.
        problem: String,
        /// What kind of failure it is.
        kind: Kind,
    },
    /// An entry is not to be believed.
    #[error("the entry {key} is not used: {problem}")]
    Damaged {
        /// The key that was asked for.
        key: Box<Digest>,
        /// What is wrong with it.
        problem: String,
    },
    /// No cache that was asked has the blob, or has it any more.
    #[error("failed to fetch the blob {digest}: no cache has it")]
    Absent {
        /// The blob.
        digest: Box<Digest>,
    },
    /// A cache took too long.
    #[error("failed to {action}: there was no answer for {seconds} s")]
    Late {
        /// What was tried.
        action: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// Not everything was written before the time was up.
    #[error(
        "failed to write {missing} of {of} entries to the cache {place}: {seconds} s after the build was done were not enough"
    )]
    Unfinished {
        /// The cache.
        place: Box<Place>,
        /// How many entries are missing.
        missing: usize,
        /// How many there were to write.
        of: usize,
        /// How long it was waited for.
        seconds: u64,
    },
    /// A cache could not be written.
    #[error("failed to write to the cache {place}: {cause}")]
    Write {
        /// The cache.
        place: Box<Place>,
        /// Why.
        cause: Box<CacheError>,
    },
    /// A key for signatures is none.
    #[error("failed to read the key {path}: {problem}")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The program itself failed.
    #[error("failed to {action}: a worker stopped")]
    Worker {
        /// What was tried.
        action: &'static str,
    },
}

impl Explain for CacheError {
    fn kind(&self) -> Kind {
        match self {
            Self::Registry(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Io { source, .. } => Kind::of_io(source),
            Self::Remote { kind, .. } => *kind,
            Self::Damaged { .. } => Kind::Build,
            Self::Absent { .. } => Kind::NotFound,
            Self::Late { .. } | Self::Unfinished { .. } => Kind::Network,
            Self::Write { cause, .. } => cause.kind(),
            Self::Key { .. } => Kind::Input,
            Self::Worker { .. } => Kind::Internal,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Registry(error) => error.hints(),
            Self::Store(error) => error.hints(),
            Self::Write { cause, .. } => cause.hints(),
            Self::Damaged { .. } => {
                vec!["a build that writes to this cache replaces what it cannot believe".into()]
            }
            Self::Unfinished { .. } => vec!["the next build writes what is missing".into()],
            Self::Key { .. } => vec![
                "`imgbuild cache keygen FILE` makes a key and FILE.pub, the public one; so do `openssl genpkey \
                 -algorithm ed25519 -out FILE` and `openssl pkey -in FILE -pubout`"
                    .into(),
            ],
            Self::Remote { .. } | Self::Io { .. } | Self::Absent { .. } | Self::Late { .. } | Self::Worker { .. } => Vec::new(),
        }
    }
}

impl CacheError {
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    pub(super) fn copying(error: CopyError, path: impl Into<PathBuf>) -> Self {
        match error {
            CopyError::Store(error) => error.into(),
            CopyError::Out(source) => Self::io("write", path)(source),
        }
    }

    /// Whether it is about one entry or blob alone, and other questions to the same cache are worth asking.
    pub(super) fn is_single(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Absent { .. } | Self::Store(_))
    }
}
