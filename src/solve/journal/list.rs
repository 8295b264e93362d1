//! The files of a layer in short, as a record: enough to tell which of them differs from another build's.

use std::{cmp::Ordering, collections::BTreeMap, fs, io, io::Write as _};

use serde::{Deserialize, Serialize};

use crate::{
    context::Context,
    event::{Change, FileChange},
    layer::{Content, Entry, EntryPath, Kind},
    oci::{Digest, Hasher},
    store::{Bucket, Store, StoreError},
};

/// As much of a digest as tells two files apart.
type Short = [u8; 16];

/// The files of a layer in short, in the order of their paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FileList(pub(super) Vec<File>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    /// Its path in the image.
    pub(super) path: EntryPath,
    /// Its path in the build context, where it comes from one.
    pub(super) source: Option<Vec<u8>>,
    pub(super) kind: u8,
    pub(super) mode: u32,
    pub(super) owner: (u64, u64),
    pub(super) time: i64,
    /// Of a file's bytes, a link's target or a device's numbers.
    pub(super) content: Option<Short>,
    pub(super) attributes: Option<Short>,
}

/// A file as it is written. Paths are told by what they share: with the path before, and a source with the end of its
/// own path.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    shared: u32,
    rest: Vec<u8>,
    source: Option<(u32, Vec<u8>)>,
    kind: u8,
    mode: u32,
    owner: (u64, u64),
    time: i64,
    content: Option<Short>,
    attributes: Option<Short>,
}

const KINDS: [&str; 9] = [
    "directory",
    "file",
    "link",
    "hard link",
    "character device",
    "block device",
    "pipe",
    "whiteout",
    "opaque directory",
];

impl FileList {
    /// Of these entries, of which some are files of the contexts.
    pub(super) fn of<'a>(entries: &[Entry], contexts: impl Iterator<Item = &'a Context> + Clone) -> Self {
        let roots: Vec<_> = contexts.map(Context::root).collect();
        let source = |entry: &Entry| match &entry.kind {
            Kind::File(Content::File { path, .. }) => {
                let below = roots.iter().find_map(|root| path.strip_prefix(root).ok())?;
                Some(below.as_os_str().as_encoded_bytes().to_vec())
            }
            _ => None,
        };
        let file = |entry: &Entry| {
            let (kind, content) = kind(&entry.kind);
            File {
                path: entry.path.clone(),
                source: source(entry),
                kind,
                mode: entry.mode,
                owner: (entry.uid, entry.gid),
                time: entry.mtime,
                content,
                attributes: attributes(&entry.xattrs),
            }
        };
        Self(entries.iter().map(file).collect())
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut last: &[u8] = &[];
        let line = |file| {
            let File { path, source, .. }: &File = file;
            let path = path.as_bytes();
            let shared = path.iter().zip(last).take_while(|(a, b)| a == b).count();
            last = path;
            let source = source.as_ref().map(|source| {
                let common = path.iter().rev().zip(source.iter().rev()).take_while(|(a, b)| a == b).count();
                (common as u32, source[..source.len() - common].to_vec())
            });
            let File { kind, mode, owner, time, content, attributes, .. } = *file;
            Line {
                shared: shared as u32,
                rest: path[shared..].to_vec(),
                source,
                kind,
                mode,
                owner,
                time,
                content,
                attributes,
            }
        };
        let lines: Vec<Line> = self.0.iter().map(line).collect();
        // Only maps and sequences of unknown length can fail.
        let mut bytes = postcard::to_stdvec(&lines).unwrap_or_default();
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    /// `None`: it is damaged.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
            return None;
        }
        let lines: Vec<Line> = postcard::from_bytes(body).ok()?;
        let mut files: Vec<File> = Vec::with_capacity(lines.len());
        for line in lines {
            let Line { shared, rest, source, kind, mode, owner, time, content, attributes } = line;
            let last = files.last().map_or(&[][..], |file| file.path.as_bytes());
            let path = EntryPath::new([last.get(..shared as usize)?, &rest].concat())?;
            let source = match source {
                Some((common, front)) => {
                    let end = path.as_bytes().len().checked_sub(common as usize)?;
                    Some([&front, &path.as_bytes()[end..]].concat())
                }
                None => None,
            };
            files.push(File { path, source, kind, mode, owner, time, content, attributes });
        }
        Some(Self(files))
    }

    /// The list that is kept under this key, if one is.
    pub(super) fn load(store: &Store, key: &Digest) -> Option<Self> {
        Self::decode(&fs::read(store.record_path(Bucket::Contents, key)).ok()?)
    }

    fn keep(&self, store: &Store, key: &Digest) -> Result<(), StoreError> {
        let mut temporary = store.temporary()?;
        let path = temporary.path().to_owned();
        temporary.file().write_all(&self.encode()).map_err(StoreError::io("write", path))?;
        temporary.keep(&store.record_path(Bucket::Contents, key), false)
    }

    /// What differs from an older list, in the order of the paths.
    pub(super) fn changes(&self, old: &Self) -> Vec<FileChange> {
        let (mut before, mut now) = (old.in_order().peekable(), self.in_order().peekable());
        let mut changes = Vec::new();
        loop {
            let order = match (before.peek(), now.peek()) {
                (Some(before), Some(now)) => before.path.cmp(&now.path),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return changes,
            };
            let old = if order.is_le() { before.next() } else { None };
            let new = if order.is_ge() { now.next() } else { None };
            let change = change(old, new).zip(new.or(old));
            changes.extend(change.map(|(change, file)| FileChange { path: file.shown(), change }));
        }
    }

    /// The files by path. Lists of layers are in this order already, which sorting finds out at once.
    fn in_order(&self) -> impl Iterator<Item = &File> {
        let mut files: Vec<&File> = self.0.iter().collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files.into_iter()
    }
}

