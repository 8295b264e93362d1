//! A directory as a cache: `entries/<hex>.json` and `blobs/sha256/<hex>`, for whoever keeps directories between builds.
//!
//! Files are written under `tmp/` and renamed, so that writers beside each other only ever add.

use std::{
    fs::{self, File, Permissions},
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tempfile::NamedTempFile;

use super::{
    CacheError, Result,
    backend::{Answer, New, name_of},
    document,
};
use crate::{
    oci::{Descriptor, Digest},
    store::{Store, StoreError},
};

/// Files below `tmp/` that are this old were left there by a build that died.
const DEAD: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Clone)]
pub(super) struct Directory {
    root: PathBuf,
}

impl Directory {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    fn entry_path(&self, key: &Digest) -> PathBuf {
        self.root.join("entries").join(format!("{}.json", name_of(key)))
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join(digest.algorithm()).join(digest.hex())
    }

    pub(super) async fn get(&self, key: &Digest) -> Result<Option<Answer>> {
        let path = self.entry_path(key);
        blocking("read an entry", move || {
            // What is no file, a pipe for one, might never be read to its end.
            let file = match fs::metadata(&path).map(|stat| stat.is_file()) {
                Ok(false) => Err(io::ErrorKind::InvalidData.into()),
                _ => File::open(&path),
            };
            let file = match file {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(CacheError::io("open", path)(error)),
            };
            let mut document = Vec::new();
            // One byte more than is read at the most tells a document that is too large.
            let read = file.take(document::LARGEST as u64 + 1).read_to_end(&mut document);
            read.map_err(CacheError::io("read", path))?;
            Ok(Some(Answer { document, blobs: None }))
        })
        .await
    }

    pub(super) async fn has_blob(&self, blob: &Descriptor) -> Result<bool> {
        let (path, size) = (self.blob_path(&blob.digest), blob.size);
        blocking("look for a blob", move || Ok(has(&path, size))).await
    }

    pub(super) async fn fetch(&self, blob: &Descriptor, store: &Store) -> Result<()> {
        let (path, blob, store) = (self.blob_path(&blob.digest), blob.clone(), store.clone());
        blocking("fetch a blob", move || {
            if store.has_blob(&blob) {
                return Ok(());
            }
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(CacheError::Absent { digest: Box::new(blob.digest) });
                }
                Err(error) => return Err(CacheError::io("open", path)(error)),
            };
            let mut writer = store.blob_writer()?.expecting(&blob.digest);
            // One byte more than promised is enough to see that it is another.
            io::copy(&mut file.take(blob.size + 1), &mut writer).map_err(CacheError::io("copy", &path))?;
            Ok(writer.finish_as(&blob, &format!("the blob {}", path.display()))?)
        })
        .await
    }

    pub(super) async fn put(&self, new: New<'_>, store: &Store) -> Result<()> {
        let (this, store) = (self.clone(), store.clone());
        let (key, document, layers) = (*new.key, new.document.to_vec(), new.layers.to_vec());
        blocking("write an entry", move || {
            for layer in &layers {
                this.put_blob(&layer.descriptor, &store)?;
            }
            let mut file = this.temporary()?;
            file.write_all(&document).map_err(CacheError::io("write", file.path()))?;
            this.keep(file, &this.entry_path(&key))
        })
        .await
    }

    fn put_blob(&self, blob: &Descriptor, store: &Store) -> Result<()> {
        let path = self.blob_path(&blob.digest);
        if has(&path, blob.size) {
            return Ok(());
        }
        if !store.has_blob(blob) {
            let source = io::Error::from(io::ErrorKind::NotFound);
            return Err(StoreError::io("open", store.blob_path(&blob.digest))(source).into());
        }
        let mut file = self.temporary()?;
        store.copy_blob(&blob.digest, &mut file).map_err(|error| CacheError::copying(error, file.path()))?;
        self.keep(file, &path)
    }

    fn temporary(&self) -> Result<NamedTempFile> {
        let folder = self.root.join("tmp");
        if !folder.is_dir() {
            fs::create_dir_all(&folder).map_err(CacheError::io("create", &folder))?;
        }
        // What is written there is for everybody who may read the directory.
        let mut builder = tempfile::Builder::new();
        let made = builder.permissions(Permissions::from_mode(0o666)).tempfile_in(&folder);
        made.map_err(CacheError::io("create a file in", folder))
    }

    fn keep(&self, file: NamedTempFile, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(CacheError::io("create", folder))?;
        }
        file.persist(path).map_err(|error| CacheError::io("rename a file to", path)(error.error))?;
        Ok(())
    }

    /// Removes what builds that died left half-written.
    pub(super) fn sweep(&self) {
        let now = SystemTime::now();
        for file in fs::read_dir(self.root.join("tmp")).into_iter().flatten().flatten() {
            let written = file.metadata().and_then(|stat| stat.modified());
            if written.is_ok_and(|time| now.duration_since(time).is_ok_and(|age| age > DEAD)) {
                // It is about space alone.
                let _ = fs::remove_file(file.path());
            }
        }
    }
}

fn has(path: &Path, size: u64) -> bool {
    fs::metadata(path).is_ok_and(|stat| stat.is_file() && stat.len() == size)
}

async fn blocking<T: Send + 'static>(
    action: &'static str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| CacheError::Worker { action })?
}
