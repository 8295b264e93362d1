//! Names: which image a reference means on this machine.

use std::{fs, io, io::Write, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{Store, StoreError};
use crate::oci::{Descriptor, Digest, Reference, canonical};

/// A reference and the manifest or index that was built under it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedImage {
    /// The reference in full.
    pub reference: String,
    /// The manifest or index, a blob of the store.
    pub image: Descriptor,
}

impl Store {
    fn name_path(&self, reference: &Reference) -> PathBuf {
        let full = match reference.tag_or_latest() {
            Some(tag) => reference.repository.tagged(tag),
            None => reference.clone(),
        };
        self.root().join("names").join(format!("{}.json", Digest::of(full.to_string().as_bytes()).hex()))
    }

    /// Lets a reference mean this image from now on. The manifest or index is synced before; whoever names an image
    /// syncs its other documents ([`Store::sync_blobs`]).
    pub fn name_image(&self, reference: &Reference, image: &Descriptor) -> Result<(), StoreError> {
        if self.named_image(reference)?.as_ref() == Some(image) {
            return Ok(());
        }
        self.sync_blobs([&image.digest])?;
        let named = NamedImage { reference: reference.to_string(), image: image.clone() };
        let mut temporary = self.temporary()?;
        temporary
            .file()
            .write_all(&canonical(&named))
            .map_err(StoreError::io("write", temporary.path().to_owned()))?;
        // A name is not made again by the next build of something else: it is worth a sync.
        temporary.keep(&self.name_path(reference), true)
    }

    /// The image that a reference means here.
    pub fn named_image(&self, reference: &Reference) -> Result<Option<Descriptor>, StoreError> {
        let path = self.name_path(reference);
        match fs::read(&path) {
            Ok(bytes) => Ok(serde_json::from_slice::<NamedImage>(&bytes).ok().map(|named| named.image)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("read", path)(error)),
        }
    }

    /// All names, sorted.
    pub fn named_images(&self) -> Result<Vec<NamedImage>, StoreError> {
        let folder = self.root().join("names");
        let mut images = Vec::new();
        for entry in fs::read_dir(&folder).map_err(StoreError::io("list", &folder))? {
            let path = entry.map_err(StoreError::io("list", &folder))?.path();
            let bytes = fs::read(&path).map_err(StoreError::io("read", &path))?;
            images.extend(serde_json::from_slice::<NamedImage>(&bytes));
        }
        images.sort_by(|a, b| a.reference.cmp(&b.reference));
        Ok(images)
    }
}
