//! The digest of a selection: what stands for it in the key of a step.

use std::collections::HashMap;

use super::{Item, Picked};
use crate::{
    layer::Kind,
    oci::{Digest, Hasher},
};

/// The digest of everything that counts of a selection: what was picked by which source under which name, and of each
/// entry its path, type, mode, bytes, link target, device, extended attributes, and the entry before it that it is a
/// hard link of. Times, owners, inode numbers and where the context is do not count.
///
/// The encoding is length-prefixed, so that no two selections read the same, and begins with its version.
pub fn digest(picked: &[Picked]) -> Digest {
    let mut out = Encoder { hasher: Hasher::new(), pending: Vec::with_capacity(1 << 16) };
    let mut links = HashMap::new();
    out.bytes(b"imgbuild selection 1");
    out.number(picked.len() as u64);
    for (at, one) in picked.iter().enumerate() {
        out.number(one.source as u64);
        out.bytes(one.path.as_ref().map_or(b"", |path| path.as_bytes()));
        match &one.directory {
            Some(directory) => {
                out.number(1);
                out.number(directory.entry.mode.into());
                out.xattrs(directory);
            }
            None => out.number(0),
        }
        out.number(one.items.len() as u64);
        for (index, item) in one.items.iter().enumerate() {
            out.item(item);
            let first = item.identity.map(|identity| *links.entry(identity).or_insert((at, index)));
            match first {
                Some(first) if first != (at, index) => {
                    out.number(first.0 as u64 + 1);
                    out.number(first.1 as u64);
                }
                _ => out.number(0),
            }
        }
    }
    out.hasher.update(&out.pending);
    out.hasher.finish()
}

struct Encoder {
    hasher: Hasher,
    pending: Vec<u8>,
}

impl Encoder {
    fn raw(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= 1 << 15 {
            self.hasher.update(&self.pending);
            self.pending.clear();
        }
    }

    fn number(&mut self, number: u64) {
        self.raw(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.raw(bytes);
    }

    fn xattrs(&mut self, item: &Item) {
        self.number(item.entry.xattrs.len() as u64);
        for (name, value) in &item.entry.xattrs {
            self.bytes(name);
            self.bytes(value);
        }
    }

    fn item(&mut self, item: &Item) {
        self.bytes(item.entry.path.as_bytes());
        self.number(item.entry.mode.into());
        let device = |major: u32, minor: u32| u64::from(major) << 32 | u64::from(minor);
        match &item.entry.kind {
            Kind::Directory => self.raw(b"d"),
            Kind::File(content) => {
                self.raw(b"f");
                self.number(content.size());
                self.bytes(item.digest().as_ref().map_or(b"", |digest| digest.as_bytes()));
            }
            Kind::Symlink(target) => {
                self.raw(b"l");
                self.bytes(target);
            }
            Kind::Hardlink(path) => {
                self.raw(b"h");
                self.bytes(path.as_bytes());
            }
            Kind::CharDevice { major, minor } => {
                self.raw(b"c");
                self.number(device(*major, *minor));
            }
            Kind::BlockDevice { major, minor } => {
                self.raw(b"b");
                self.number(device(*major, *minor));
            }
            Kind::Fifo => self.raw(b"p"),
            Kind::Whiteout => self.raw(b"w"),
            Kind::Opaque => self.raw(b"o"),
        }
        self.xattrs(item);
    }
}
