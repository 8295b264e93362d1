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

/// What an earlier build knew, by directory and name. It stays as it lies in its file: of tens of thousands of entries most
/// are compared with a stat and copied once.
#[derive(Debug, Default)]
pub(super) struct StatCache {
    bytes: Vec<u8>,
    /// Where in the bytes the entries of each directory begin, sorted by name.
    directories: HashMap<Vec<u8>, Vec<u32>>,
}

/// The entries of one directory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Directory<'a> {
    bytes: &'a [u8],
    entries: &'a [u32],
}

impl<'a> Directory<'a> {
    /// How many entries it has.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What is known of this version of a file.
    pub(super) fn get(&self, name: &[u8], stat: &FileStat) -> Option<Inside> {
        let of = |at: &u32| self.input(*at).bytes().unwrap_or_default();
        let at = self.entries.binary_search_by(|at| of(at).cmp(name)).ok()?;
        let mut input = self.input(self.entries[at]);
        input.bytes()?;
        let known = input.stat()?;
        if known != (FileStat { device: 0, ..*stat }) {
            return None;
        }
        input.inside()
    }

    fn entries(&self) -> impl Iterator<Item = (&'a [u8], FileStat, Inside)> {
        let (bytes, entries) = (self.bytes, self.entries);
        entries.iter().filter_map(move |at| {
            let mut input = Input(bytes.get(*at as usize..)?);
            Some((input.bytes()?, input.stat()?, input.inside()?))
        })
    }

    fn input(&self, at: u32) -> Input<'a> {
        Input(self.bytes.get(at as usize..).unwrap_or_default())
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
        fs::read(path).ok().and_then(Self::decode).unwrap_or_default()
    }

    pub(super) fn directory(&self, path: &[u8]) -> Option<Directory<'_>> {
        let entries = self.directories.get(path)?;
        Some(Directory { bytes: &self.bytes, entries })
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
        for (path, entries) in &self.directories {
            let kept =
                ancestors(path).any(|above| unread.binary_search_by(|p| p.as_slice().cmp(above)).is_ok());
            if kept {
                let entries: Vec<_> = Directory { bytes: &self.bytes, entries }.entries().collect();
                let entries: Vec<_> =
                    entries.iter().map(|(name, stat, inside)| (*name, stat, inside)).collect();
                encode_directory(&mut out, path, &entries);
            }
        }
        let sum = crc32fast::hash(&out);
        out.extend_from_slice(&sum.to_le_bytes());
        let mut temporary = store.temporary()?;
        temporary.file().write_all(&out).map_err(StoreError::io("write", temporary.path().to_owned()))?;
        temporary.keep(path, false)
    }

    /// Looks at all of it once, so that nothing later can find it damaged.
    fn decode(bytes: Vec<u8>) -> Option<Self> {
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
                entries.push(u32::try_from(body.len() - input.0.len()).ok()?);
                input.skip_entry()?;
            }
            directories.insert(path, entries);
        }
        Some(Self { bytes, directories })
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

    fn stat(&mut self) -> Option<FileStat> {
        Some(FileStat {
            size: self.u64()?,
            mtime: (self.u64()?.cast_signed(), self.u32()?),
            ctime: (self.u64()?.cast_signed(), self.u32()?),
            inode: self.u64()?,
            device: 0,
        })
    }

    fn inside(&mut self) -> Option<Inside> {
        let digest = match self.array::<1>()? {
            [0] => None,
            _ => Some(Digest::Sha256(*self.array()?)),
        };
        let mut xattrs = BTreeMap::new();
        for _ in 0..self.u32()? {
            xattrs.insert(self.bytes()?.to_vec(), self.bytes()?.to_vec());
        }
        Some(Inside { digest, xattrs })
    }

    fn skip_entry(&mut self) -> Option<()> {
        self.bytes()?;
        self.stat()?;
        if self.array::<1>()? != &[0] {
            self.array::<32>()?;
        }
        for _ in 0..self.u32()? {
            self.bytes()?;
            self.bytes()?;
        }
        Some(())
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()? as usize;
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }
}
