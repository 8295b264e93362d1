//! Chunk tables: what the chunks of a layer's blob are, so that the next layer can take over those that stayed the
//! same.

use std::{collections::HashMap, fs::File, os::unix::fs::FileExt};

use serde::{Deserialize, Serialize};

use super::{Compression, Content, LayerError};
use crate::{
    oci::{Digest, Hasher},
    store::{Bucket, Store},
};

/// The record of a layer's blob in [`Bucket::Chunks`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Table {
    /// [`Compression::id`].
    pub(super) compression: String,
    /// The chunks in the order of the blob, without gaps.
    pub(super) chunks: Vec<Row>,
}

/// One chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Row {
    /// [`KeyHasher`]'s digest.
    pub(super) key: Digest,
    /// Length and CRC-32 of the tar bytes.
    pub(super) raw: Sum,
    /// Length and CRC-32 of the compressed bytes.
    pub(super) packed: Sum,
}

/// A length and a checksum: enough to notice damage and mistakes. What keeps different contents apart is the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sum {
    pub(super) length: u64,
    pub(super) crc: u32,
}

impl Sum {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self { length: bytes.len() as u64, crc: crc32fast::hash(bytes) }
    }
}

/// Computes the key of a chunk: a digest over its headers and the digests of its contents. A content whose digest
/// nobody knows is hashed itself.
pub(super) struct KeyHasher(Hasher);

impl KeyHasher {
    pub(super) fn new() -> Self {
        let mut hasher = Hasher::new();
        hasher.update(b"imgbuild chunk 1\0");
        Self(hasher)
    }

    /// Bytes that are in the chunk as they are.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(b"b");
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// A part of a content; `bytes` are the part's own.
    pub(super) fn part(&mut self, content: &Content, start: u64, bytes: &[u8]) {
        let (Content::File { digest: Some(digest), .. } | Content::Range { digest: Some(digest), .. }) =
            content
        else {
            return self.bytes(bytes);
        };
        self.0.update(b"d");
        self.0.update(digest.algorithm().as_bytes());
        self.0.update(digest.as_bytes());
        self.0.update(&start.to_le_bytes());
        self.0.update(&(bytes.len() as u64).to_le_bytes());
    }

    pub(super) fn finish(self) -> Digest {
        self.0.finish()
    }
}

/// The chunks of earlier layers.
#[derive(Default)]
pub(super) struct Known {
    blobs: Vec<File>,
    chunks: HashMap<Digest, (usize, u64, Row)>,
}

/// Where a chunk is in an earlier layer.
#[derive(Clone, Copy)]
pub(super) struct Found {
    blob: usize,
    offset: u64,
    pub(super) row: Row,
}

impl Known {
    /// Loads the tables of these blobs. What has no table, another compression, or is gone, is left out.
    pub(super) fn load(
        store: &Store,
        blobs: &[Digest],
        compression: Compression,
    ) -> Result<Self, LayerError> {
        let mut known = Self::default();
        if compression == Compression::None {
            return Ok(known);
        }
        for digest in blobs {
            let Some(table) = store.record::<Table>(Bucket::Chunks, digest)? else { continue };
            // A blob that was removed since is no error: its chunks are compressed again.
            let Ok(file) = store.open_blob(digest) else { continue };
            if table.compression != compression.id() {
                continue;
            }
            let blob = known.blobs.len();
            known.blobs.push(file);
            let mut offset = 0;
            for row in table.chunks {
                known.chunks.insert(row.key, (blob, offset, row));
                offset += row.packed.length;
            }
        }
        Ok(known)
    }

    /// The chunk with this key, if it is known and has these tar bytes. The key alone would do if every digest that
    /// we are told were right; the checksum costs next to nothing and keeps a wrong one from making a broken layer.
    pub(super) fn find(&self, key: &Digest, raw: &[u8]) -> Option<Found> {
        let (blob, offset, row) = *self.chunks.get(key)?;
        (row.raw.length == raw.len() as u64 && row.raw == Sum::of(raw)).then_some(Found { blob, offset, row })
    }

    /// Reads the compressed bytes; `None` if they cannot be read or are damaged.
    pub(super) fn read(&self, found: &Found) -> Option<Vec<u8>> {
        let mut packed = vec![0; usize::try_from(found.row.packed.length).ok()?];
        self.blobs.get(found.blob)?.read_exact_at(&mut packed, found.offset).ok()?;
        (Sum::of(&packed) == found.row.packed).then_some(packed)
    }
}
