//! The stat cache: what is known of the insides of files whose stat has not changed since.
//!
//! ```text
//! magic, version │ directory* │ crc32 of all before
//! directory: path, number of entries, entry*
//! entry: name, size, mtime (s, ns), ctime (s, ns), inode, digest (a byte 1 and 32 bytes, or a byte 0), xattrs
//! ```
//!
//! Numbers are little-endian; byte strings have their length in front. An entry is written only if nothing can change
//! its file any more without changing its stat: if its times are older than the moment before it was read, on the
//! clock of its own file system. Such *racy* files are read again by the next build. So the file needs no timestamp,
//! and steps of the clock do no harm. The device is left out, since its number may be another after a reboot.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::Write,
    path::Path,
};

use rustix::fs::{Mode, OFlags};

use super::tree::{Inside, Node, join};
use crate::{
    layer::FileStat,
    oci::Digest,
    store::{Store, StoreError},
};

const MAGIC: &[u8; 16] = b"imgbuild stat 1\n";

/// What an earlier build knew, by directory and name.
#[derive(Debug, Default)]
pub(super) struct StatCache {
    directories: HashMap<Vec<u8>, Directory>,
}

/// The entries of one directory, sorted by name.
#[derive(Debug, Default)]
pub(super) struct Directory {
    entries: Vec<(Vec<u8>, FileStat, Inside)>,
}

impl Directory {
    /// What is known of this version of a file.
    pub(super) fn get(&self, name: &[u8], stat: &FileStat) -> Option<Inside> {
        let at = self.entries.binary_search_by(|entry| entry.0.as_slice().cmp(name)).ok()?;
        let (_, known, inside) = &self.entries[at];
        (FileStat { device: 0, ..*stat } == *known).then(|| inside.clone())
    }
}

/// A moment on the clock of a context's file system: seconds, nanoseconds.
pub(super) type Moment = (i64, u32);

/// The moment it is on the clock of the file system that holds `root`.
///
/// A nameless file tells it without touching the tree. Where there are none (network file systems, or one that is
/// mounted read-only), the store's clock does, with a margin for coarse timestamps.
pub(super) fn moment(root: &Path, store: &Store) -> Result<Moment, StoreError> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let nameless = rustix::fs::open(root, flags, Mode::RUSR | Mode::WUSR).and_then(rustix::fs::fstat);
    if let Ok(stat) = nameless {
        return Ok(super::tree::file_stat(&stat).ctime);
    }
    let mut temporary = store.temporary()?;
    temporary.file().write_all(b"now").map_err(StoreError::io("write", temporary.path().to_owned()))?;
    let path = temporary.path().to_owned();
    let stat =
        rustix::fs::fstat(temporary.file()).map_err(|error| StoreError::io("look at", path)(error.into()))?;
    let (seconds, nanoseconds) = super::tree::file_stat(&stat).ctime;
    Ok((seconds - 2, nanoseconds))
}

/// Whether a file with this stat, read after `moment`, cannot change any more without changing its stat.
pub(super) fn settled(stat: &FileStat, moment: Moment) -> bool {
    stat.mtime < moment && stat.ctime < moment
}

impl StatCache {
    /// Loads a cache. One that is damaged, or of another version, is empty: all of it can be found out again.
    pub(super) fn load(path: &Path) -> Self {
        fs::read(path).ok().and_then(|bytes| Self::decode(&bytes)).unwrap_or_default()
    }

    /// How many files and directories it knows.
    pub(super) fn len(&self) -> usize {
        self.directories.values().map(|directory| directory.entries.len()).sum()
    }

    pub(super) fn directory(&self, path: &[u8]) -> Option<&Directory> {
        self.directories.get(path)
    }

