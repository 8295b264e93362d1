//! Blobs: content by digest.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use super::{Store, StoreError, Temporary};
use crate::oci::{Descriptor, Digest, Hasher};

impl Store {
    /// Where the blob is or would be.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root().join("blobs").join(digest.algorithm()).join(digest.hex())
    }

    /// Whether the blob is here in full. A file of another size is not it; writing the blob replaces the file. (It is
    /// never removed here: the size may be somebody's lie.)
    pub fn has_blob(&self, descriptor: &Descriptor) -> bool {
        self.blob_size(&descriptor.digest) == Some(descriptor.size)
    }

    /// The size of a blob, if it is here.
    pub fn blob_size(&self, digest: &Digest) -> Option<u64> {
        self.use_file(&self.blob_path(digest)).map(|stat| stat.len())
    }

    /// Opens a blob for reading.
    pub fn open_blob(&self, digest: &Digest) -> Result<File, StoreError> {
        let path = self.blob_path(digest);
        // What is open can be read whatever becomes of its name.
        let blob = File::open(&path).map_err(StoreError::io("open", &path))?;
        if let Ok(stat) = blob.metadata() {
            self.mark(&path, &stat);
        }
        Ok(blob)
    }

    /// Reads a small blob (a manifest, a config) whole and verifies it. `None`: it is not here, or was damaged and is
    /// now removed.
    pub fn read_blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.blob_path(digest);
        let Some(bytes) = self.read_used(&path)? else { return Ok(None) };
        let mut hasher = digest.hasher();
        hasher.update(&bytes);
        if hasher.finish() != *digest {
            fs::remove_file(&path).map_err(StoreError::io("remove the damaged", path))?;
            return Ok(None);
        }
        Ok(Some(bytes))
    }

    /// Copies a blob to `out` and hashes it on the way. What a power failure or a bad disk left may have the right size.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where it is not what its name says: it is removed then, so that the next build makes or
    /// fetches it again. `out` has all its bytes by then.
    pub fn copy_blob(&self, digest: &Digest, out: &mut impl Write) -> Result<(), CopyError> {
        let path = self.blob_path(digest);
        let mut blob = self.open_blob(digest)?;
        let (mut hasher, mut buffer) = (digest.hasher(), vec![0; 256 << 10]);
        loop {
            match blob.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => {
                    hasher.update(&buffer[..read]);
                    out.write_all(&buffer[..read]).map_err(CopyError::Out)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(StoreError::io("read", path)(error).into()),
            }
        }
        let found = hasher.finish();
        if found != *digest {
            fs::remove_file(&path).map_err(StoreError::io("remove the damaged", &path))?;
            return Err(StoreError::Damaged { expected: Box::new(*digest), found: Box::new(found) }.into());
        }
        Ok(())
    }

    /// Makes sure that blobs outlive a power failure.
    pub fn sync_blobs<'a>(&self, digests: impl IntoIterator<Item = &'a Digest>) -> Result<(), StoreError> {
        for digest in digests {
            let blob = self.open_blob(digest)?;
            blob.sync_all().map_err(StoreError::io("sync", self.blob_path(digest)))?;
        }
        Ok(())
    }

    /// Keeps bytes as a blob. A blob that is there is compared: these are small documents.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        let path = self.blob_path(&digest);
        if self.blob_size(&digest) == Some(bytes.len() as u64)
            && fs::read(&path).is_ok_and(|there| there == bytes)
        {
            return Ok(digest);
        }
        let mut temporary = self.temporary()?;
        temporary.file().write_all(bytes).map_err(StoreError::io("write", temporary.path().to_owned()))?;
        temporary.keep(&path, false)?;
        Ok(digest)
    }

    /// Begins a blob whose content comes in a stream.
    pub fn blob_writer(&self) -> Result<BlobWriter, StoreError> {
        Ok(BlobWriter { store: self.clone(), temporary: self.temporary()?, hasher: Hasher::new(), size: 0 })
    }

    /// The digests of all blobs, sorted.
    pub fn blobs(&self) -> Result<Vec<Digest>, StoreError> {
        let mut digests = Vec::new();
        for algorithm in ["sha256", "sha512"] {
            let folder = self.root().join("blobs").join(algorithm);
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(StoreError::io("list", folder)(error)),
            };
            for entry in entries {
                let name = entry.map_err(StoreError::io("list", &folder))?.file_name();
                digests.extend(format!("{algorithm}:{}", name.to_string_lossy()).parse::<Digest>());
            }
        }
        digests.sort();
        Ok(digests)
    }
}

/// Why a blob was not copied.
#[derive(Debug)]
pub enum CopyError {
    /// The store's side failed.
    Store(StoreError),
    /// The other side did.
    Out(io::Error),
}

impl From<StoreError> for CopyError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// A blob that is being written. Dropped unfinished, it leaves nothing.
#[derive(Debug)]
pub struct BlobWriter {
    store: Store,
    temporary: Temporary,
    hasher: Hasher,
    size: u64,
}

impl BlobWriter {
    /// Bytes written so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The temporary file it is written to.
    pub fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// Keeps the blob under its digest, and tells both.
    pub fn finish(self, media_type: &str) -> Result<Descriptor, StoreError> {
        let digest = self.hasher.finish();
        self.temporary.keep(&self.store.blob_path(&digest), false)?;
        Ok(Descriptor::new(media_type, digest, self.size))
    }

    /// Keeps the blob if it is what the descriptor promised; `what` names it in the error.
    pub fn finish_as(self, promised: &Descriptor, what: &str) -> Result<(), StoreError> {
        if self.size != promised.size {
            return Err(StoreError::Size { what: what.into(), expected: promised.size, found: self.size });
        }
        let found = self.hasher.finish();
        if found != promised.digest {
            let (expected, found) = (Box::new(promised.digest), Box::new(found));
            return Err(StoreError::Mismatch { what: what.into(), expected, found });
        }
        self.temporary.keep(&self.store.blob_path(&promised.digest), false)
    }

    /// Hashes with the algorithm of this digest, for content whose digest others chose. Call it before the first
    /// write.
    pub fn expecting(mut self, digest: &Digest) -> Self {
        self.hasher = digest.hasher();
        self
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.temporary.file().write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temporary.file().flush()
    }
}
