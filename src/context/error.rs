//! What can be wrong with a context.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::PatternError;
use crate::{
    error::{Explain, Kind},
    store::StoreError,
};

/// What went wrong with a directory as an input.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
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
    /// The context's root is no directory.
    #[error("the build context {path} is not a directory")]
    NotADirectory {
        /// The root as given.
        path: PathBuf,
    },
    /// A line of an ignore file, or a pattern of a list, is none.
    #[error("{}: pattern {pattern:?} has {error}", place(.file.as_ref(), *.line))]
    Pattern {
        /// The ignore file, if it is from one.
        file: Option<PathBuf>,
        /// The line, or the number in the list, from 1.
        line: usize,
        /// The pattern as written.
        pattern: String,
        /// What is wrong.
        error: PatternError,
    },
    /// A source is no pattern.
    #[error("source {written:?} has {error}")]
    Glob {
        /// The source as written.
        written: String,
        /// What is wrong.
        error: PatternError,
    },
    /// A source leads out of the context.
    #[error("source {written:?} is outside of the build context{}", called(.root))]
    Outside {
        /// The source as written.
        written: String,
        /// The context; empty if it is one that was fetched, whose place says nothing to people.
        root: PathBuf,
    },
    /// A source matches nothing.
    #[error("source {written:?} matches nothing in the build context{}", called(.root))]
    Missing {
        /// The source as written.
        written: String,
        /// The context; empty if it is one that was fetched, whose place says nothing to people.
        root: PathBuf,
        /// A path that is there and looks alike.
        similar: Option<String>,
    },
    /// A source is there, but ignored.
    #[error("source {written:?} is excluded from the build context by {rule:?} ({})", place(.file.as_ref(), *.line))]
    Ignored {
        /// The source as written.
        written: String,
        /// The pattern that excludes it.
        rule: String,
        /// The ignore file.
        file: Option<PathBuf>,
        /// The line in it.
        line: usize,
    },
    /// A source is, or goes through, a symbolic link to nothing in the context.
    #[error(
        "source {written:?} goes through the symbolic link {link}, which leads to nothing inside the build context{}",
        called(.root)
    )]
    Dangling {
        /// The source as written.
        written: String,
        /// The link.
        link: String,
        /// The context; empty if it is one that was fetched, whose place says nothing to people.
        root: PathBuf,
    },
    /// A source is a socket, which no layer can hold.
    #[error("source {written:?} is a socket, which an image cannot hold")]
    Socket {
        /// The source as written.
        written: String,
    },
    /// A file was written to during the build.
    #[error("{path} changed while it was read")]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The store failed.
    #[error(transparent)]
    Store(Box<StoreError>),
}

impl From<StoreError> for ContextError {
    fn from(error: StoreError) -> Self {
        Self::Store(Box::new(error))
    }
}

fn called(root: &Path) -> String {
    if root.as_os_str().is_empty() { String::new() } else { format!(" {}", root.display()) }
}

fn place(file: Option<&PathBuf>, line: usize) -> String {
    match file {
        Some(file) => format!("{}:{line}", file.display()),
        None => format!("pattern {line}"),
    }
}

impl Explain for ContextError {
    fn kind(&self) -> Kind {
        match self {
            Self::Io { source, .. } => Kind::of_io(source),
            Self::NotADirectory { .. } | Self::Pattern { .. } | Self::Glob { .. } => Kind::Input,
            Self::Outside { .. } | Self::Ignored { .. } | Self::Socket { .. } => Kind::Input,
            Self::Missing { .. } | Self::Dangling { .. } => Kind::NotFound,
            Self::Changed { .. } => Kind::Build,
            Self::Store(error) => error.kind(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Missing { similar: Some(similar), .. } => vec![format!("did you mean {similar:?}?")],
            Self::Outside { .. } => {
                vec![
                    "build with a directory above as the context, or give that one a name, --build-context NAME=DIR, \
                     and copy from NAME"
                        .into(),
                ]
            }
            Self::Ignored { .. } => {
                vec!["remove that pattern, or add one with a `!` in front below it".into()]
            }
            Self::Dangling { .. } => {
                vec![
                    "links are followed inside the context only; an absolute target begins at its root"
                        .into(),
                ]
            }
            Self::Changed { .. } => vec!["let whatever writes to it finish, or ignore the file".into()],
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                vec!["make it readable, or exclude it in the ignore file".into()]
            }
            Self::Store(error) => error.hints(),
            _ => Vec::new(),
        }
    }
}
