//! What a tar holds, and where: made in one pass over its bytes.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
    path::Path,
    sync::Arc,
};

use super::{
    error::TarError,
    sparse::Segment,
    tar_reader::{Member, TarReader, Type},
};
use crate::{
    layer::{Content, Entry, EntryPath, Kind},
    oci::{Digest, Hasher},
};

/// The most entries one tar may have.
const MAX_ENTRIES: usize = 8 << 20;
/// The most bytes the files of one tar may have together, holes counted.
const MAX_TOTAL: u64 = 64 << 30;
/// The most bytes a path or the target of a link may have (`PATH_MAX`): no kernel takes a longer one, and what is done
/// for each part of a path must not be done a million times.
const MAX_PATH: usize = 4096;
/// The most bytes the paths and targets of one tar may have together.
const MAX_NAMES: usize = 1 << 30;
/// The most bytes the extended attributes of one tar may have together.
const MAX_XATTRS: usize = 64 << 20;
const OPAQUE: &[u8] = b".wh..wh..opq";

/// One entry of a tar, and the digest of its content where it is a regular file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The entry; a regular file's content is a [`Content::Range`] of the uncompressed tar.
    pub entry: Entry,
    /// SHA-256 of a regular file's content.
    pub digest: Option<Digest>,
}

/// The entries of one tar as they are once it is extracted: of several with one path the last, sorted by path.
///
/// A hard link to an earlier entry of the same tar is an entry like that one: two files are names of one file where
/// their [`Content::Range`]s are the same, since every file of a tar has its own. [`Kind::Hardlink`] is left only
/// where the target is not in this tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarIndex {
    pub(super) tar: Arc<Path>,
    pub(super) items: Vec<Item>,
    pub(super) whiteouts: Vec<EntryPath>,
    pub(super) opaques: Vec<EntryPath>,
}

/// A sparse file whose content has to be laid out in one piece behind the tar.
#[derive(Debug)]
pub(super) struct Expansion {
    pub(super) segments: Vec<Segment>,
    /// Where the stored parts begin in the tar.
    pub(super) stored: u64,
    /// Where the whole content will begin.
    pub(super) target: u64,
    pub(super) size: u64,
}

impl TarIndex {
    /// Indexes an uncompressed tar that is at `tar` on disk. A sparse file is an error here: its content is not in
    /// one piece.
    pub fn read(stream: impl Read, tar: &Path) -> Result<Self, TarError> {
        let mut builder = Builder { in_place: true, ..Builder::new(tar) };
        builder.read(stream)?;
        Ok(builder.finish(0))
    }

    /// An index of entries that are at hand already, as if they came in a tar in this order.
    pub fn of_entries(items: impl IntoIterator<Item = Item>) -> Result<Self, TarError> {
        let mut builder = Builder::new(Path::new(""));
        for item in items {
            match item.entry.kind {
                Kind::Whiteout => drop(builder.whiteouts.insert(item.entry.path)),
                Kind::Opaque => drop(builder.opaques.insert(item.entry.path)),
                Kind::Hardlink(ref target) => match builder.items.get(target) {
                    Some(found) if found.entry.kind != Kind::Directory => {
                        let mut found = found.clone();
                        found.entry.path = item.entry.path;
                        builder.add(found)?;
                    }
                    _ => builder.add(item)?,
                },
                _ => builder.add(item)?,
            }
        }
        Ok(builder.finish(0))
    }

    /// The uncompressed tar.
    pub fn tar(&self) -> &Arc<Path> {
        &self.tar
    }

    /// The entries, sorted by path, without whiteouts.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The paths that are gone from the layers below, sorted.
    pub fn whiteouts(&self) -> &[EntryPath] {
        &self.whiteouts
    }

    /// The directories whose content in the layers below is gone, sorted.
    pub fn opaques(&self) -> &[EntryPath] {
        &self.opaques
    }

