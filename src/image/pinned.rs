//! What named images consist of.

use std::fs;

use super::validate_store::descriptors;
use crate::{
    oci::{Descriptor, media_type},
    store::{Pinned, Store, StoreError},
};

/// The blobs that the named images of the store consist of, each with the image's name: indices, manifests, configs and
/// layers, whether the store has them or not. What cannot be read pins nothing.
///
/// # Errors
/// The names cannot be read.
pub fn pinned(store: &Store) -> Result<Pinned, StoreError> {
    let mut pinned = Pinned::new();
    for named in store.named_images()? {
        let mut pending = vec![named.image];
        while let Some(descriptor) = pending.pop() {
            if pinned.contains_key(&descriptor.digest) {
                continue;
            }
            pinned.insert(descriptor.digest, named.reference.clone());
            pending.extend(listed(store, &descriptor));
        }
    }
    Ok(pinned)
}

/// What a document lists.
fn listed(store: &Store, document: &Descriptor) -> Vec<Descriptor> {
    let kind = document.media_type.as_str();
    if !media_type::is_index(kind) && !media_type::is_manifest(kind) {
        return Vec::new();
    }
    // Not through the store's own reading, which marks what it reads as used.
    let bytes = fs::read(store.blob_path(&document.digest)).unwrap_or_default();
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(&bytes) else { return Vec::new() };
    let mut found = Vec::new();
    // The document itself has a media type, but no digest.
    descriptors(&value, &mut |descriptor| found.push(descriptor));
    found
}
