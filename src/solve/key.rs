//! Content keys: the digest of everything that decides a layer's bytes.

use std::{
    borrow::Borrow,
    io::{self, Read as _},
};

use serde::{Deserialize, Serialize};

use crate::{
    event::Value,
    layer::{Content, Entry, Kind},
    oci::{Digest, Hasher},
};

/// Changes when the encoding does, so that keys of another encoding are never met.
const VERSION: &[u8] = b"imgbuild layer key 1";

/// Longer values are kept as their digest: they are to be told apart, not to be read.
const LONGEST_TEXT: usize = 4096;

/// A part of a key, as people may see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What it is, in a few words: `command`, `variable PATH`.
    pub name: String,
    /// What it says.
    #[serde(flatten)]
    pub value: Value,
}

impl Part {
    /// Whether another part says the same, however each was kept.
    pub(super) fn says(&self, other: &Self) -> bool {
        let digest = |value: &Value| match value {
            Value::Text(text) => Digest::of(text.as_bytes()),
            Value::Digest(digest) => *digest,
        };
        self.value == other.value || digest(&self.value) == digest(&other.value)
    }
}

/// A key that remembers its parts: its digest is of exactly these, each with its name.
///
/// How a part is kept never counts: a value that is hidden in one build and shown in another gives one key.
#[derive(Debug)]
pub(super) struct NamedParts {
    key: KeyBuilder,
    parts: Vec<Part>,
}

impl NamedParts {
    pub(super) fn new(purpose: &[u8]) -> Self {
        Self { key: KeyBuilder::new(purpose), parts: Vec::new() }
    }

    /// A value that may be shown.
    pub(super) fn shown(&mut self, name: impl Into<String>, text: &str) {
        let value = match text.len() {
            ..=LONGEST_TEXT => Value::Text(text.to_owned()),
            _ => Value::Digest(Digest::of(text.as_bytes())),
        };
        self.add(name.into(), text.as_bytes(), value);
    }

    /// Several words, which people see with blanks between them: where each ends counts.
    pub(super) fn words(&mut self, name: impl Into<String>, words: &[String], hide: bool) {
        let mut list = KeyBuilder::new(b"imgbuild list 1");
        words.iter().for_each(|word| list.part(word.as_bytes()));
        let (digest, text) = (list.finish(), words.join(" "));
        let value = match hide || text.len() > LONGEST_TEXT {
            true => Value::Digest(Digest::of(text.as_bytes())),
            false => Value::Text(text),
        };
        self.add(name.into(), digest.as_bytes(), value);
    }

    /// A value that may not be shown.
    pub(super) fn hidden(&mut self, name: impl Into<String>, bytes: &[u8]) {
        self.add(name.into(), bytes, Value::Digest(Digest::of(bytes)));
    }

    /// Files, or whatever else a digest stands for.
    pub(super) fn digest(&mut self, name: impl Into<String>, digest: &Digest) {
        self.add(name.into(), digest.as_bytes(), Value::Digest(*digest));
    }

    fn add(&mut self, name: String, bytes: &[u8], value: Value) {
        self.key.part(name.as_bytes());
        self.key.part(bytes);
        self.parts.push(Part { name, value });
    }

    pub(super) fn finish(self) -> (Digest, Vec<Part>) {
        (self.key.finish(), self.parts)
    }
}

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
pub(super) fn layer_key<E: Borrow<Entry>>(entries: &[E], compression: &str) -> io::Result<Digest> {
    let mut key = KeyBuilder::new(VERSION);
    key.part(compression.as_bytes());
    key.number(entries.len() as u64);
    for entry in entries {
        self::entry(&mut key, entry.borrow())?;
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

pub(super) fn content_digest(content: &Content) -> io::Result<Digest> {
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
    fn names_and_values_count_and_how_they_are_kept_does_not() {
        let key = |parts: &[(&str, &str)], hide: bool| {
            let mut key = NamedParts::new(b"test");
            for (name, value) in parts {
                match hide {
                    true => key.hidden(*name, value.as_bytes()),
                    false => key.shown(*name, value),
                }
            }
            key.finish()
        };
        let (shown, parts) = key(&[("a", "1"), ("b", "2")], false);
        let (hidden, digests) = key(&[("a", "1"), ("b", "2")], true);
        assert_eq!(shown, hidden);
        assert!(parts.iter().zip(&digests).all(|(a, b)| a != b && a.says(b)));
        for other in [
            &[("a", "1")][..],
            &[("a", "2"), ("b", "2")],
            &[("a1", ""), ("b", "2")],
            &[("b", "2"), ("a", "1")],
        ] {
            assert_ne!(key(other, false).0, shown, "{other:?}");
        }
        let long = "x".repeat(LONGEST_TEXT + 1);
        assert!(matches!(key(&[("a", &long)], false).1[0].value, Value::Digest(_)));
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