    /// The entry at exactly this path.
    pub fn get(&self, path: &EntryPath) -> Option<&Item> {
        let found = self.items.binary_search_by(|item| item.entry.path.cmp(path)).ok()?;
        self.items.get(found)
    }

    /// The entry at this path and all below it, in order.
    pub fn below(&self, path: &EntryPath) -> &[Item] {
        let start = self.items.partition_point(|item| item.entry.path < *path);
        let rest = &self.items[start..];
        &rest[..rest.partition_point(|item| item.entry.path.starts_with(path))]
    }

    /// All entries as a layer has them: whiteouts first, then the rest, each sorted.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        let mark = |paths: &[EntryPath], kind: Kind| {
            paths.iter().map(|path| Entry::new(path.clone(), kind.clone(), 0)).collect::<Vec<_>>()
        };
        let opaques = mark(&self.opaques, Kind::Opaque);
        let whiteouts = mark(&self.whiteouts, Kind::Whiteout);
        opaques.into_iter().chain(whiteouts).chain(self.items.iter().map(|item| item.entry.clone()))
    }
}

/// An index being made.
pub(super) struct Builder {
    tar: Arc<Path>,
    items: BTreeMap<EntryPath, Item>,
    whiteouts: BTreeSet<EntryPath>,
    opaques: BTreeSet<EntryPath>,
    total: u64,
    /// Bytes of paths and targets so far, and of extended attributes.
    names: usize,
    xattrs: usize,
    pub(super) expansions: Vec<Expansion>,
    /// Whether files stay where they are in the tar, so that sparse ones are refused: before their holes are hashed,
    /// which may be gigabytes.
    in_place: bool,
    buffer: Vec<u8>,
    /// A directory with no symbolic link on its way: entries mostly come after their siblings.
    straight: Option<EntryPath>,
}

impl Builder {
    pub(super) fn new(tar: &Path) -> Self {
        Self {
            tar: tar.into(),
            items: BTreeMap::new(),
            whiteouts: BTreeSet::new(),
            opaques: BTreeSet::new(),
            total: 0,
            names: 0,
            xattrs: 0,
            expansions: Vec::new(),
            in_place: false,
            buffer: vec![0; 128 << 10],
            straight: None,
        }
    }

    /// Takes in all entries and gives the stream back, positioned behind the end-of-archive mark.
    pub(super) fn read<R: Read>(&mut self, stream: R) -> Result<R, TarError> {
        let mut tar = TarReader::new(stream);
        while let Some(member) = tar.next()? {
            self.member(&mut tar, member)?;
        }
        Ok(tar.into_inner())
    }

    /// The index, for a tar of `end` bytes: sparse files are laid out behind it, each at a multiple of a block.
    pub(super) fn finish(self, end: u64) -> TarIndex {
        let mut items: Vec<Item> = self.items.into_values().collect();
        for item in &mut items {
            if let Kind::File(Content::Range { offset, .. }) = &mut item.entry.kind
                && let Some(number) = offset.checked_sub(EXPANDED)
                && let Some(expansion) = self.expansions.get(number as usize)
            {
                *offset = end + expansion.target;
            }
        }
        TarIndex {
            tar: self.tar,
            items,
            whiteouts: self.whiteouts.into_iter().collect(),
            opaques: self.opaques.into_iter().collect(),
        }
    }

