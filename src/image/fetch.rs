//! Fetching the layers of bases: only those that a step must read, or an output must write.

use std::io;

use super::{Base, BaseLayer, BlobOrigin, BlobSource, ImageError, Layout, LayoutError};
use crate::{
    oci::{Descriptor, Digest, Repository},
    registry::Client,
    store::{Bucket, Store},
};

/// Brings a base's layer into the store, if it is not there yet.
pub async fn fetch_layer(
    store: &Store,
    registry: &Client,
    base: &Base,
    layer: &BaseLayer,
) -> Result<(), ImageError> {
    fetch(store, registry, &base.name, &base.origin, &layer.descriptor).await
}

/// Brings a blob of an image into the store, if it is not there yet.
pub async fn fetch(
    store: &Store,
    registry: &Client,
    name: &str,
    origin: &BlobOrigin,
    blob: &Descriptor,
) -> Result<(), ImageError> {
    if store.has_blob(blob) {
        return Ok(());
    }
    match origin {
        BlobOrigin::Registry(repository) => Ok(registry.fetch_blob(repository, blob, store).await?),
        BlobOrigin::Layout(path) => {
            let failed = |cause| ImageError::Source { name: name.to_owned(), cause };
            let layout = Layout::open(path)?;
            let missing = || ImageError::Blob { name: name.to_owned(), digest: Box::new(blob.digest) };
            let mut file = layout.open(blob).map_err(failed)?.ok_or_else(missing)?;
            let mut writer = store.blob_writer()?.expecting(&blob.digest);
            let io = |source| LayoutError::Io { path: path.clone(), source };
            io::copy(&mut file, &mut writer).map_err(io)?;
            Ok(writer.finish_as(blob, &format!("blob {} of {}", blob.digest, path.display()))?)
        }
        // An image of the store may stand on a registry's layers, which the store never had.
        BlobOrigin::Store => match origin_of(store, &blob.digest)? {
            Some(repository) => Ok(registry.fetch_blob(&repository, blob, store).await?),
            None => Err(ImageError::Blob { name: name.to_owned(), digest: Box::new(blob.digest) }),
        },
    }
}

/// Remembers which repository has a blob that the store does not.
pub fn remember_origin(store: &Store, blob: &Digest, repository: &Repository) -> Result<(), ImageError> {
    if origin_of(store, blob)?.as_ref() == Some(repository) {
        return Ok(());
    }
    Ok(store.put_record(Bucket::Remote, blob, &repository.to_string())?)
}

/// The repository that is known to have a blob.
pub fn origin_of(store: &Store, blob: &Digest) -> Result<Option<Repository>, ImageError> {
    let known: Option<String> = store.record(Bucket::Remote, blob)?;
    Ok(known.and_then(|text| text.parse().ok()))
}
