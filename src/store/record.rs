//! Records: what a computation gave, by the digest of its key.

use std::{io::Write, path::PathBuf};

use serde::{Serialize, de::DeserializeOwned};

use super::{Store, StoreError};
use crate::oci::{Digest, canonical};

/// A kind of record. The number in a bucket's name is the version of its format: a reader of another version does not
/// find what it would misread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    /// Key of a layer step → its layer.
    Layers,
    /// The name of a step across builds → the blob of its last layer.
    Lineage,
    /// Digest of a layer's blob → where its parts are, for reuse.
    Chunks,
    /// Key of a tar → its entries.
    Indices,
    /// The digest of a blob that the store does not have → the repository that has it.
    Remote,
    /// Key of a RUN step → what it changed.
    Runs,
    /// Key of another step → the content key of what it puts into its layer.
    Steps,
    /// The content key of a layer's entries, or of files that are mounted → each of them in short, to tell what differs
    /// from build to build.
    Contents,
    /// The digest of a URL → the blob of the file that was there, and its version.
    Files,
    /// An image and an architecture → the blob of the emulator that is in it.
    Emulators,
}

impl Bucket {
    fn folder(self) -> &'static str {
        match self {
            Self::Layers => "layers-1",
            Self::Lineage => "lineage-1",
            Self::Chunks => "chunks-1",
            Self::Indices => "indices-1",
            Self::Remote => "remote-1",
            Self::Runs => "runs-1",
            Self::Steps => "steps-1",
            Self::Contents => "contents-1",
            Self::Files => "files-1",
            Self::Emulators => "emulators-1",
        }
    }
}

impl Store {
    /// Where a record is or would be, for formats that are not JSON.
    pub fn record_path(&self, bucket: Bucket, key: &Digest) -> PathBuf {
        self.bucket_path(bucket).join(key.hex())
    }

    pub(super) fn bucket_path(&self, bucket: Bucket) -> PathBuf {
        self.root().join("records").join(bucket.folder())
    }

    /// The bytes of a record, for formats that are not JSON.
    pub fn record_bytes(&self, bucket: Bucket, key: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.read_used(&self.record_path(bucket, key))
    }

    /// Reads a record. A damaged one counts as absent: everything in records can be computed again.
    pub fn record<T: DeserializeOwned>(&self, bucket: Bucket, key: &Digest) -> Result<Option<T>, StoreError> {
        let bytes = self.record_bytes(bucket, key)?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Writes a record, in place of an older one.
    pub fn put_record<T: Serialize>(
        &self,
        bucket: Bucket,
        key: &Digest,
        record: &T,
    ) -> Result<(), StoreError> {
        let mut temporary = self.temporary()?;
        temporary
            .file()
            .write_all(&canonical(record))
            .map_err(StoreError::io("write", temporary.path().to_owned()))?;
        temporary.keep(&self.record_path(bucket, key), false)
    }
}