    fn member<R: Read>(&mut self, tar: &mut TarReader<R>, member: Member) -> Result<(), TarError> {
        let refuse = |why: &str| TarError::Entry {
            path: String::from_utf8_lossy(&member.path[..member.path.len().min(MAX_PATH)]).into_owned(),
            why: why.into(),
        };
        if member.path.len() > MAX_PATH {
            return Err(refuse("and more: its path has more than 4096 bytes"));
        }
        if member.link.len() > MAX_PATH {
            return Err(refuse("is a link to a path of more than 4096 bytes"));
        }
        self.names += member.path.len() + member.link.len();
        if self.names > MAX_NAMES {
            return Err(TarError::Limit("its paths have more than 1 GiB together".into()));
        }
        let normal = |path: &[u8]| match escapes(path) {
            true => Err(refuse("leads out of the root directory")),
            false if path.contains(&0) => Err(refuse("holds a NUL")),
            false => Ok(EntryPath::new(path)),
        };
        // The root directory itself is no entry.
        let Some(path) = normal(&member.path)? else { return Ok(()) };
        if let Some(name) = path.name().strip_prefix(b".wh.") {
            return self.mark(&path, name).ok_or_else(|| refuse("is a whiteout of nothing"));
        }
        let (major, minor) = member.device;
        let (kind, digest) = match member.kind {
            Type::Directory => (Kind::Directory, None),
            Type::Symlink if member.link.is_empty() => return Err(refuse("is a symbolic link to nothing")),
            Type::Symlink => (Kind::Symlink(member.link.clone()), None),
            Type::CharDevice => (Kind::CharDevice { major, minor }, None),
            Type::BlockDevice => (Kind::BlockDevice { major, minor }, None),
            Type::Fifo => (Kind::Fifo, None),
            Type::Hardlink => {
                let target = normal(&member.link)?.ok_or_else(|| refuse("is a hard link to nothing"))?;
                let target = self.placed(target)?;
                if let Some(item) = self.items.get(&target) {
                    if item.entry.kind == Kind::Directory {
                        return Err(refuse("is a hard link to a directory"));
                    }
                    let mut item = item.clone();
                    item.entry.path = path;
                    return self.add(item);
                }
                (Kind::Hardlink(target), None)
            }
            Type::File => {
                self.total = self.total.saturating_add(member.size);
                if self.total > MAX_TOTAL {
                    return Err(TarError::Limit("its files have more than 64 GiB together".into()));
                }
                if self.in_place && member.sparse.is_some() {
                    return Err(TarError::Limit(
                        "it holds sparse files, which can only be read from the store".into(),
                    ));
                }
                let digest = self.hash(tar, &member)?;
                let mut offset = member.offset;
                if let Some(segments) = member.sparse {
                    let target =
                        self.expansions.last().map_or(0, |e| (e.target + e.size).next_multiple_of(512));
                    offset = EXPANDED + self.expansions.len() as u64;
                    self.expansions.push(Expansion {
                        segments,
                        stored: member.offset,
                        target,
                        size: member.size,
                    });
                }
                let content = Content::Range {
                    file: self.tar.clone(),
                    offset,
                    size: member.size,
                    digest: Some(digest),
                };
                (Kind::File(content), Some(digest))
            }
        };
        let entry = Entry {
            path,
            kind,
            mode: member.mode,
            uid: member.uid,
            gid: member.gid,
            mtime: member.mtime,
            xattrs: member.pax.xattrs,
        };
        self.add(Item { entry, digest })
    }

    /// Notes a whiteout; `None` where it removes nothing that can be.
    fn mark(&mut self, path: &EntryPath, name: &[u8]) -> Option<()> {
        if path.name() == OPAQUE {
            self.opaques.insert(path.parent()?);
        } else if !path.name().starts_with(b".wh..wh.") {
            if matches!(name, b"" | b"." | b"..") {
                return None;
            }
            let removed = match path.parent() {
                Some(parent) => parent.join(name),
                None => EntryPath::new(name)?,
            };
            self.whiteouts.insert(removed);
        }
        // Other names of this kind are the book-keeping of AUFS, which runtimes skip.
        Some(())
    }

