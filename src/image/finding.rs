//! What a check found.

use std::fmt;

use crate::oci::Digest;

/// What a check came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validation {
    /// How many blobs were read and hashed.
    pub blobs: usize,
    /// How many images, one a platform, were checked.
    pub images: usize,
    /// How many layers are not here because they are fetched only when needed.
    pub absent_layers: usize,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// With what: the name of the image and the document or layer within it.
    pub place: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// A blob is not there.
    Missing {
        /// The blob.
        digest: Digest,
    },
    /// A blob cannot be read.
    Unreadable {
        /// The blob.
        digest: Digest,
        /// Why.
        reason: String,
    },
    /// The content does not have the digest it is called by.
    Digest {
        /// What it is called.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// The content does not have the size that its descriptor says.
    Size {
        /// What the descriptor says.
        expected: u64,
        /// What it is.
        found: u64,
    },
    /// A document is not the JSON it should be.
    Malformed {
        /// Why.
        reason: String,
    },
    /// A media type does not go where it is, or not with the content.
    MediaType {
        /// What the descriptor says.
        declared: String,
        /// What it should be, or what the content is.
        found: String,
    },
    /// The uncompressed layer does not have the digest that the config says.
    DiffId {
        /// What the config says.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// A layer cannot be decompressed.
    Decompress {
        /// Why.
        reason: String,
    },
    /// The config has another number of layers than the manifest.
    LayerCount {
        /// In the config.
        config: usize,
        /// In the manifest.
        manifest: usize,
    },
    /// The history tells of another number of layers than there are.
    History {
        /// Entries that made a layer.
        entries: usize,
        /// Layers in the config.
        layers: usize,
    },
    /// The index says another platform than the config.
    Platform {
        /// In the index.
        index: String,
        /// In the config.
        config: String,
    },
    /// Two manifests of an index are for one platform.
    DuplicatePlatform {
        /// The platform.
        platform: String,
    },
    /// A document's schema version is not 2.
    SchemaVersion {
        /// What it is.
        found: u32,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { digest } => write!(f, "{digest} is missing"),
            Self::Unreadable { digest, reason } => write!(f, "{digest} cannot be read: {reason}"),
            Self::Digest { expected, found } => {
                write!(f, "should have the digest {expected} but has {found}")
            }
            Self::Size { expected, found } => write!(f, "should have {expected} bytes but has {found}"),
            Self::Malformed { reason } => f.write_str(reason),
            Self::MediaType { declared, found } => {
                write!(f, "has the media type {declared:?} but should have {found:?}")
            }
            Self::DiffId { expected, found } => {
                write!(f, "uncompressed, should have the digest {expected} but has {found}")
            }
            Self::Decompress { reason } => write!(f, "cannot be decompressed: {reason}"),
            Self::LayerCount { config, manifest } => {
                write!(f, "has {config} diff_ids for {manifest} layers of the manifest")
            }
            Self::History { entries, layers } => {
                write!(f, "tells of {entries} layers in its history but has {layers}")
            }
            Self::Platform { index, config } => write!(f, "is for {config}, but the index says {index}"),
            Self::DuplicatePlatform { platform } => write!(f, "is the second manifest for {platform}"),
            Self::SchemaVersion { found } => write!(f, "has the schema version {found} instead of 2"),
        }
    }
}
