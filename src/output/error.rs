//! What goes wrong with outputs.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    error::{Explain, Kind},
    oci::{Digest, JsonError},
    store::{CopyError, StoreError},
};

/// What went wrong with an output.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
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
    Store(#[from] StoreError),
    /// There is a file where the layout should go, or a directory that is something else.
    #[error("{path} is there and is not an OCI layout")]
    NotALayout {
        /// The path.
        path: PathBuf,
    },
    /// The layout's index is broken.
    #[error("failed to read {path}: {source}")]
    Index {
        /// The layout's `index.json`.
        path: PathBuf,
        /// What is wrong.
        source: JsonError,
    },
    /// A Docker archive holds one platform.
    #[error("a Docker archive holds one platform, but the build is for {count}")]
    SeveralPlatforms {
        /// How many platforms there are.
        count: usize,
    },
    /// A push without a name to push to.
    #[error("there is no name to push the image to")]
    NoName,
    /// A document of an image is malformed.
    #[error("failed to read the document {digest}: {source}")]
    Document {
        /// The document.
        digest: Digest,
        /// What is wrong.
        source: JsonError,
    },
    /// A document is gone from the store.
    #[error("{digest} was in the store and is gone")]
    Lost {
        /// The document.
        digest: Digest,
    },
    /// A task ended without a result: a defect.
    #[error("a task that pushes failed: {0}")]
    Worker(String),
    /// Neither Docker nor podman can be run.
    #[error("failed to load the image: neither docker nor podman could be started")]
    NoEngine,
    /// Docker is there, or the user has said which, and it does not answer.
    #[error("failed to load the image: Docker{} does not answer: {}", of(chosen.as_deref()), said(cause))]
    Unreachable {
        /// What says which Docker: `DOCKER_HOST=tcp://…`.
        chosen: Option<String>,
        /// What it was asked, and how that ended.
        cause: Box<OutputError>,
    },
    /// Docker or podman refused.
    #[error("{engine} load failed ({status}): {output}")]
    Load {
        /// `docker` or `podman`.
        engine: &'static str,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it said.
        output: String,
    },
}

const FOR_PODMAN: &str =
    "for podman, write a file with --output type=docker,dest=FILE.tar, and `podman load` it";

fn of(chosen: Option<&str>) -> String {
    chosen.map(|chosen| format!(" ({chosen})")).unwrap_or_default()
}

/// What the client said, if it ran at all.
fn said(cause: &OutputError) -> String {
    match cause {
        OutputError::Load { output, .. } => output.clone(),
        other => other.to_string(),
    }
}

impl OutputError {
    /// The error of a blob's copy to `dest`.
    pub(super) fn copy(dest: &Path) -> impl FnOnce(CopyError) -> Self {
        move |error| match error {
            CopyError::Store(error) => Self::Store(error),
            CopyError::Out(source) => Self::io("copy a blob to", dest)(source),
        }
    }

    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

impl Explain for OutputError {
    fn kind(&self) -> Kind {
        match self {
            Self::Io { source, .. } => Kind::of_io(source),
            Self::Store(error) => error.kind(),
            Self::NotALayout { .. } | Self::Index { .. } | Self::SeveralPlatforms { .. } | Self::NoName => {
                Kind::Input
            }
            Self::Lost { .. } | Self::Document { .. } => Kind::Build,
            Self::Worker(_) => Kind::Internal,
            Self::NoEngine | Self::Unreachable { .. } => Kind::Host,
            Self::Load { .. } => Kind::Build,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Store(error) => error.hints(),
            Self::NotALayout { .. } => vec!["choose another destination, or remove what is there".into()],
            Self::SeveralPlatforms { .. } => {
                vec![
                    "choose one with --platform, or write a layout with --output type=oci,dest=FILE.tar"
                        .into(),
                ]
            }
            Self::NoEngine => vec![
                "install Docker or podman, or write a file with --output type=docker,dest=FILE.tar".into(),
            ],
            Self::Unreachable { chosen: Some(chosen), .. } => vec![
                format!(
                    "is that daemon running, and may you use it? {chosen} chooses it; unset it for another"
                ),
                FOR_PODMAN.into(),
            ],
            Self::Unreachable { chosen: None, .. } => {
                vec!["is the daemon running, and may you use it?".into(), FOR_PODMAN.into()]
            }
            Self::Load { .. } => vec!["is the daemon running, and may you use it?".into()],
            Self::NoName => vec!["give one with --tag, as in --tag ghcr.io/me/app:1.0".into()],
            Self::Lost { .. } => vec!["was IMGBUILD_HOME cleared during the build? build again".into()],
            Self::Io { .. } | Self::Index { .. } | Self::Document { .. } | Self::Worker(_) => Vec::new(),
        }
    }
}
