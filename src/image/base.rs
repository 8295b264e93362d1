//! The images that stages start from or copy from.

use std::path::PathBuf;

use crate::oci::{Descriptor, Digest, ImageConfig, Manifest, Repository};

/// An image of one platform: its documents, and where its layers are. A promise, not a download.
#[derive(Debug, Clone)]
pub struct Base {
    /// The name that the user knows it by.
    pub name: String,
    /// The digest of its manifest.
    pub digest: Digest,
    /// Its manifest.
    pub manifest: Manifest,
    /// Its config.
    pub config: ImageConfig,
    /// Where its layers are.
    pub origin: BlobOrigin,
}

/// Where blobs are that a build uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobOrigin {
    /// In the local store.
    Store,
    /// In a repository.
    Registry(Repository),
    /// In an OCI layout on this machine.
    Layout(PathBuf),
}

/// A layer of a base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseLayer {
    /// The blob.
    pub descriptor: Descriptor,
    /// The digest of its uncompressed tar.
    pub diff_id: Digest,
}

impl Base {
    /// Its layers, lowest first.
    pub fn layers(&self) -> Vec<BaseLayer> {
        let diff_ids = self.config.rootfs.diff_ids.iter();
        let pair = |(descriptor, diff_id): (&Descriptor, &Digest)| BaseLayer {
            descriptor: descriptor.clone(),
            diff_id: *diff_id,
        };
        self.manifest.layers.iter().zip(diff_ids).map(pair).collect()
    }
}
