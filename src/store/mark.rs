//! Marks of use, which eviction goes by.
//!
//! The last use of a file is its modification time, and that of a directory is that of its *stamp*, an empty file beside
//! it: a directory's own times may be part of an image. Whoever uses something marks it, once a session: what was marked
//! since the session began needs no second mark. That costs nothing where the file is looked at anyway.
//!
//! Eviction takes nothing that was used since the oldest living session began. So that it sees a mark that is just being
//! made, marks are made while the *gate* is held shared, and it holds the gate alone while it looks once more and renames
//! what it takes: a handful of files at a time.

use std::{
    ffi::OsString,
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::PoisonError,
    time::SystemTime,
};

use super::{Store, StoreError, session};

/// The name of the gate.
pub(super) const GATE: &str = "gate";
/// How the names of stamps end.
const STAMP: &str = ".used";

impl Store {
    /// Marks the file as used by this process: it stays as long as the process lives. `None`: it is not there.
    pub fn use_file(&self, path: &Path) -> Option<Metadata> {
        let stat = fs::metadata(path).ok()?;
        self.mark(path, &stat).then_some(stat)
    }

    /// Reads a file whole, and marks it as used. `None`: it is not there.
    pub(super) fn read_used(&self, path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("read", path)(error)),
        };
        let stat = file.metadata().map_err(StoreError::io("read", path))?;
        if !self.mark(path, &stat) {
            return Ok(None);
        }
        let mut bytes = Vec::with_capacity(usize::try_from(stat.len()).unwrap_or(0));
        // A file on its own would be asked for its size once more.
        file.by_ref().take(u64::MAX).read_to_end(&mut bytes).map_err(StoreError::io("read", path))?;
        Ok(Some(bytes))
    }

    /// Marks the directory as used by this process, as [`Store::use_file`] does. `false`: it is not there.
    pub fn use_folder(&self, path: &Path) -> bool {
        let stamp = stamp_of(path);
        if fs::metadata(&stamp).is_ok_and(|stat| self.is_marked(&stat)) {
            return path.is_dir();
        }
        // Where it cannot be marked, it can still be used: only eviction would not know.
        self.through_gate(|| path.is_dir() && self.stamp(&stamp).map_or(true, |()| true))
    }

    /// Gives a directory of this process its final name, marked as used.
    ///
    /// # Errors
    /// Those of rename(2): `DirectoryNotEmpty` or `AlreadyExists` where there is one of that name.
    pub fn keep_folder(&self, from: &Path, to: &Path) -> io::Result<()> {
        // First, so that it is never seen without.
        let _ = self.stamp(&stamp_of(to));
        fs::rename(from, to)
    }

    /// Whether it is there still: whoever has looked at a file marks it before using it.
    pub(super) fn mark(&self, path: &Path, stat: &Metadata) -> bool {
        if self.is_marked(stat) {
            return true;
        }
        self.through_gate(|| match self.touch(path) {
            Err(error) => error.kind() != io::ErrorKind::NotFound,
            Ok(()) => true,
        })
    }

    fn is_marked(&self, stat: &Metadata) -> bool {
        stat.modified().is_ok_and(|time| time >= self.inner.session.began())
    }

    /// Never before the session began, even where the clock was set back.
    fn now(&self) -> SystemTime {
        SystemTime::now().max(self.inner.session.began())
    }

    fn touch(&self, path: &Path) -> io::Result<()> {
        let time = match self.now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => rustix::fs::Timespec {
                tv_sec: since.as_secs().cast_signed(),
                tv_nsec: since.subsec_nanos().into(),
            },
            Err(_) => rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW },
        };
        let unchanged = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT };
        let times = rustix::fs::Timestamps { last_access: unchanged, last_modification: time };
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        Ok(rustix::fs::utimensat(rustix::fs::CWD, path, &times, flags)?)
    }

    fn stamp(&self, stamp: &Path) -> io::Result<()> {
        match self.touch(stamp) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                OpenOptions::new().write(true).create(true).truncate(false).open(stamp)?;
                self.touch(stamp)
            }
            other => other,
        }
    }

    /// Marks something while the gate is held with other processes.
    fn through_gate<T>(&self, mark: impl FnOnce() -> T) -> T {
        // Threads that share an open file share its lock.
        let gate = self.inner.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let held = gate.lock_shared();
        let marked = mark();
        if held.is_ok() {
            let _ = gate.unlock();
        }
        marked
    }

    /// The gate, held alone.
    pub(super) fn gate_alone(&self) -> Result<File, StoreError> {
        let path = self.root().join(GATE);
        let gate = session::lock_file(&path)?;
        gate.lock().map_err(StoreError::io("lock", path))?;
        Ok(gate)
    }
}

/// The file whose modification time is the last use of the directory.
pub(super) fn stamp_of(folder: &Path) -> PathBuf {
    let mut name = OsString::from(folder.file_name().unwrap_or_default());
    name.push(STAMP);
    folder.with_file_name(name)
}
