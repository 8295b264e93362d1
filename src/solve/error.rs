//! What goes wrong while the graph is carried out.

use std::io;

use super::place::Conflict;
use crate::{
    context::{ContextError, PatternError},
    error::{Explain, Failure, Kind},
    image::ImageError,
    layer::LayerError,
    oci::Digest,
    registry::RegistryError,
    rootfs::RootfsError,
    source::{Diagnostic, Location},
    store::StoreError,
};

/// What went wrong with a step.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The step would put two things in one place.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// A directory that an earlier step made would be replaced by something else, with all that it holds.
    #[error("{path} is a directory already")]
    IsDirectory {
        /// The path.
        path: String,
        /// What to write instead.
        instead: String,
    },
    /// A path to be removed is not there.
    #[error("{path} is not there")]
    NotThere {
        /// The path.
        path: String,
    },
    /// A user or a group that the account files do not have.
    #[error("there is no {what} {name:?} in the image")]
    NoAccount {
        /// `user` or `group`.
        what: &'static str,
        /// Its name.
        name: String,
        /// Some that there are.
        known: Vec<String>,
    },
    /// A pattern of what is left out is none.
    #[error("exclude pattern {pattern:?}: {source}")]
    Exclude {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        source: PatternError,
    },
    /// A source matched nothing.
    #[error("{pattern} matches nothing in {what}")]
    NoMatch {
        /// The source as written.
        pattern: String,
        /// The stage or image.
        what: String,
        /// What is there and has a similar name.
        similar: Option<String>,
    },
    /// An archive source matched a directory or several files.
    #[error("{pattern} is not one file")]
    NotOneFile {
        /// The source as written.
        pattern: String,
    },
    /// The archive is not the one that the digest names.
    #[error("{what} should have the digest {expected} but has {found}")]
    ArchiveDigest {
        /// The archive.
        what: String,
        /// As written.
        expected: Box<Digest>,
        /// As it is.
        found: Box<Digest>,
    },
    /// Commands cannot be run yet.
    #[error("RUN steps need the sandbox, which this version does not have yet")]
    Sandbox,
    /// A named build context that the build does not have.
    #[error("there is no build context {name:?}")]
    NoContext {
        /// Its name.
        name: String,
    },
    /// A file could not be read.
    #[error("failed to read a file's content: {0}")]
    Content(#[source] io::Error),
    /// A worker thread ended without a result: a defect.
    #[error("a worker thread failed: {0}")]
    Worker(String),
    /// A layer could not be written.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// A layer, an archive or an account file could not be read.
    #[error(transparent)]
    Rootfs(Box<RootfsError>),
    /// The build context failed.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// An image failed.
    #[error(transparent)]
    Image(Box<ImageError>),
    /// A download failed.
    #[error(transparent)]
    Registry(Box<RegistryError>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl StepError {
    pub(super) fn exclude((_, pattern, source): (usize, String, PatternError)) -> Self {
        Self::Exclude { pattern, source }
    }

    /// The error with the place in the spec that the step is written at.
    pub(super) fn at(self, location: Option<&Location>) -> Failure {
        match location {
            Some(location) => {
                let mut diagnostic =
                    Diagnostic::new(self.to_string()).at(location.clone(), "").kind(self.kind());
                for hint in self.hints() {
                    diagnostic = diagnostic.hint(hint);
                }
                diagnostic.into()
            }
            None => self.into(),
        }
    }
}
// Boxed, so that a result is not much larger for the sake of its rarest case.
impl From<RootfsError> for StepError {
    fn from(error: RootfsError) -> Self {
        Self::Rootfs(Box::new(error))
    }
}

impl From<ImageError> for StepError {
    fn from(error: ImageError) -> Self {
        Self::Image(Box::new(error))
    }
}

impl From<RegistryError> for StepError {
    fn from(error: RegistryError) -> Self {
        Self::Registry(Box::new(error))
    }
}

impl Explain for StepError {
    fn kind(&self) -> Kind {
        match self {
            Self::Conflict(_)
            | Self::IsDirectory { .. }
            | Self::NotOneFile { .. }
            | Self::NoContext { .. }
            | Self::Exclude { .. } => Kind::Input,
            Self::NotThere { .. } | Self::NoMatch { .. } | Self::NoAccount { .. } => Kind::NotFound,
            Self::ArchiveDigest { .. } => Kind::Build,
            Self::Sandbox => Kind::Host,
            Self::Content(error) => Kind::of_io(error),
            Self::Worker(_) => Kind::Internal,
            Self::Layer(error) => error.kind(),
            Self::Rootfs(error) => error.kind(),
            Self::Context(error) => error.kind(),
            Self::Image(error) => error.kind(),
            Self::Registry(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NoMatch { similar: Some(similar), .. } => vec![format!("did you mean {similar}?")],
            Self::IsDirectory { instead, .. } => vec![instead.clone()],
            Self::NotThere { .. } => vec!["set `optional: true` if it need not be there".into()],
            Self::ArchiveDigest { found, .. } => {
                vec![format!("if the archive was changed on purpose, write {}", found.hex())]
            }
            Self::NoAccount { what, known, .. } => {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                vec![format!("it has {known}; add the {what} with a `{what}` step, or give its number")]
            }
            Self::NoContext { name } => vec![format!("give it with --build-context {name}=DIR")],
            Self::Sandbox => vec!["steps other than `run` work: copy, write, unpack, user, …".into()],
            Self::Layer(error) => error.hints(),
            Self::Rootfs(error) => error.hints(),
            Self::Context(error) => error.hints(),
            Self::Image(error) => error.hints(),
            Self::Registry(error) => error.hints(),
            Self::Store(error) => error.hints(),
            _ => Vec::new(),
        }
    }
}
