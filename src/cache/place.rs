//! Where a cache is, as the user says it.

use std::{fmt, path::PathBuf};

use crate::oci::Repository;

/// Where a cache is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A repository of a registry: each entry is a small image under a tag of its own, `PREFIX-<64 hex digits>`.
    Registry {
        /// The repository.
        repository: Repository,
        /// What tags start with, so that the cache can share a repository with images.
        prefix: String,
    },
    /// A directory: `entries/<hex>.json` and `blobs/sha256/<hex>`.
    Directory {
        /// The directory, absolute.
        path: PathBuf,
    },
}

/// A cache that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Where it is.
    pub place: Place,
    /// Which entries it gets.
    pub mode: Mode,
    /// Whether a build is well though its entries could not be written.
    pub ignore_error: bool,
}

/// Which entries a cache gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Those of the image's own layers.
    Min,
    /// Those of all steps.
    #[default]
    Max,
}

impl Place {
    /// The prefix of tags where the user gives none.
    pub const PREFIX: &str = "cache";

    /// The longest prefix: a tag has 128 characters at the most (distribution-spec, "Pulling manifests"), and 65 of
    /// them are taken.
    pub const LONGEST_PREFIX: usize = 128 - 65;

    /// The repository that the cache's blobs are in, if it is one.
    pub fn repository(&self) -> Option<&Repository> {
        match self {
            Self::Registry { repository, .. } => Some(repository),
            Self::Directory { .. } => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry { repository, prefix } => write!(f, "{}:{prefix}-…", repository.familiar()),
            Self::Directory { path } => write!(f, "{}", path.display()),
        }
    }
}
