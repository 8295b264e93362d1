//! Where a cache is, as the user says it.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use url::Url;

use crate::{oci::Repository, registry::Secret};

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
    /// A bucket of S3: `PREFIX/entries/<hex>.json` and `PREFIX/blobs/sha256/<hex>`.
    Bucket(Box<Bucket>),
    /// The cache service of GitHub Actions.
    Actions(Service),
}

/// The cache service of GitHub Actions, version 2, as a job reaches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its URL, with a slash at the end.
    pub url: Url,
    /// The job's token.
    pub token: Secret,
    /// Part of the keys of entries: builds with different scopes do not find each other's.
    pub scope: String,
}

impl Service {
    /// The scope where the user gives none.
    pub const SCOPE: &str = "imgbuild";

    /// The longest scope: a key has 512 characters at the most, and it needs half of them.
    pub const LONGEST_SCOPE: usize = 256;
}

/// A bucket of S3, or of what speaks its protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// The region, which signatures name even where there is but one.
    pub region: String,
    /// What names of objects start with, without slashes at its ends; may be empty.
    pub prefix: String,
    /// The service's URL; `None`: AWS's for the region.
    pub endpoint: Option<Url>,
    /// Whether the bucket's name goes into the path of URLs, and not in front of the host's.
    pub path_style: bool,
    /// The values of those of [`Self::CREDENTIALS`] that are set. With none, keys are looked for where
    /// AWS's SDKs look for them.
    pub credentials: BTreeMap<&'static str, Secret>,
}

impl Bucket {
    /// The environment variables of keys. Others that AWS's SDKs know, and their files, are the registries' client's.
    pub const CREDENTIALS: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
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
            Self::Directory { .. } | Self::Bucket(_) | Self::Actions(_) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry { repository, prefix } => write!(f, "{}:{prefix}-…", repository.familiar()),
            Self::Directory { path } => write!(f, "{}", path.display()),
            Self::Actions(service) => write!(f, "GitHub Actions, {}", service.scope),
            Self::Bucket(bucket) => {
                let slash = if bucket.prefix.is_empty() { "" } else { "/" };
                write!(f, "s3://{}{slash}{}", bucket.name, bucket.prefix)
            }
        }
    }
}
