//! What can go wrong in this room.

use std::{io, path::PathBuf};

use crate::{
    error::{Explain, Failure, Kind},
    oci::Digest,
    store::StoreError,
};

/// Why a tar cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The stream under it failed, or is not what its compression says.
    #[error("{0}")]
    Io(io::Error),
    /// It ends within a header or a file.
    #[error("it ends in the middle of {0}")]
    Truncated(String),
    /// A header is not one.
    #[error("the header at byte {offset} is damaged: {why}")]
    Header {
        /// Where the header is in the uncompressed tar.
        offset: u64,
        /// What is wrong with it.
        why: String,
    },
    /// An entry that no layer can hold.
    #[error("entry {path:?} {why}")]
    Entry {
        /// The entry's path as written.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// More than this program is ready to take in.
    #[error("{0}")]
    Limit(String),
}

impl From<io::Error> for TarError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated("a file or a compressed stream".into()),
            _ => Self::Io(error),
        }
    }
}

/// What went wrong with layers, archives and root file systems.
#[derive(Debug, thiserror::Error)]
pub enum RootfsError {
    /// A tar that cannot be read.
    #[error("failed to read {what}: {source}")]
    Tar {
        /// Which tar.
        what: String,
        /// Why.
        source: TarError,
    },
    /// A file that is no archive of a known kind.
    #[error("{what} is not an archive: it looks like {found}")]
    NotAnArchive {
        /// Which file.
        what: String,
        /// What its first bytes look like.
        found: String,
    },
    /// A layer whose content is not what the image's config promised.
    #[error("{what} should have the diff ID {expected} but its content has {found}")]
    DiffId {
        /// Which layer.
        what: String,
        /// The diff ID of the config.
        expected: Box<Digest>,
        /// What the content has.
        found: Box<Digest>,
    },
    /// An archive that somebody writes to while it is read.
    #[error("{what} changed while it was read")]
    Changed {
        /// Which archive.
        what: String,
    },
    /// A path that is not there.
    #[error("{path} does not exist")]
    NotFound {
        /// The path, with a slash in front.
        path: String,
    },
    /// A path that runs through, or ends at, something of the wrong kind.
    #[error("{path} is {found}, not {expected}")]
    WrongKind {
        /// The path, with a slash in front.
        path: String,
        /// What it is.
        found: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// Symbolic links that lead to each other, or too many of them.
    #[error("{path} leads through more than 255 symbolic links")]
    Loop {
        /// The path, with a slash in front.
        path: String,
    },
    /// A file that is larger than what this use of it allows.
    #[error("{path} has {size} bytes, more than the {limit} that are read of it")]
    TooLarge {
        /// The path, with a slash in front.
        path: String,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A user or a group that the image does not have.
    #[error("the image has no {what} named {name:?} in {file}")]
    UnknownName {
        /// `user` or `group`.
        what: &'static str,
        /// The name.
        name: String,
        /// `/etc/passwd` or `/etc/group`.
        file: &'static str,
    },
    /// A user, a group or an owner that is written wrongly.
    #[error("{what} {name:?} {why}")]
    BadName {
        /// `user`, `group` or `owner`.
        what: &'static str,
        /// As written.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// A user or a group that cannot be added since it contradicts what is there.
    #[error("failed to add {what} {name:?}: {why}")]
    Taken {
        /// `user` or `group`.
        what: &'static str,
        /// The name.
        name: String,
        /// What it contradicts.
        why: String,
    },
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
    /// The store failed.
    #[error(transparent)]
    Store(Box<StoreError>),
    /// A layer could not be had.
    #[error("{}", .0)]
    Layer(Failure),
}

impl From<StoreError> for RootfsError {
    fn from(error: StoreError) -> Self {
        Self::Store(Box::new(error))
    }
}

impl RootfsError {
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    pub(crate) fn tar(what: &str) -> impl FnOnce(TarError) -> Self {
        let what = what.to_owned();
        move |source| Self::Tar { what, source }
    }
}

impl Explain for RootfsError {
    fn kind(&self) -> Kind {
        match self {
            Self::Tar { source: TarError::Io(error), .. } | Self::Io { source: error, .. } => {
                Kind::of_io(error)
            }
            Self::Tar { .. } | Self::DiffId { .. } | Self::Loop { .. } | Self::TooLarge { .. } => Kind::Build,
            Self::NotAnArchive { .. } | Self::BadName { .. } => Kind::Input,
            Self::NotFound { .. } | Self::UnknownName { .. } => Kind::NotFound,
            Self::WrongKind { .. } | Self::Changed { .. } => Kind::Build,
            Self::Taken { .. } => Kind::Conflict,
            Self::Store(error) => error.kind(),
            Self::Layer(error) => error.kind(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Tar { source: TarError::Truncated(_), .. } | Self::DiffId { .. } => {
                vec!["the content was damaged on its way or on disk; try again".into()]
            }
            Self::Changed { .. } => vec!["build again when nothing writes to the file".into()],
            Self::NotAnArchive { .. } => {
                vec![
                    "archives are tar (plain, gzip, zstd, xz, bzip2) and zip; copy other files as they are"
                        .into(),
                ]
            }
            Self::UnknownName { what, .. } => {
                vec![format!("add the {what} in an earlier step, or give its number")]
            }
            Self::Store(error) => error.hints(),
            Self::Layer(error) => error.hints(),
            _ => Vec::new(),
        }
    }

    fn snippet(&self) -> Option<String> {
        match self {
            Self::Layer(error) => error.snippet(),
            _ => None,
        }
    }
}
