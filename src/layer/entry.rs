//! What a layer is made of.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{LayerError, read::Verified};
use crate::oci::Digest;

/// A path inside a layer: relative to the root, bytes, never empty, no `.`, `..` or empty parts, no slash at either
/// end. Sorts so that a directory comes before what it holds and siblings come in byte order.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EntryPath(Vec<u8>);

impl EntryPath {
    /// Normalises a path: slashes at the ends, empty parts and `.` go; `..` goes up and stops at the root.
    /// `None` where nothing is left: the root itself is no entry.
    pub fn new(path: impl AsRef<[u8]>) -> Option<Self> {
        // Nearly all are as they should be: a context of thousands of files asks for several each.
        if is_normal(path.as_ref()) {
            return Some(Self(path.as_ref().to_vec()));
        }
        let mut parts: Vec<&[u8]> = Vec::new();
        for part in path.as_ref().split(|b| *b == b'/') {
            match part {
                b"" | b"." => {}
                b".." => {
                    parts.pop();
                }
                part => parts.push(part),
            }
        }
        (!parts.is_empty()).then(|| Self(parts.join(&b'/')))
    }

    /// The bytes, without a slash in front.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The last part.
    pub fn name(&self) -> &[u8] {
        self.0.rsplit(|b| *b == b'/').next().unwrap_or_default()
    }

    /// The directory that holds it; `None` where that is the root.
    pub fn parent(&self) -> Option<Self> {
        self.parent_bytes().map(|parent| Self(parent.to_vec()))
    }

    /// The bytes of the directory that holds it; `None` where that is the root.
    pub fn parent_bytes(&self) -> Option<&[u8]> {
        let slash = self.0.iter().rposition(|b| *b == b'/')?;
        Some(&self.0[..slash])
    }

    /// The path of `rest` (one or more parts) below this one.
    pub fn join(&self, rest: impl AsRef<[u8]>) -> Self {
        let rest = rest.as_ref();
        let mut bytes = Vec::with_capacity(self.0.len() + 1 + rest.len());
        bytes.extend_from_slice(&self.0);
        bytes.push(b'/');
        bytes.extend_from_slice(rest);
        match is_normal(rest) {
            true => Self(bytes),
            false => Self::new(bytes).unwrap_or_else(|| self.clone()),
        }
    }

    /// Whether `self` is `other` or lies below it.
    pub fn starts_with(&self, other: &Self) -> bool {
        self.0.strip_prefix(other.as_bytes()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    }
}

/// Whether a path is written as [`EntryPath`] has it: no part is empty, `.` or `..`.
fn is_normal(path: &[u8]) -> bool {
    path.split(|b| *b == b'/').all(|part| !matches!(part, b"" | b"." | b".."))
}

impl PartialOrd for EntryPath {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for EntryPath {
    /// Part by part: as bytes, but with the slash before every other byte.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // Only the first bytes that differ decide: comparing paths is what sorting a large tree does most.
        let first = self.0.iter().zip(&other.0).find(|(a, b)| a != b);
        let key = |b: &u8| if *b == b'/' { 0u16 } else { u16::from(*b) + 1 };
        match first {
            Some((a, b)) => key(a).cmp(&key(b)),
            None => self.0.len().cmp(&other.0.len()),
        }
    }
}

impl fmt::Display for EntryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for EntryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

/// One entry of a layer. Everything in it goes into the tar as it is: whoever makes it normalises modes and times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where it is.
    pub path: EntryPath,
    /// What it is.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky: `0o7777` at the most.
    pub mode: u32,
    /// The owner.
    pub uid: u64,
    /// The group.
    pub gid: u64,
    /// Seconds since the epoch.
    pub mtime: i64,
    /// Extended attributes: full name (`user.x`, `security.capability`) → value.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Entry {
    /// An entry owned by root, of the epoch, without extended attributes.
    pub fn new(path: EntryPath, kind: Kind, mode: u32) -> Self {
        Self { path, kind, mode, uid: 0, gid: 0, mtime: 0, xattrs: BTreeMap::new() }
    }
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File(Content),
    /// A symbolic link with its target, any bytes.
    Symlink(Vec<u8>),
    /// Another name of a file that comes earlier in the same layer.
    Hardlink(EntryPath),
    /// A character device.
    CharDevice {
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// The mark that `path` of the layers below is gone (image-spec `layer.md`, "Whiteouts"). Written as an empty
    /// file `.wh.<name>`; the entry's `path` is the path that is removed.
    Whiteout,
    /// The mark that the directory `path` hides everything the layers below have in it. Written as `.wh..wh..opq`.
    Opaque,
}

/// The bytes of a regular file, and where they are.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// At hand.
    Bytes(Bytes),
    /// A file of a context, which must still be as it was when it was looked at.
    File {
        /// Its path on this machine.
        path: PathBuf,
        /// Its stat at that time: a difference when it is read is an error.
        stat: FileStat,
        /// The digest of its bytes, where somebody knows it: parts of earlier layers can then be reused.
        digest: Option<Digest>,
    },
    /// A range of a file that imgbuild itself keeps and nobody changes: an uncompressed tar in the store.
    Range {
        /// The file.
        file: Arc<Path>,
        /// Where the bytes begin.
        offset: u64,
        /// How many they are.
        size: u64,
        /// Their digest, where somebody knows it: parts of earlier layers can then be reused.
        digest: Option<Digest>,
    },
}

/// What identifies one version of a file on disk, as in git's index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct FileStat {
    /// Bytes.
    pub size: u64,
    /// Time of the last change of the content: seconds, nanoseconds.
    pub mtime: (i64, u32),
    /// Time of the last change of the inode: seconds, nanoseconds.
    pub ctime: (i64, u32),
    /// The inode's number.
    pub inode: u64,
    /// The device it is on.
    pub device: u64,
}

impl From<&Metadata> for FileStat {
    fn from(metadata: &Metadata) -> Self {
        // Nanoseconds are below 10⁹ whatever the file system; a broken one that says otherwise compares equal to
        // itself all the same.
        let nanoseconds = |n: i64| n.clamp(0, 999_999_999) as u32;
        Self {
            size: metadata.size(),
            mtime: (metadata.mtime(), nanoseconds(metadata.mtime_nsec())),
            ctime: (metadata.ctime(), nanoseconds(metadata.ctime_nsec())),
            inode: metadata.ino(),
            device: metadata.dev(),
        }
    }
}

impl Content {
    /// Opens the bytes for reading, once more each time. A file is read as it is now: whoever must know that it is still
    /// the one that was looked at checks its stat. A range whose digest is known is hashed as it is read: where it is
    /// damaged, the read of its last bytes fails.
    pub fn open(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(match self {
            Self::Bytes(bytes) => Box::new(io::Cursor::new(bytes.clone())),
            Self::File { path, .. } => Box::new(File::open(path)?),
            Self::Range { .. } => Box::new(Verified::open(self).map_err(|error| match error {
                LayerError::Open { source, .. } => source,
                other => io::Error::other(other),
            })?),
        })
    }

    /// How many bytes they are.
    pub fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { stat, .. } => stat.size,
            Self::Range { size, .. } => *size,
        }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::File { path, stat, .. } => write!(f, "File({}, {})", path.display(), stat.size),
            Self::Range { offset, size, .. } => write!(f, "Range({offset}+{size})"),
        }
    }
}
