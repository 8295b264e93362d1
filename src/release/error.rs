//! What goes wrong with releases.

use std::path::PathBuf;

use crate::{
    error::{Explain, Failure, Kind},
    oci::{Digest, JsonError, Reference},
};

/// The label of an image's version (image-spec `annotations.md`).
pub(super) const VERSION: &str = "org.opencontainers.image.version";

/// What went wrong with a release.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// There is no name to push to.
    #[error("there is no name to push the image to")]
    NoName,
    /// Tags mean other images for ever.
    #[error("nothing was pushed: {}", list(.0))]
    Refused(Vec<Refused>),
    /// The registry took the image and does not have it.
    #[error("{reference} was pushed and is not there; no tag was moved")]
    Incomplete {
        /// The document that is missing.
        reference: Box<Reference>,
    },
    /// A release was not finished.
    #[error("the release {id} was not finished: {cause}")]
    Unfinished {
        /// Its ID.
        id: String,
        /// Why.
        cause: Failure,
    },
    /// The journal of a release cannot be read.
    #[error("failed to read the journal {path}: {problem}")]
    Journal {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// There is no such release.
    #[error("there is no release {id} in {}", folder.display())]
    NoRelease {
        /// The ID asked for.
        id: String,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// Another process is at it.
    #[error("the release {id} is still running")]
    Running {
        /// Its ID.
        id: String,
    },
    /// A release that was undone cannot be finished, nor undone again.
    #[error("the release {id} was rolled back")]
    RolledBack {
        /// Its ID.
        id: String,
    },
    /// A later release has moved all of its tags.
    #[error("the release {id} was not finished, and a later one has moved its tags")]
    Superseded {
        /// Its ID.
        id: String,
    },
    /// Tags were moved by others since.
    #[error("left alone, since they were moved after the release {id}: {}", .tags.join(", "))]
    MovedOn {
        /// The release.
        id: String,
        /// The tags.
        tags: Vec<String>,
    },
    /// Tags that were new could not be deleted.
    #[error("the registry does not delete tags, so these are still there: {}", .0.join(", "))]
    NotDeleted(Vec<String>),
    /// A part of a set was something else before.
    #[error("the part {part} of the set {set} is {there} already, and this build gave {found}")]
    OtherPart {
        /// The part.
        part: String,
        /// The set.
        set: String,
        /// What was recorded, or is in the finished index.
        there: String,
        /// What was built.
        found: String,
    },
    /// The jobs of a set do not agree on its parts.
    #[error("the jobs of the set {set} declare different parts: this one {}, that of {part} {}", own.join(","), other.join(","))]
    OtherSet {
        /// The set.
        set: String,
        /// The part whose job declares others.
        part: String,
        /// The parts that this job declares.
        own: Vec<String>,
        /// The parts that the other job declares.
        other: Vec<String>,
    },
    /// Parts of a set have not come in time.
    #[error("the set {set} is not complete: {} of {of} parts are missing: {}", missing.len(), missing.join(", "))]
    PartsMissing {
        /// The set.
        set: String,
        /// The parts that have not come.
        missing: Vec<String>,
        /// How many there are to be.
        of: usize,
    },
    /// What was recorded of a part cannot be read.
    #[error("failed to read the record {reference} of a part: {problem}")]
    Record {
        /// The record.
        reference: Box<Reference>,
        /// What is wrong with it.
        problem: String,
    },
    /// The registry does not delete.
    #[error("{registry} does not delete {what}: {cause}")]
    NoDeletion {
        /// The registry.
        registry: String,
        /// The reference.
        what: Box<Reference>,
        /// What it said.
        cause: String,
    },
    /// Something that is not there.
    #[error("{0} is not there")]
    Absent(Box<Reference>),
    /// A document is malformed.
    #[error("failed to read {what}: {source}")]
    Document {
        /// What it is.
        what: String,
        /// What is wrong.
        source: JsonError,
    },
    /// Which version an image is cannot be told, so that neither can the one before.
    #[error(
        "which release came before {0} cannot be told: neither its tag nor its label {VERSION} is a version"
    )]
    NoVersion(String),
    /// A task ended without a result: a defect.
    #[error("a task that reads packages failed: {0}")]
    Worker(String),
    /// The image has nothing for a platform.
    #[error("{name} has no image for {platform}")]
    NoPlatform {
        /// The image.
        name: String,
        /// The platform asked for.
        platform: String,
        /// The platforms there are.
        there: Vec<String>,
    },
    /// Two images for one platform.
    #[error("there are two images for {platform}: {first} and {second}")]
    Twice {
        /// The platform.
        platform: String,
        /// One image.
        first: Box<Digest>,
        /// The other one.
        second: Box<Digest>,
    },
    /// What is to be listed is no image.
    #[error("{what} is neither an image nor an index: its media type is {media_type:?}")]
    NoImage {
        /// What it is called.
        what: String,
        /// Its media type.
        media_type: String,
    },
}

