//! Everything that an image consists of, for whoever sends it somewhere.

use std::collections::{BTreeMap, BTreeSet};

use super::OutputError;
use crate::{
    error::Failure,
    image::{BlobOrigin, Built},
    oci::{Descriptor, Digest, Index, Manifest, media_type},
    store::Store,
};

/// Everything that an image consists of. The documents are in the store; blobs may still be where they came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// The document that names the image: one of the others.
    pub root: Descriptor,
    /// Configs and layers, each once.
    pub blobs: Vec<Descriptor>,
    /// Where blobs are that the store may not have.
    pub origins: BTreeMap<Digest, BlobOrigin>,
    /// The manifests: of images, and of whatever else is listed beside them.
    pub manifests: Vec<Descriptor>,
    /// The indices, each behind those that it lists.
    pub indices: Vec<Descriptor>,
}

impl Contents {
    fn of(root: &Descriptor) -> Self {
        Self {
            root: root.clone(),
            blobs: Vec::new(),
            origins: BTreeMap::new(),
            manifests: Vec::new(),
            indices: Vec::new(),
        }
    }

    /// Reads from the store what the image is that `root` points to: with all that its indices list, whatever it is.
    ///
    /// # Errors
    /// A document is not in the store, or is none.
    pub fn read(store: &Store, root: &Descriptor) -> Result<Self, Failure> {
        let mut contents = Self::of(root);
        contents.add(store, root, &mut BTreeSet::new())?;
        Ok(contents)
    }

    fn add(
        &mut self,
        store: &Store,
        document: &Descriptor,
        seen: &mut BTreeSet<Digest>,
    ) -> Result<(), Failure> {
        if !seen.insert(document.digest) {
            return Ok(());
        }
        let digest = document.digest;
        let read = || store.read_blob(&digest)?.ok_or_else(|| Failure::from(OutputError::Lost { digest }));
        let broken = |source| OutputError::Document { digest, source };
        if media_type::is_index(&document.media_type) {
            for child in Index::parse(&read()?).map_err(broken)?.manifests {
                self.add(store, &child, seen)?;
            }
            self.indices.push(document.clone());
            return Ok(());
        }
        let manifest = Manifest::parse(&read()?).map_err(broken)?;
        for blob in manifest.layers.into_iter().chain([manifest.config]) {
            // Layers that may not be handed on stay where their URLs lead to (image-spec `layer.md`).
            if seen.insert(blob.digest) && blob.urls.is_empty() {
                self.blobs.push(blob);
            }
        }
        self.manifests.push(document.clone());
        Ok(())
    }

    /// All documents.
    pub fn documents(&self) -> impl Iterator<Item = &Descriptor> {
        self.manifests.iter().chain(&self.indices)
    }
}

impl From<&Built> for Contents {
    fn from(built: &Built) -> Self {
        let mut contents = Self::of(built.root());
        let mut seen = BTreeSet::new();
        for image in &built.images {
            let blobs = image.layers.iter().chain([&image.config]);
            contents.blobs.extend(blobs.filter(|blob| seen.insert(blob.digest)).cloned());
            contents.origins.extend(image.origins.clone());
            if seen.insert(image.manifest.digest) {
                contents.manifests.push(image.manifest.clone());
            }
        }
        contents.indices.extend(built.index.clone());
        contents
    }
}