impl File {
    fn shown(&self) -> String {
        match &self.source {
            Some(source) => String::from_utf8_lossy(source).into_owned(),
            None => format!("/{}", self.path),
        }
    }
}

fn change(old: Option<&File>, new: Option<&File>) -> Option<Change> {
    let (old, new) = match (old, new) {
        (Some(old), Some(new)) => (old, new),
        (None, Some(_)) => return Some(Change::Added),
        (Some(_), None) => return Some(Change::Removed),
        (None, None) => return None,
    };
    let kind = |file: &File| (*KINDS.get(usize::from(file.kind)).unwrap_or(&"file")).to_owned();
    let octal = |file: &File| format!("{:04o}", file.mode);
    let owner = |file: &File| format!("{}:{}", file.owner.0, file.owner.1);
    let hex = |file: &File| {
        file.content.unwrap_or_default().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    Some(match () {
        () if old.kind != new.kind => Change::Kind { old: kind(old), new: kind(new) },
        () if old.content != new.content => Change::Content { old: hex(old), new: hex(new) },
        () if old.mode != new.mode => Change::Mode { old: octal(old), new: octal(new) },
        () if old.owner != new.owner => Change::Owner { old: owner(old), new: owner(new) },
        () if old.attributes != new.attributes => Change::Attributes,
        () if old.time != new.time => Change::Time,
        () => return None,
    })
}

fn short(digest: &Digest) -> Short {
    let mut short = Short::default();
    short.iter_mut().zip(digest.as_bytes()).for_each(|(to, from)| *to = *from);
    short
}

fn kind(kind: &Kind) -> (u8, Option<Short>) {
    let device = |major: &u32, minor: &u32| Some(short(&Digest::of(format!("{major}:{minor}").as_bytes())));
    match kind {
        Kind::Directory => (0, None),
        Kind::File(content) => (1, content_digest(content)),
        Kind::Symlink(target) => (2, Some(short(&Digest::of(target)))),
        Kind::Hardlink(target) => (3, Some(short(&Digest::of(target.as_bytes())))),
        Kind::CharDevice { major, minor } => (4, device(major, minor)),
        Kind::BlockDevice { major, minor } => (5, device(major, minor)),
        Kind::Fifo => (6, None),
        Kind::Whiteout => (7, None),
        Kind::Opaque => (8, None),
    }
}

/// Files are not read for the sake of a list: what a key was made of has its digest.
fn content_digest(content: &Content) -> Option<Short> {
    match content {
        Content::Bytes(bytes) => Some(short(&Digest::of(bytes))),
        Content::File { digest, .. } | Content::Range { digest, .. } => digest.as_ref().map(short),
    }
}

fn attributes(xattrs: &BTreeMap<Vec<u8>, Vec<u8>>) -> Option<Short> {
    if xattrs.is_empty() {
        return None;
    }
    let mut hasher = Hasher::new();
    for bytes in xattrs.iter().flat_map(|(name, value)| [name, value]) {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    }
    Some(short(&hasher.finish()))
}

/// Keeps the list of these entries under their content key, unless it is there already. Blocks.
///
/// # Errors
/// What the file system refuses.
pub(super) fn keep_list<'a>(
    store: &Store,
    key: &Digest,
    entries: &[Entry],
    contexts: impl Iterator<Item = &'a Context> + Clone,
) -> Result<(), StoreError> {
    let path = store.record_path(Bucket::Contents, key);
    match fs::metadata(&path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            FileList::of(entries, contexts).keep(store, key)
        }
        Err(error) => Err(StoreError::io("look at", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file() -> impl Strategy<Value = File> {
        let content = proptest::option::of(any::<Short>());
        ("[a-c]{1,3}(/[a-c]{1,3}){0,3}", proptest::option::of("[a-c/]{0,9}"), 0u8..9, any::<u32>(), content)
            .prop_map(|(path, source, kind, mode, content)| File {
                path: EntryPath::new(&path).unwrap(),
                source: source.map(|source| format!("{source}{path}").into_bytes()),
                kind,
                mode,
                owner: (u64::from(mode), 1),
                time: -i64::from(mode),
                content,
                attributes: content,
            })
    }

    proptest! {
        #[test]
        fn lists_come_back(files in proptest::collection::vec(file(), 0..20), at: usize, bit in 0u8..8) {
            let list = FileList(files);
            let mut bytes = list.encode();
            prop_assert_eq!(FileList::decode(&bytes), Some(list.clone()));
            prop_assert!(list.changes(&list).is_empty());
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(FileList::decode(&bytes), None);
        }

        #[test]
        fn damaged_lists_do_no_harm(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
            let _ = FileList::decode(&bytes);
        }
    }

    #[test]
    fn each_attribute_is_told() {
        let entry = |text: &'static str| {
            let path = EntryPath::new("app/a").unwrap();
            Entry::new(path, Kind::File(Content::Bytes(text.as_bytes().into())), 0o644)
        };
        let list = |entry: &Entry| FileList::of(std::slice::from_ref(entry), std::iter::empty());
        let old = list(&entry("x"));
        let told = |change: fn(&mut Entry)| {
            let mut entry = entry("x");
            change(&mut entry);
            list(&entry).changes(&old).iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        };
        for (change, expected) in [
            ((|_| {}) as fn(&mut Entry), ""),
            (|e| e.mode = 0o755, "/app/a changed: mode 0644 → 0755"),
            (|e| e.uid = 7, "/app/a changed: owner 0:0 → 7:0"),
            (|e| e.kind = Kind::Directory, "/app/a changed: it was a file and is a directory"),
            (|e| e.mtime = 1, "/app/a changed: its time"),
            (
                |e| drop(e.xattrs.insert(b"user.a".to_vec(), Vec::new())),
                "/app/a changed: its extended attributes",
            ),
            (
                |e| e.kind = Kind::File(Content::Bytes("y".into())),
                "/app/a changed: sha256:2d711642b726 → sha256:a1fce4363854",
            ),
            (|e| e.path = EntryPath::new("app/b").unwrap(), "/app/a removed; /app/b added"),
        ] {
            assert_eq!(told(change), expected);
        }
    }
}