/// A tag that means another image for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The tag.
    pub reference: Reference,
    /// What it points to.
    pub is: Digest,
}

fn list(refused: &[Refused]) -> String {
    let words =
        refused.iter().map(|one| format!("{} is another image ({})", one.reference.familiar(), one.is));
    words.collect::<Vec<_>>().join(", ")
}

impl Explain for ReleaseError {
    fn kind(&self) -> Kind {
        match self {
            Self::Refused(_)
            | Self::MovedOn { .. }
            | Self::Running { .. }
            | Self::RolledBack { .. }
            | Self::Superseded { .. }
            | Self::OtherPart { .. }
            | Self::OtherSet { .. } => Kind::Conflict,
            Self::Unfinished { cause, .. } => cause.kind(),
            Self::NoRelease { .. }
            | Self::Absent(_)
            | Self::NoPlatform { .. }
            | Self::PartsMissing { .. } => Kind::NotFound,
            Self::Worker(_) => Kind::Internal,
            Self::NoName | Self::NoVersion(_) | Self::Twice { .. } | Self::NoImage { .. } => Kind::Input,
            Self::Incomplete { .. } | Self::NotDeleted(_) | Self::NoDeletion { .. } => Kind::Network,
            Self::Journal { .. } | Self::Document { .. } | Self::Record { .. } => Kind::Build,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NoName => vec!["give one with --tag, as in --tag ghcr.io/me/app:1.0".into()],
            Self::Refused(_) => vec![
                "a full version is one image for ever: release the change as a new version".into(),
                "--force overwrites it all the same".into(),
            ],
            Self::Unfinished { id, cause } => {
                let mut hints = cause.hints();
                hints.push(format!(
                    "`imgbuild release resume {id}` goes on, `imgbuild release rollback {id}` undoes what was done"
                ));
                hints
            }
            Self::NoRelease { .. } => vec!["`imgbuild release status` lists them".into()],
            Self::Running { .. } => vec!["wait for it, or end that process".into()],
            Self::Superseded { .. } => vec!["--force finishes it all the same".into()],
            Self::OtherPart { .. } => vec![
                "give each run a --set ID of its own, with the number of the attempt".into(),
                "--force replaces the part of a set that is not complete yet".into(),
            ],
            Self::OtherSet { .. } => vec!["give all jobs of a set the same --parts".into()],
            Self::PartsMissing { .. } => vec![
                "look at the jobs that build these parts; whoever comes last completes the set, also later"
                    .into(),
            ],
            Self::MovedOn { .. } => vec!["--force points these back, too".into()],
            Self::NotDeleted(_) => {
                vec!["delete them in the registry's own interface, or let it allow deleting".into()]
            }
            Self::NoDeletion { .. } => {
                vec!["delete it in the registry's own interface; some have a setting that allows this".into()]
            }
            Self::NoPlatform { there, .. } if !there.is_empty() => {
                vec![format!("it has {}", there.join(", "))]
            }
            Self::NoVersion(_) => vec!["--from names the release before".into()],
            Self::Twice { .. } => vec!["leave one of them out".into()],
            _ => Vec::new(),
        }
    }
}
