//! What a build has made.

use std::collections::BTreeMap;

use crate::oci::{Descriptor, Digest, Platform};

use super::BlobOrigin;

/// Everything that one build has made. Documents and new layers are in the store; layers of bases may still be where
/// they came from.
#[derive(Debug, Clone)]
pub struct Built {
    /// One image a platform, in the order of the platforms asked for.
    pub images: Vec<BuiltImage>,
    /// The index of the images, where there are several platforms.
    pub index: Option<Descriptor>,
}

/// An image of one platform.
#[derive(Debug, Clone)]
pub struct BuiltImage {
    /// What it runs on.
    pub platform: Platform,
    /// Its manifest.
    pub manifest: Descriptor,
    /// Its config.
    pub config: Descriptor,
    /// Its layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// Where layers are that the store may not have.
    pub origins: BTreeMap<Digest, BlobOrigin>,
}

impl Built {
    /// What a tag points to: the index if there is one, else the only manifest.
    pub fn root(&self) -> &Descriptor {
        self.index.as_ref().unwrap_or(&self.images[0].manifest)
    }
}