    /// Writes what is known now of the tree below `top`, in place of this cache. Directories that have not been read
    /// this time keep what was known of them, unless they are gone.
    pub(super) fn save(
        &self,
        top: &Node,
        moment: Moment,
        store: &Store,
        path: &Path,
    ) -> Result<(), StoreError> {
        let mut out = MAGIC.to_vec();
        let mut pending = vec![(top, Vec::new())];
        let mut unread = Vec::new();
        while let Some((node, path)) = pending.pop() {
            let Some(listing) = node.known_listing() else {
                unread.push(path);
                continue;
            };
            let old = self.directory(&path);
            let entries = listing.iter().filter_map(|child| {
                let inside = child.inside.get()?;
                let known = settled(&child.stat, moment)
                    || old.is_some_and(|old| old.get(&child.name, &child.stat).is_some());
                known.then_some((child.name.as_slice(), &child.stat, inside))
            });
            encode_directory(&mut out, &path, &entries.collect::<Vec<_>>());
            pending
                .extend(listing.iter().filter(|n| n.is_dir()).map(|child| (child, join(&path, &child.name))));
        }
        unread.sort_unstable();
        for (path, directory) in &self.directories {
            let kept =
                ancestors(path).any(|above| unread.binary_search_by(|p| p.as_slice().cmp(above)).is_ok());
            if kept {
                let entries: Vec<_> = directory
                    .entries
                    .iter()
                    .map(|(name, stat, inside)| (name.as_slice(), stat, inside))
                    .collect();
                encode_directory(&mut out, path, &entries);
            }
        }
        let sum = crc32fast::hash(&out);
        out.extend_from_slice(&sum.to_le_bytes());
        let mut temporary = store.temporary()?;
        temporary.file().write_all(&out).map_err(StoreError::io("write", temporary.path().to_owned()))?;
        temporary.keep(path, false)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, sum) = bytes.split_last_chunk::<4>()?;
        if crc32fast::hash(body) != u32::from_le_bytes(*sum) {
            return None;
        }
        let mut input = Input(body.strip_prefix(MAGIC)?);
        let mut directories = HashMap::new();
        while !input.0.is_empty() {
            let path = input.bytes()?.to_vec();
            let count = input.u32()?;
            let mut entries = Vec::new();
            for _ in 0..count {
                let name = input.bytes()?.to_vec();
                let stat = FileStat {
                    size: input.u64()?,
                    mtime: (input.u64()?.cast_signed(), input.u32()?),
                    ctime: (input.u64()?.cast_signed(), input.u32()?),
                    inode: input.u64()?,
                    device: 0,
                };
                let digest = match input.array::<1>()? {
                    [0] => None,
                    _ => Some(Digest::Sha256(*input.array()?)),
                };
                let mut xattrs = BTreeMap::new();
                for _ in 0..input.u32()? {
                    xattrs.insert(input.bytes()?.to_vec(), input.bytes()?.to_vec());
                }
                entries.push((name, stat, Inside { digest, xattrs }));
            }
            directories.insert(path, Directory { entries });
        }
        Some(Self { directories })
    }
}

/// A path and all the directories above it, without the top.
fn ancestors(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let slashes = path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at);
    slashes.chain([path.len()]).map(|end| &path[..end])
}

fn encode_directory(out: &mut Vec<u8>, path: &[u8], entries: &[(&[u8], &FileStat, &Inside)]) {
    if entries.is_empty() {
        return;
    }
    put_bytes(out, path);
    put_length(out, entries.len());
    for (name, stat, inside) in entries {
        put_bytes(out, name);
        out.extend_from_slice(&stat.size.to_le_bytes());
        for (seconds, nanoseconds) in [stat.mtime, stat.ctime] {
            out.extend_from_slice(&seconds.to_le_bytes());
            out.extend_from_slice(&nanoseconds.to_le_bytes());
        }
        out.extend_from_slice(&stat.inode.to_le_bytes());
        match &inside.digest {
            Some(Digest::Sha256(bytes)) => {
                out.push(1);
                out.extend_from_slice(bytes);
            }
            // Nothing here is hashed with anything else.
            Some(Digest::Sha512(_)) | None => out.push(0),
        }
        put_length(out, inside.xattrs.len());
        for (name, value) in &inside.xattrs {
            put_bytes(out, name);
            put_bytes(out, value);
        }
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Lengths here are of paths, attributes and directories: the kernel keeps them far below 4 Gi.
fn put_length(out: &mut Vec<u8>, length: usize) {
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(head)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(|bytes| u32::from_le_bytes(*bytes))
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(|bytes| u64::from_le_bytes(*bytes))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()? as usize;
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }
}
