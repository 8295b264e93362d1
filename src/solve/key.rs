//! Content keys: the digest of everything that decides a layer's bytes.

use std::io::{self, Read as _};

use crate::{
    layer::{Content, Entry, Kind},
    oci::{Digest, Hasher},
};

/// Changes when the encoding does, so that keys of another encoding are never met.
const VERSION: &[u8] = b"imgbuild layer key 1";

/// A key under way. Every part is written with its length, so that no two lists of parts have one encoding.
#[derive(Debug)]
pub(super) struct KeyBuilder {
    hasher: Hasher,
    // Hashing a few bytes at a time is slow: parts are gathered here.
    buffer: Vec<u8>,
}

impl KeyBuilder {
    pub(super) fn new(purpose: &[u8]) -> Self {
        let mut key = Self { hasher: Hasher::new(), buffer: Vec::with_capacity(1 << 16) };
        key.part(purpose);
        key
    }

    pub(super) fn part(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() > 60_000 {
            self.hasher.update(&self.buffer);
            self.buffer.clear();
        }
    }

    pub(super) fn number(&mut self, number: u64) {
        self.buffer.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn finish(mut self) -> Digest {
        self.hasher.update(&self.buffer);
        self.hasher.finish()
    }
}

/// The key of a layer of these entries, compressed in this way: the same entries make the same layer, wherever they
/// come from.
pub(super) fn layer_key(entries: &[Entry], compression: &str) -> io::Result<Digest> {
    let mut key = KeyBuilder::new(VERSION);
    key.part(compression.as_bytes());
    key.number(entries.len() as u64);
    for entry in entries {
        self::entry(&mut key, entry)?;
    }
    Ok(key.finish())
}

/// All that an entry says, its content included.
pub(super) fn entry(key: &mut KeyBuilder, entry: &Entry) -> io::Result<()> {
    key.part(entry.path.as_bytes());
    for number in [u64::from(entry.mode), entry.uid, entry.gid, entry.mtime as u64, entry.xattrs.len() as u64]
    {
        key.number(number);
    }
    for (name, value) in &entry.xattrs {
        key.part(name);
        key.part(value);
    }
    kind(key, &entry.kind)
}

fn kind(key: &mut KeyBuilder, kind: &Kind) -> io::Result<()> {
    match kind {
        Kind::Directory => key.part(b"directory"),
        Kind::File(content) => {
            key.part(b"file");
            key.number(content.size());
            key.part(content_digest(content)?.as_bytes());
        }
        Kind::Symlink(target) => {
            key.part(b"symlink");
            key.part(target);
        }
        Kind::Hardlink(target) => {
            key.part(b"hardlink");
            key.part(target.as_bytes());
        }
        Kind::CharDevice { major, minor } => {
            key.part(b"char");
            key.number(u64::from(*major) << 32 | u64::from(*minor));
        }
        Kind::BlockDevice { major, minor } => {
            key.part(b"block");
            key.number(u64::from(*major) << 32 | u64::from(*minor));
        }
        Kind::Fifo => key.part(b"fifo"),
        Kind::Whiteout => key.part(b"whiteout"),
        Kind::Opaque => key.part(b"opaque"),
    }
    Ok(())
}

fn content_digest(content: &Content) -> io::Result<Digest> {
    if let Content::File { digest: Some(digest), .. } | Content::Range { digest: Some(digest), .. } = content
    {
        return Ok(*digest);
    }
    let (mut reader, mut hasher, mut buffer) = (content.open()?, Hasher::new(), vec![0; 1 << 18]);
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            read => hasher.update(&buffer[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::EntryPath;

    fn file(path: &str, text: &'static str) -> Entry {
        let path = EntryPath::new(path).unwrap();
        Entry::new(path, Kind::File(Content::Bytes(text.as_bytes().into())), 0o644)
    }

    #[test]
    fn each_attribute_counts() {
        let base = || vec![file("a", "x"), file("b", "")];
        let key = |entries: &[Entry]| layer_key(entries, "gzip").unwrap();
        let mut keys = vec![key(&base()), layer_key(&base(), "zstd").unwrap(), key(&base()[..1])];
        let changes: [fn(&mut Entry); 7] = [
            |e| e.mode = 0o755,
            |e| e.uid = 1,
            |e| e.gid = 1,
            |e| e.mtime = 1,
            |e| e.path = EntryPath::new("c").unwrap(),
            |e| e.kind = Kind::Fifo,
            |e| {
                e.xattrs.insert(b"user.a".to_vec(), b"1".to_vec());
            },
        ];
        for change in changes {
            let mut entries = base();
            change(&mut entries[0]);
            keys.push(key(&entries));
        }
        // The border between a path and a content must not be movable.
        keys.push(key(&[file("ax", ""), file("b", "")]));
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), 11);
    }
}
