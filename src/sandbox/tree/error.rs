//! What can go wrong with trees.

use std::{io, path::PathBuf};

use rustix::io::Errno;

use crate::{
    error::{Explain, Kind},
    layer::{EntryPath, LayerError},
};

/// Why a tree could not be made, read or removed.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// An operation on a file failed.
    #[error("failed to {action} {path}: {source}")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// An entry of a layer that no tree can have.
    #[error("cannot unpack /{path}: it {why}")]
    Refused {
        /// The entry.
        path: EntryPath,
        /// What is wrong with it.
        why: String,
    },
    /// A path that the kernel takes only in parts.
    #[error("cannot read /{}… of {} bytes: the path is too long", start_of(path), path.as_bytes().len())]
    TooLong {
        /// The entry.
        path: EntryPath,
    },
    /// An owner that the user namespace has no id for.
    #[error("cannot give /{path} the owner {uid}:{gid}: the user namespace has no such id")]
    Unmapped {
        /// The entry.
        path: EntryPath,
        /// The owner.
        uid: u32,
        /// The group.
        gid: u32,
    },
    /// Overlayfs has not written out what changed, only where it comes from: it was mounted with the wrong options.
    #[error("cannot read the changes at {path}: overlayfs has left a mark of its own there ({mark})")]
    Reference {
        /// The file of the upper tree.
        path: PathBuf,
        /// The attribute.
        mark: String,
    },
    /// The content of a file could not be read, or the layer not be written.
    #[error(transparent)]
    Layer(#[from] LayerError),
}

/// As much of a path as tells which one it is.
fn start_of(path: &EntryPath) -> String {
    path.to_string().chars().take(64).collect()
}

impl TreeError {
    pub(super) fn io<E: Into<io::Error>>(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(E) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source: source.into() }
    }

    pub(super) fn refused(path: &EntryPath, why: impl Into<String>) -> Self {
        Self::Refused { path: path.clone(), why: why.into() }
    }
}

impl Explain for TreeError {
    fn kind(&self) -> Kind {
        match self {
            Self::Io { source, .. } => Kind::of_io(source),
            Self::Refused { .. } | Self::TooLong { .. } => Kind::Build,
            Self::Unmapped { .. } => Kind::Host,
            Self::Reference { .. } => Kind::Internal,
            Self::Layer(error) => error.kind(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Unmapped { .. } => {
                vec!["give the user a larger range of ids in /etc/subuid and /etc/subgid".into()]
            }
            Self::Io { source, .. } if source.raw_os_error() == Some(Errno::NAMETOOLONG.raw_os_error()) => {
                vec!["paths have at most 4095 bytes".into()]
            }
            Self::TooLong { .. } => {
                vec!["paths have at most 4095 bytes, that of the directory of the build included".into()]
            }
            Self::Io { source, .. } | Self::Layer(LayerError::Out(source))
                if source.kind() == io::ErrorKind::StorageFull =>
            {
                vec!["free some space, or set IMGBUILD_HOME to a directory on a larger disk".into()]
            }
            Self::Layer(error) => error.hints(),
            _ => Vec::new(),
        }
    }
}
