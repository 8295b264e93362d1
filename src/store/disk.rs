//! How much the store may have of its disk.

use std::{
    fs::{self, File},
    io,
    time::{Duration, SystemTime},
};

use super::{Store, StoreError};

/// The file system that the store is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// Its size in bytes.
    pub size: u64,
    /// How many of them this user can still fill.
    pub available: u64,
}

/// The most bytes that the store may have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Cap {
    /// A fifth of the disk, or less where a tenth of the disk would not be left free; but at least a fiftieth, so that
    /// others who fill the disk do not take it all.
    #[default]
    Share,
    /// As many hundredths of the disk.
    Percent(u8),
    /// As many bytes.
    Bytes(u64),
}

impl Cap {
    /// In bytes, where the store has `used` of them now.
    pub fn bytes(self, disk: Disk, used: u64) -> u64 {
        match self {
            Self::Share => {
                let leaves_a_tenth = (used + disk.available).saturating_sub(disk.size / 10);
                leaves_a_tenth.clamp(disk.size / 50, disk.size / 5)
            }
            Self::Percent(percent) => disk.size / 100 * u64::from(percent),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// The file whose modification time is when eviction was last begun of itself.
const MARK: &str = "evicted";

impl Store {
    /// The file system that the store is on.
    pub fn disk(&self) -> Result<Disk, StoreError> {
        let stat = rustix::fs::statvfs(self.root());
        let stat = stat.map_err(|error| StoreError::io("examine the disk of", self.root())(error.into()))?;
        let of = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Ok(Disk { size: of(stat.f_blocks), available: of(stat.f_bavail) })
    }

    /// Whether it is time to look at the size of the store again: once in a while, and not in its first while. Whoever
    /// is told so is the only one.
    pub fn is_eviction_due(&self, every: Duration) -> Result<bool, StoreError> {
        let path = self.root().join(MARK);
        let marked = match fs::metadata(&path).and_then(|stat| stat.modified()) {
            Ok(time) => Some(time),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(StoreError::io("look at", path)(error)),
        };
        let now = SystemTime::now();
        let due = marked.is_some_and(|time| now.duration_since(time).is_ok_and(|age| age >= every));
        // A mark in the future is one of a clock that was wrong.
        if due || marked.is_none_or(|time| time > now + every) {
            let file = File::create(&path).map_err(StoreError::io("create", &path))?;
            file.set_modified(now).map_err(StoreError::io("mark", &path))?;
        }
        Ok(due)
    }
}
