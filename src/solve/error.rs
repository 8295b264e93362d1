//! What goes wrong while the graph is carried out.

use std::io;

use super::{
    command::{EmulatorError, FailedCommand},
    place::Conflict,
};
use crate::{
    context::{ContextError, PatternError},
    error::{Explain, Failure, Kind},
    event::Reason,
    graph::Node,
    image::ImageError,
    layer::LayerError,
    lock::LockError,
    oci::Digest,
    recipe::{Mkdir, Rules, StepKind},
    registry::RegistryError,
    remote::RemoteError,
    rootfs::RootfsError,
    source::Diagnostic,
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
    /// Something else is where a directory must be.
    #[error("{path} is no directory")]
    NoDirectory {
        /// The path.
        path: String,
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
    /// Files of the web or of Git cannot be mounted.
    #[error("files from the web or from Git cannot be mounted")]
    Unmountable,
    /// A command failed.
    #[error(transparent)]
    Command(Box<FailedCommand>),
    /// A number that no user or group can have.
    #[error("{text} is no number of a {what}")]
    BadId {
        /// `user` or `group`.
        what: &'static str,
        /// The number as written.
        text: String,
    },
    /// A command needs a secret that the build was not given.
    #[error("the step needs the secret {id:?}, which the build was not given")]
    NoSecret {
        /// Its id.
        id: String,
        /// Those that it was given.
        known: Vec<String>,
    },
    /// A secret that is to be a variable cannot be one.
    #[error("the secret {id:?} cannot be a variable: it is not text")]
    SecretVariable {
        /// Its id.
        id: String,
    },
    /// A command needs an SSH agent that the build was not given.
    #[error("the step needs the SSH agent {id:?}, which the build was not given")]
    NoAgent {
        /// Its id.
        id: String,
    },
    /// A command asks for what the build does not allow.
    #[error("the step {what}, and the build does not allow it")]
    NotAllowed {
        /// What it does.
        what: &'static str,
        /// What would allow it.
        entitlement: &'static str,
    },
    /// A command is for another operating system.
    #[error("commands for {platform} cannot be run: there is a sandbox for Linux only")]
    ForeignSystem {
        /// The platform.
        platform: String,
    },
    /// Nothing runs a command of another platform.
    #[error(transparent)]
    Emulator(#[from] EmulatorError),
    /// A layer that was unpacked is not there any more: somebody cleared the store.
    #[error("a layer below the step has vanished from the store while the step was made ready")]
    TreeVanished,
    /// What a cache has for a record of a build is none.
    #[error("{what} cannot be read: another version of imgbuild wrote it, or it is damaged")]
    NoRecord {
        /// Which one.
        what: String,
    },
    /// What a cached step left is not there any more, though the cache said so.
    #[error("what the step {step:?} left has vanished from the cache")]
    Lost {
        /// The step in a few words.
        step: String,
    },
    /// The sandbox failed.
    #[error("{0}")]
    Other(Failure),
    /// A context could not be read from where it comes.
    #[error("failed to read the build context from {what}: {source}")]
    Fetch {
        /// Where it comes from.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A context that must be a directory or an archive is one file.
    #[error("the build context {name:?} is one file, and no archive")]
    NoArchive {
        /// Its name.
        name: String,
    },
    /// A Git repository could not be had.
    #[error(transparent)]
    Remote(Box<RemoteError>),
    /// A named build context that the build does not have.
    #[error("there is no build context {name:?}")]
    NoContext {
        /// Its name.
        name: String,
    },
    /// A step that must be in the cache is not.
    #[error("the step is not in the cache, and must be: {reason}")]
    Missed {
        /// Why it is not.
        reason: Box<Reason>,
    },
    /// A step that must be in the cache is not in the build.
    #[error("the build has no step {asked:?} that could be a miss")]
    NoStep {
        /// How the user named it.
        asked: String,
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
    /// The lock says something else, or does not have it.
    #[error(transparent)]
    Lock(Box<LockError>),
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

    /// The error of a step, with the place that is to blame.
    pub(super) fn at(self, node: &Node) -> Failure {
        let Some(step) = &node.location else { return self.into() };
        let mut diagnostic = Diagnostic::new(self.to_string()).kind(self.kind());
        diagnostic = match (&self, &node.kind) {
            (
                Self::NoAccount { .. } | Self::BadId { .. },
                StepKind::Mkdir(Mkdir { owner_from: Some(user), .. }),
            ) => diagnostic.at(user.clone(), format!("{step} makes a directory for this user")),
            (Self::NoAccount { .. } | Self::BadId { .. }, StepKind::Run(run)) => match &run.user_from {
                Some(location) => diagnostic.at(location.clone(), format!("{step} is to run as this user")),
                None => diagnostic
                    .at(step.clone(), "")
                    .hint(format!("the config of the base image says that commands run as {:?}", run.user)),
            },
            _ => diagnostic.at(step.clone(), ""),
        };
        if let Some(detail) = self.detail() {
            diagnostic = diagnostic.detail(detail);
        }
        let hints = match &self {
            Self::NoAccount { what, name, known } => vec![remedy(what, name, known, rules(&node.kind))],
            _ => self.hints(),
        };
        hints.into_iter().fold(diagnostic, Diagnostic::hint).into()
    }
}

/// Whose rules a step goes by, and so which front end it is from.
fn rules(kind: &StepKind) -> Rules {
    match kind {
        StepKind::Copy(copy) => copy.rules,
        StepKind::Mkdir(mkdir) => mkdir.rules,
        StepKind::Run(run) => run.rules,
        _ => Rules::Own,
    }
}

/// What to do about a user or a group that there is not.
fn remedy(what: &str, name: &str, known: &[String], rules: Rules) -> String {
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let make = match rules {
        Rules::Own => format!("add the {what} with a `{what}` step"),
        Rules::Docker => {
            format!("make it before: `RUN add{what} …` (Alpine, Debian) or `RUN {what}add {name}`")
        }
    };
    format!("the image has {known}; {make}, or give its number")
}

// Boxed, so that a result is not much larger for the sake of its rarest case.
impl From<RootfsError> for StepError {
    fn from(error: RootfsError) -> Self {
        Self::Rootfs(Box::new(error))
    }
}

impl From<FailedCommand> for StepError {
    fn from(error: FailedCommand) -> Self {
        Self::Command(Box::new(error))
    }
}

impl From<ImageError> for StepError {
    fn from(error: ImageError) -> Self {
        Self::Image(Box::new(error))
    }
}

impl From<RemoteError> for StepError {
    fn from(error: RemoteError) -> Self {
        Self::Remote(Box::new(error))
    }
}

impl From<LockError> for StepError {
    fn from(error: LockError) -> Self {
        Self::Lock(Box::new(error))
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
            | Self::NoDirectory { .. }
            | Self::NotOneFile { .. }
            | Self::NoContext { .. }
            | Self::BadId { .. }
            | Self::NoSecret { .. }
            | Self::SecretVariable { .. }
            | Self::NoAgent { .. }
            | Self::NotAllowed { .. }
            | Self::Unmountable
            | Self::NoArchive { .. }
            | Self::NoStep { .. }
            | Self::Exclude { .. } => Kind::Input,
            Self::NotThere { .. } | Self::NoMatch { .. } | Self::NoAccount { .. } => Kind::NotFound,
            Self::NoRecord { .. }
            | Self::ArchiveDigest { .. }
            | Self::TreeVanished
            | Self::Missed { .. }
            | Self::Lost { .. } => Kind::Build,
            Self::ForeignSystem { .. } => Kind::Host,
            Self::Command(failed) => failed.kind(),
            Self::Emulator(error) => error.kind(),
            Self::Other(failure) => failure.kind(),
            Self::Remote(error) => error.kind(),
            Self::Content(error) | Self::Fetch { source: error, .. } => Kind::of_io(error),
            Self::Worker(_) => Kind::Internal,
            Self::Layer(error) => error.kind(),
            Self::Rootfs(error) => error.kind(),
            Self::Context(error) => error.kind(),
            Self::Image(error) => error.kind(),
            Self::Registry(error) => error.kind(),
            Self::Lock(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::Command(failed) => failed.output(),
            Self::Other(failure) => failure.detail(),
            _ => None,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NoMatch { similar: Some(similar), .. } => vec![format!("did you mean {similar}?")],
            Self::IsDirectory { instead, .. } => vec![instead.clone()],
            Self::Emulator(error) => error.hints(),
            Self::NotThere { .. } => vec!["set `optional: true` if it need not be there".into()],
            Self::ArchiveDigest { found, .. } => {
                vec![format!("if the file was changed on purpose, its digest is {found} now")]
            }
            Self::NoAccount { what, name, known } => vec![remedy(what, name, known, Rules::Own)],
            Self::NoContext { name } => vec![format!("give it with --build-context {name}=DIR")],
            Self::NoSecret { id, known } => {
                let mut hints =
                    vec![format!("give it with --secret id={id},src=FILE or --secret id={id},env=NAME")];
                if !known.is_empty() {
                    hints.push(format!("the build was given {}", known.join(", ")));
                }
                hints
            }
            Self::NoAgent { id } if id == "default" => {
                vec!["give it with --ssh default, which needs SSH_AUTH_SOCK to name an agent".into()]
            }
            Self::NoAgent { id } => vec![format!("give it with --ssh {id}=SOCKET")],
            Self::NotAllowed { entitlement, .. } => vec![format!("allow it with --allow {entitlement}")],
            Self::Unmountable => vec!["add them to a stage of their own, and mount that".into()],
            Self::TreeVanished | Self::Lost { .. } => vec!["build again: the step is then run anew".into()],
            Self::Missed { .. } => vec!["`imgbuild why` tells of all that differs".into()],
            Self::NoStep { .. } => {
                vec!["write a step's number, STAGE:NUMBER, or a part of its text; steps that make no layer never miss".into()]
            }
            Self::Command(failed) => failed.hints(),
            Self::Other(failure) => failure.hints(),
            Self::Remote(error) => error.hints(),
            Self::Layer(error) => error.hints(),
            Self::Rootfs(error) => error.hints(),
            Self::Context(error) => error.hints(),
            Self::Image(error) => error.hints(),
            Self::Registry(error) => error.hints(),
            Self::Lock(error) => error.hints(),
            Self::Store(error) => error.hints(),
            _ => Vec::new(),
        }
    }
}