    fn add(&mut self, mut item: Item) -> Result<(), TarError> {
        if self.items.len() + self.whiteouts.len() + self.opaques.len() >= MAX_ENTRIES {
            return Err(TarError::Limit(format!("it has more than {MAX_ENTRIES} entries")));
        }
        // Here, where the copies that hard links get are counted too.
        self.xattrs += item.entry.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        if self.xattrs > MAX_XATTRS {
            return Err(TarError::Limit("its extended attributes have more than 64 MiB together".into()));
        }
        if self.straight.is_none() || item.entry.path.parent() != self.straight {
            item.entry.path = self.placed(item.entry.path)?;
            self.straight = item.entry.path.parent();
        }
        let path = &item.entry.path;
        let on_the_way = self.straight.as_ref().is_some_and(|directory| directory.starts_with(path));
        if item.entry.kind != Kind::Directory && on_the_way {
            self.straight = None;
        }
        let replaced = self.items.get(path);
        if item.entry.kind != Kind::Directory && replaced.is_none_or(|old| old.entry.kind == Kind::Directory)
        {
            // What was in a directory goes with it, said or not said.
            let below: Vec<EntryPath> = (self.items.range(path.clone()..))
                .skip_while(|(other, _)| *other == path)
                .take_while(|(other, _)| other.starts_with(path))
                .map(|(other, _)| other.clone())
                .collect();
            for other in below {
                self.items.remove(&other);
            }
        }
        self.items.insert(item.entry.path.clone(), item);
        Ok(())
    }

    /// Where an entry really lands: symbolic links of this same tar on its way are followed, as extraction would.
    fn placed(&self, path: EntryPath) -> Result<EntryPath, TarError> {
        let refuse =
            |path: &EntryPath, why: &str| TarError::Entry { path: path.to_string(), why: why.into() };
        let mut placed = path.clone();
        'again: for _ in 0..255 {
            if placed.as_bytes().len() > MAX_PATH {
                return Err(refuse(&path, "leads through links to a path of more than 4096 bytes"));
            }
            let bytes = placed.as_bytes().to_vec();
            for slash in (0..bytes.len()).filter(|at| bytes[*at] == b'/') {
                let Some(above) = EntryPath::new(&bytes[..slash]) else { continue };
                match self.items.get(&above).map(|item| &item.entry.kind) {
                    None | Some(Kind::Directory) => {}
                    Some(Kind::Symlink(target)) => {
                        let mut way = match above.parent() {
                            Some(parent) if !target.starts_with(b"/") => parent.as_bytes().to_vec(),
                            _ => Vec::new(),
                        };
                        for part in [target, &bytes[slash..]] {
                            way.push(b'/');
                            way.extend_from_slice(part);
                        }
                        placed = EntryPath::new(way)
                            .ok_or_else(|| refuse(&path, "leads to the root directory"))?;
                        continue 'again;
                    }
                    Some(_) => return Err(refuse(&path, "lies below an entry that is no directory")),
                }
            }
            return Ok(placed);
        }
        Err(refuse(&path, "leads through more than 255 symbolic links"))
    }

    fn hash<R: Read>(&mut self, tar: &mut TarReader<R>, member: &Member) -> Result<Digest, TarError> {
        let mut hasher = Hasher::new();
        let whole = [Segment { offset: 0, size: member.size }];
        let mut end = 0;
        for segment in member.sparse.as_deref().unwrap_or(&whole) {
            zeros(&mut hasher, segment.offset - end);
            let mut left = segment.size;
            while left > 0 {
                let most = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
                tar.read_exact(&mut self.buffer[..most])?;
                hasher.update(&self.buffer[..most]);
                left -= most as u64;
            }
            end = segment.offset + segment.size;
        }
        zeros(&mut hasher, member.size - end);
        Ok(hasher.finish())
    }
}

/// Offsets from here on are numbers of [`Expansion`]s until the tar's end is known. No tar is that large.
const EXPANDED: u64 = 1 << 63;

fn zeros(hasher: &mut Hasher, mut count: u64) {
    const ZEROS: [u8; 4096] = [0; 4096];
    while count > 0 {
        let most = count.min(ZEROS.len() as u64);
        hasher.update(&ZEROS[..most as usize]);
        count -= most;
    }
}

/// Whether `..` leads above the root at any point.
fn escapes(path: &[u8]) -> bool {
    let mut depth = 0i64;
    path.split(|b| *b == b'/').any(|part| {
        match part {
            b"" | b"." => {}
            b".." => depth -= 1,
            _ => depth += 1,
        }
        depth < 0
    })
}
