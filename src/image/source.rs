//! Where blobs come from.

use std::{
    io::{self, Read},
    sync::Arc,
};

use crate::{
    error::Failure,
    oci::Descriptor,
    store::{Store, StoreError},
};

/// A place that blobs can be read from: the store, a layout, a registry. Blocks; what is read is not verified yet.
pub trait BlobSource: Send + Sync {
    /// Opens a blob. `None`: it is not there.
    fn open(&self, blob: &Descriptor) -> Result<Option<Box<dyn Read + Send + '_>>, Failure>;

    /// Whether layers may be absent because they are fetched only when needed: the store's way with bases.
    fn is_lazy(&self) -> bool {
        false
    }
}

impl BlobSource for Store {
    fn open(&self, blob: &Descriptor) -> Result<Option<Box<dyn Read + Send + '_>>, Failure> {
        match self.open_blob(&blob.digest) {
            Ok(file) => Ok(Some(Box::new(file))),
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn is_lazy(&self) -> bool {
        true
    }
}

impl<S: BlobSource + ?Sized> BlobSource for Arc<S> {
    fn open(&self, blob: &Descriptor) -> Result<Option<Box<dyn Read + Send + '_>>, Failure> {
        (**self).open(blob)
    }

    fn is_lazy(&self) -> bool {
        (**self).is_lazy()
    }
}
