//! What can go wrong while a layer is written.

use std::{io, path::PathBuf};

use super::EntryPath;
use crate::{
    error::{Explain, Kind},
    oci::Digest,
    store::StoreError,
};

/// Why a layer could not be written.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// A file could not be opened.
    #[error("failed to open {path}: {source}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file could not be read.
    #[error("failed to read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what it was when it was looked at.
    #[error("{path} changed while it was read")]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A file of the store is shorter than the range of it that was asked for.
    #[error("{path} ends before byte {end}")]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Where the range ends.
        end: u64,
    },
    /// A range of a file of the store is not what it was when it was put there. The file is removed by then.
    #[error(
        "{path} is damaged: the file at byte {offset} of it should have the digest {expected} but has {found}"
    )]
    Damaged {
        /// The file of the store.
        path: PathBuf,
        /// Where the range begins.
        offset: u64,
        /// The digest that the range had.
        expected: Box<Digest>,
        /// The digest that it has now.
        found: Box<Digest>,
    },
    /// A tar archive cannot say this.
    #[error("failed to write {path} into the layer: {reason}")]
    Unrepresentable {
        /// The entry.
        path: EntryPath,
        /// What cannot be said.
        reason: &'static str,
    },
    /// A compressor refused its input.
    #[error("failed to compress a layer: {0}")]
    Compress(String),
    /// The threads that a layer needs could not be started.
    #[error("failed to start a thread: {0}")]
    Thread(io::Error),
    /// A tar could not be written to where it should go.
    #[error("failed to write a tar: {0}")]
    Out(io::Error),
    /// The store failed.
    #[error(transparent)]
    Store(Box<StoreError>),
}

impl From<StoreError> for LayerError {
    fn from(error: StoreError) -> Self {
        Self::Store(Box::new(error))
    }
}

impl Explain for LayerError {
    fn kind(&self) -> Kind {
        match self {
            Self::Open { source, .. } | Self::Read { source, .. } => Kind::of_io(source),
            Self::Out(error) => Kind::of_io(error),
            Self::Changed { .. }
            | Self::Truncated { .. }
            | Self::Damaged { .. }
            | Self::Unrepresentable { .. } => Kind::Build,
            Self::Compress(_) => Kind::Internal,
            Self::Thread(_) => Kind::Host,
            Self::Store(error) => error.kind(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Open { source, .. } | Self::Read { source, .. }
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                vec!["make the file readable, or keep it out of the context with .dockerignore".into()]
            }
            Self::Changed { .. } => vec![
                "build again when nothing writes to the file, or keep it out of the context with .dockerignore"
                    .into(),
            ],
            Self::Truncated { .. } | Self::Damaged { .. } => {
                vec!["the damaged file was removed from the store; build again".into()]
            }
            Self::Store(error) => error.hints(),
            _ => Vec::new(),
        }
    }
}
