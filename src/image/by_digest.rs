//! The store's images by their digest, for people who have no name for one.

use std::io::Read;

use super::{
    read::{DOCUMENT_LIMIT, is_image_config},
    read_tree,
};
use crate::{
    oci::{Descriptor, Digest, Index, Manifest, media_type},
    store::{Store, StoreError},
};

/// The manifests and indices of the store whose digest begins with these hex digits; where there are none, the images
/// with a name whose ID, which is the digest of the config, begins so. One that cannot be read is none.
pub fn images_by_digest(store: &Store, hex: &str) -> Result<Vec<Descriptor>, StoreError> {
    let begins = |digest: &Digest| digest.hex().starts_with(hex);
    let digests = store.blobs()?;
    let found: Vec<_> =
        digests.iter().filter(|digest| begins(digest)).filter_map(|digest| root(store, digest)).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let named = store.named_images()?.into_iter().filter_map(|named| read_tree(store, &named.image).ok());
    let mut found: Vec<_> = named
        .flat_map(|tree| tree.images)
        .filter(|image| begins(&image.manifest.config.digest))
        .map(|image| image.descriptor)
        .collect();
    found.sort_by_key(|image| image.digest);
    found.dedup_by_key(|image| image.digest);
    Ok(found)
}

/// The blob as the root of an image, if it is one.
fn root(store: &Store, digest: &Digest) -> Option<Descriptor> {
    let mut bytes = Vec::new();
    store.open_blob(digest).ok()?.take(DOCUMENT_LIMIT).read_to_end(&mut bytes).ok()?;
    let (kind, written) = match (Manifest::parse(&bytes), Index::parse(&bytes)) {
        (Ok(manifest), _) if is_image_config(&manifest.config.media_type) => {
            (media_type::MANIFEST, manifest.media_type)
        }
        (Err(_), Ok(index)) => (media_type::INDEX, index.media_type),
        _ => return None,
    };
    Some(Descriptor::new(written.unwrap_or_else(|| kind.to_owned()), *digest, bytes.len() as u64))
}
