//! Deleting tags and manifests.

use std::hash::{BuildHasher, RandomState};

use super::ReleaseError;
use crate::{
    error::Failure,
    event::Sink,
    oci::{Index, Reference, media_type},
    registry::{Client, RegistryError},
};

/// The annotation that makes a manifest one of its own.
const UNTAGGED: &str = "dev.imgbuild.untagged";

/// Deletes what the reference names: a manifest with all its tags if it has a digest, else the tag alone. `false`: it was
/// not there.
///
/// # Errors
/// The registry does not delete such things ([`ReleaseError::NoDeletion`]).
pub async fn remove(registry: &Client, reference: &Reference) -> Result<bool, Failure> {
    let removed = match reference.digest {
        Some(digest) => registry.delete_manifest(&reference.repository.at(digest)).await,
        None => remove_tag(registry, reference).await,
    };
    removed.map_err(|error| match error.is_unsupported() {
        true => {
            let registry = reference.repository.registry().to_owned();
            let (what, cause) = (Box::new(reference.clone()), error.to_string());
            ReleaseError::NoDeletion { registry, what, cause }.into()
        }
        false => error.into(),
    })
}

/// Deletes a tag alone. Where a registry deletes manifests and no tags, the tag is first pointed to an index of its own,
/// which lists the same images, and that one is deleted: so no other tag loses its image, and whoever pulls meanwhile gets
/// the same. (regclient does so, with another manifest.)
pub(super) async fn remove_tag(registry: &Client, tag: &Reference) -> Result<bool, RegistryError> {
    let refused = match registry.delete_manifest(tag).await {
        Err(error) if error.is_unsupported() => error,
        other => return other,
    };
    let found = match registry.manifest(tag).await {
        Ok(found) => found,
        Err(RegistryError::NotFound { .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    let mut index = match Index::parse(&found.bytes) {
        Ok(index) if media_type::is_index(&found.descriptor.media_type) => index,
        _ => Index::new(vec![found.descriptor]),
    };
    index.media_type = Some(media_type::INDEX.to_owned());
    let chance = RandomState::new().hash_one(tag.to_string());
    index.annotations.insert(UNTAGGED.to_owned(), format!("{chance:016x}"));
    let bytes: bytes::Bytes = index.to_bytes().into();
    let quiet = registry.with(Sink::silent(), registry.patience());
    let alone = tag.repository.at(crate::oci::Digest::of(&bytes));
    // First without the tag: where nothing can be deleted, it must stay as it is.
    quiet.push_manifest(&alone, media_type::INDEX, bytes.clone()).await?;
    if let Err(error) = registry.delete_manifest(&alone).await {
        return Err(if error.is_unsupported() { refused } else { error });
    }
    quiet.push_manifest(tag, media_type::INDEX, bytes).await?;
    registry.delete_manifest(&alone).await
}
