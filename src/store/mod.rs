//! The local store: blobs by digest, records by key, images by name, uncompressed tars; all plain files.
//!
//! ```text
//! $IMGBUILD_HOME/
//!   v1/
//!     blobs/sha256/<hex>            content, named by its digest
//!     records/<bucket>/<hex>.json   what a computation gave, named by the digest of its key
//!     names/<hex>.json              a reference and the descriptor it points to, named by the reference's digest
//!     tars/<hex>.tar                a layer or an archive, uncompressed, named by the digest of its key
//!     stat/<hex>                    a context's stat cache, named by the digest of the context's path
//!     trees/, mounts/, logs/        layers unpacked, directories of cache mounts, output of steps: for the owner alone
//!     contexts/, git/               build contexts from elsewhere
//!     tmp/<session>/                files being written; a session's folder is locked while its process lives
//!     gate                          locked while something is marked as used, or evicted
//! ```
//!
//! Crash-only: a file is written under `tmp/`, then renamed, so that nothing half-written has its final name. What can
//! be made again is not synced to disk; readers check sizes and take what is wrong for absent, and `imgbuild validate`
//! hashes everything. Trees, in which nothing can be checked, are made anew after the machine was started again: they lie
//! in `trees/<boot>/`, whose lock is held while they are in use.
//!
//! What was used least recently is evicted, also while others build: every use leaves a mark (see `mark.rs`), and nothing
//! goes that was used since the oldest process began that still lives.
//!
//! This room does not know what blobs mean.

mod blob;
mod boot;
mod disk;
mod evict;
#[cfg(test)]
mod evict_tests;
mod mark;
mod name;
mod record;
mod session;
#[cfg(test)]
mod tests;
mod usage;

use std::{
    fs::{self, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

pub use blob::{BlobWriter, CopyError};
pub use boot::TreesHeld;
pub use disk::{Cap, Disk};
pub use evict::{Evicted, Evictor, Limits, Reason};
pub use name::NamedImage;
pub use record::Bucket;
pub use session::Temporary;
pub use usage::{Pinned, StoreEntry, StoreKind, Usage};

use crate::{
    error::{Explain, Kind},
    oci::Digest,
};

/// A handle on the local store. Cheap to clone; safe to use from many threads and many processes.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    session: session::Session,
    /// Opened once: see `mark.rs`.
    gate: Mutex<File>,
}

/// What went wrong in the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// An operation on a file failed.
    #[error("failed to {action} {path}: {source}")]
    Io {
        /// What was tried, as a verb: `create`, `read`.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Content does not have the digest it should have.
    #[error("{what} should have the digest {expected} but has {found}")]
    Mismatch {
        /// What the content is.
        what: String,
        /// The digest that was promised.
        expected: Box<Digest>,
        /// The digest of what came.
        found: Box<Digest>,
    },
    /// A blob is not what its name says. It is removed by then.
    #[error("the blob {expected} in the store is damaged: its content has the digest {found}")]
    Damaged {
        /// The blob.
        expected: Box<Digest>,
        /// What its content has.
        found: Box<Digest>,
    },
    /// Content is not of the size it should be.
    #[error("{what} should have {expected} bytes but has {found}")]
    Size {
        /// What the content is.
        what: String,
        /// The size that was promised.
        expected: u64,
        /// The size of what came.
        found: u64,
    },
}

impl StoreError {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

impl Explain for StoreError {
    fn kind(&self) -> Kind {
        match self {
            Self::Io { source, .. } => Kind::of_io(source),
            Self::Mismatch { .. } | Self::Size { .. } | Self::Damaged { .. } => Kind::Build,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                vec![
                    "free some space: `imgbuild cache gc --max-size 5GB` removes what was used least recently"
                        .into(),
                    "or set IMGBUILD_HOME to a directory on a larger disk".into(),
                ]
            }
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                vec!["set IMGBUILD_HOME to a directory that you may write to".into()]
            }
            Self::Io { .. } => Vec::new(),
            Self::Damaged { .. } => vec!["the damaged blob was removed from the store; build again".into()],
            Self::Mismatch { .. } | Self::Size { .. } => {
                vec!["the content was damaged on its way or on disk; try again".into()]
            }
        }
    }
}

impl Store {
    /// Opens the store below `home`, making what is missing, and clears away what dead processes left half-written.
    pub fn open(home: &Path) -> Result<Self, StoreError> {
        let root = home.join("v1");
        for folder in ["blobs/sha256", "records", "names", "tars", "stat", "tmp"] {
            let path = root.join(folder);
            fs::create_dir_all(&path).map_err(StoreError::io("create", &path))?;
        }
        // Programs of images lie there with all their bits, set-uid ones too, and what steps wrote and downloaded: no
        // other user of this machine is to get at them.
        for folder in ["trees", "mounts", "logs"] {
            let path = root.join(folder);
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
            made.map_err(StoreError::io("create", &path))?;
        }
        let session = session::Session::begin(&root.join("tmp"))?;
        let gate = Mutex::new(session::lock_file(&root.join(mark::GATE))?);
        Ok(Self { inner: Arc::new(Inner { root, session, gate }) })
    }

    /// The store's versioned root directory.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// A new empty file in this process's temporary folder, open for reading and writing; it is deleted when dropped
    /// without [`Temporary::keep`].
    pub fn temporary(&self) -> Result<Temporary, StoreError> {
        self.inner.session.file()
    }

    /// A path in this process's temporary folder with nothing at it yet, for whoever makes a file or a directory there
    /// and renames or removes it. What is left there goes with the process, or when a later one looks for it.
    pub fn temporary_path(&self) -> PathBuf {
        self.inner.session.path()
    }

    /// The lock on this process's temporary folder: nobody clears it away as long as somebody holds this. For processes
    /// that still use what lies there when this one has ended.
    pub fn temporary_lock(&self) -> Arc<fs::File> {
        self.inner.session.lock()
    }

    /// The temporary folders of processes that are gone, with what this process had no right to remove: files that
    /// belong to ids of a user namespace. And trees that were set aside.
    pub fn left_behind(&self) -> Vec<PathBuf> {
        session::left_behind(&self.root().join("tmp"))
    }

    /// Where the uncompressed tar of this key is or would be. Written through [`Store::temporary`] and
    /// [`Temporary::keep`].
    pub fn tar_path(&self, key: &Digest) -> PathBuf {
        self.root().join("tars").join(format!("{}.tar", key.hex()))
    }

    /// Whether the tar of this key is here, with all its bytes.
    pub fn has_tar(&self, key: &Digest, size: u64) -> bool {
        self.use_file(&self.tar_path(key)).is_some_and(|stat| stat.len() == size)
    }

    /// Where the stat cache of the context at `path` (absolute, canonical) is or would be.
    pub fn stat_path(&self, path: &Path) -> PathBuf {
        use std::os::unix::ffi::OsStrExt;
        self.root().join("stat").join(Digest::of(path.as_os_str().as_bytes()).hex())
    }
}
