//! An index as a record: compact, and quick to load.
//!
//! ```text
//! "imgbuild-index 1\n"  size of the tar file  opaques  whiteouts  items  CRC-32 of all before
//! ```
//!
//! Numbers are LEB128 (mtimes zigzag), byte strings have their length in front, lists their count, and a path is told
//! as how many bytes it shares with the one before and the rest.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use super::index::{Item, TarIndex};
use crate::{
    layer::{Content, Entry, EntryPath, Kind},
    oci::Digest,
};

const MAGIC: &[u8] = b"imgbuild-index 1\n";

/// The record of an index whose tar file has `size` bytes.
pub(super) fn encode(index: &TarIndex, size: u64) -> Vec<u8> {
    let mut out = Out(MAGIC.to_vec(), Vec::new());
    out.number(size);
    for list in [&index.opaques, &index.whiteouts] {
        out.number(list.len() as u64);
        list.iter().for_each(|path| out.path(path));
    }
    out.number(index.items.len() as u64);
    for item in &index.items {
        out.item(item);
    }
    let crc = crc32fast::hash(&out.0);
    out.0.extend(crc.to_le_bytes());
    out.0
}

/// Reads a record of the tar at `tar`: the size of the tar file and the index. `None`: it is damaged.
pub(super) fn decode(bytes: &[u8], tar: &Arc<Path>) -> Option<(u64, TarIndex)> {
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
        return None;
    }
    let mut input = In { rest: body.strip_prefix(MAGIC)?, last: Vec::new() };
    let size = input.number()?;
    let opaques = input.paths()?;
    let whiteouts = input.paths()?;
    let count = input.number()? as usize;
    let mut items = Vec::with_capacity(count.min(body.len()));
    for _ in 0..count {
        items.push(input.item(tar)?);
    }
    input.rest.is_empty().then(|| (size, TarIndex { tar: tar.clone(), items, whiteouts, opaques }))
}

/// The size of the tar file that a record is about, out of the record's first bytes.
pub(super) fn size(head: &[u8]) -> Option<u64> {
    In { rest: head.strip_prefix(MAGIC)?, last: Vec::new() }.number()
}

struct Out(Vec<u8>, Vec<u8>);

impl Out {
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn path(&mut self, path: &EntryPath) {
        let bytes = path.as_bytes();
        let shared = bytes.iter().zip(&self.1).take_while(|(a, b)| a == b).count();
        self.number(shared as u64);
        self.bytes(&bytes[shared..]);
        self.1 = bytes.to_vec();
    }

    fn item(&mut self, item: &Item) {
        let entry = &item.entry;
        self.path(&entry.path);
        self.number(entry.mode.into());
        self.number(entry.uid);
        self.number(entry.gid);
        self.number((entry.mtime as u64) << 1 ^ (entry.mtime >> 63) as u64);
        self.number(entry.xattrs.len() as u64);
        for (name, value) in &entry.xattrs {
            self.bytes(name);
            self.bytes(value);
        }
        match &entry.kind {
            Kind::Directory => self.0.push(0),
            Kind::File(content) => {
                self.0.push(1);
                self.number(if let Content::Range { offset, .. } = content { *offset } else { 0 });
                self.number(content.size());
                let digest = item.digest.unwrap_or(Digest::Sha256([0; 32]));
                self.0.extend_from_slice(digest.as_bytes());
            }
            Kind::Symlink(target) => {
                self.0.push(2);
                self.bytes(target);
            }
            Kind::Hardlink(target) => {
                self.0.push(3);
                self.bytes(target.as_bytes());
            }
            Kind::CharDevice { major, minor } => self.device(4, *major, *minor),
            Kind::BlockDevice { major, minor } => self.device(5, *major, *minor),
            // The marks have lists of their own.
            Kind::Fifo | Kind::Whiteout | Kind::Opaque => self.0.push(6),
        }
    }

    fn device(&mut self, tag: u8, major: u32, minor: u32) {
        self.0.push(tag);
        self.number(major.into());
        self.number(minor.into());
    }
}

struct In<'a> {
    rest: &'a [u8],
    last: Vec<u8>,
}

impl<'a> In<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = self.number()?;
        self.take(usize::try_from(count).ok()?)
    }

    fn path(&mut self) -> Option<EntryPath> {
        let shared = usize::try_from(self.number()?).ok()?;
        if shared > self.last.len() {
            return None;
        }
        self.last.truncate(shared);
        let rest = self.bytes()?;
        self.last.extend_from_slice(rest);
        EntryPath::new(&self.last)
    }

    fn paths(&mut self) -> Option<Vec<EntryPath>> {
        let count = self.number()?;
        (0..count).map(|_| self.path()).collect()
    }

    fn item(&mut self, tar: &Arc<Path>) -> Option<Item> {
        let path = self.path()?;
        let mode = u32::try_from(self.number()?).ok()?;
        let (uid, gid) = (self.number()?, self.number()?);
        let mtime = self.number()?;
        let mtime = (mtime >> 1) as i64 ^ -((mtime & 1) as i64);
        let mut xattrs = BTreeMap::new();
        for _ in 0..self.number()? {
            xattrs.insert(self.bytes()?.to_vec(), self.bytes()?.to_vec());
        }
        let mut digest = None;
        let kind = match self.byte()? {
            0 => Kind::Directory,
            1 => {
                let (offset, size) = (self.number()?, self.number()?);
                digest = Some(Digest::Sha256(self.take(32)?.try_into().ok()?));
                Kind::File(Content::Range { file: tar.clone(), offset, size, digest })
            }
            2 => Kind::Symlink(self.bytes()?.to_vec()),
            3 => Kind::Hardlink(EntryPath::new(self.bytes()?)?),
            tag @ (4 | 5) => {
                let major = u32::try_from(self.number()?).ok()?;
                let minor = u32::try_from(self.number()?).ok()?;
                if tag == 4 { Kind::CharDevice { major, minor } } else { Kind::BlockDevice { major, minor } }
            }
            6 => Kind::Fifo,
            _ => return None,
        };
        Some(Item { entry: Entry { path, kind, mode, uid, gid, mtime, xattrs }, digest })
    }
}
