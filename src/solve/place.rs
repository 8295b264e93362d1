//! Putting a layer together: entries at their places, with the directories that lead to them.

use std::{collections::HashMap, path::Path, sync::Arc};

use crate::{
    graph::NodeId,
    layer::{Entry, EntryPath, Kind},
};

/// The entries of a layer while they are being collected.
#[derive(Debug, Default)]
pub(super) struct Placer {
    placed: Vec<Placed>,
    implied: Implied,
}

/// What a directory becomes that nobody described, but something lies in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Implied {
    /// Root's, with the mode that its place has on every Linux system.
    #[default]
    Usual,
    /// This user's and group's, with mode 0755.
    Owned(u64, u64),
}

#[derive(Debug)]
struct Placed {
    entry: Entry,
    identity: Option<Identity>,
}

/// Which file of its source an entry is: entries with one identity are names of one file (hard links).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Identity {
    /// A file on this machine that has several names.
    Inode {
        /// The device it is on.
        device: u64,
        /// Its inode's number.
        inode: u64,
    },
    /// A range of a tar that several entries of it mean.
    Range {
        /// The tar.
        file: Arc<Path>,
        /// Where the bytes begin.
        offset: u64,
    },
    /// The names of one file in a layer of this build.
    Layer {
        /// The layer's node.
        node: NodeId,
        /// The name that has the content.
        first: EntryPath,
    },
}

/// Two entries of one layer cannot both be there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path} would be a {first} and a {second} at once")]
pub struct Conflict {
    /// The path.
    pub path: EntryPath,
    /// What it was first.
    pub first: &'static str,
    /// What came on top.
    pub second: &'static str,
}

/// What lies under a layer, as far as its step looks.
pub(super) trait Ground {
    /// Why looking failed.
    type Error;

    /// The directory at this path, if there is one: its entry, to be repeated as it is.
    fn directory(&self, path: &EntryPath) -> Result<Option<Entry>, Self::Error>;
}

impl Placer {
    pub(super) fn new(implied: Implied) -> Self {
        Self { placed: Vec::new(), implied }
    }

    /// Makes sure that there is a directory, as one that something lies in.
    pub(super) fn imply(&mut self, path: EntryPath, mtime: i64) {
        let directory = self.implied.directory(path, mtime);
        self.put(directory);
    }

    pub(super) fn put(&mut self, entry: Entry) {
        self.placed.push(Placed { entry, identity: None });
    }

    /// Puts a file that may have other names in the same layer.
    pub(super) fn put_linked(&mut self, entry: Entry, identity: Option<Identity>) {
        self.placed.push(Placed { entry, identity });
    }

    pub(super) fn reserve(&mut self, more: usize) {
        self.placed.reserve(more);
    }

    /// The finished layer: sorted, with missing parent directories, each path once. Of two files at one path the later
    /// one is taken; two directories are one, with the later one's attributes. Of the names of one file the first in
    /// order has the content, the others are hard links to it.
    pub(super) fn finish<G: Ground>(
        mut self,
        ground: &G,
        mtime: i64,
    ) -> Result<Vec<Entry>, PlaceError<G::Error>> {
        // Stable, so that of equal paths the later one stays later; sorted input, the usual case, costs one pass.
        self.placed.sort_by(|a, b| a.entry.path.cmp(&b.entry.path));
        let mut conflict = None;
        self.placed.dedup_by(|next, last| {
            let same = last.entry.path == next.entry.path && same_place(&last.entry.kind, &next.entry.kind);
            if same {
                if is_directory(&last.entry.kind) != is_directory(&next.entry.kind) {
                    let (first, second) = (name(&last.entry.kind), name(&next.entry.kind));
                    conflict.get_or_insert(Conflict { path: next.entry.path.clone(), first, second });
                }
                std::mem::swap(last, next);
            }
            same
        });
        if let Some(conflict) = conflict {
            return Err(PlaceError::Conflict(conflict));
        }
        let implied = self.implied;
        let mut entries = link(self.placed);
        let parents = missing_parents(&entries)?;
        if parents.is_empty() {
            return Ok(entries);
        }
        for path in parents {
            let found = ground.directory(&path).map_err(PlaceError::Ground)?;
            entries.push(found.unwrap_or_else(|| implied.directory(path, mtime)));
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }
}

/// Turns all names of a file but the first into hard links.
fn link(placed: Vec<Placed>) -> Vec<Entry> {
    let mut first_names: HashMap<Identity, EntryPath> = HashMap::new();
    // In place: a large context has tens of thousands.
    let linked = placed.into_iter().map(|Placed { mut entry, identity }| {
        if let Some(identity) = identity {
            match first_names.get(&identity) {
                Some(first) => entry.kind = Kind::Hardlink(first.clone()),
                None => {
                    first_names.insert(identity, entry.path.clone());
                }
            }
        }
        entry
    });
    linked.collect()
}

/// Why a layer could not be put together.
#[derive(Debug)]
pub(super) enum PlaceError<E> {
    Conflict(Conflict),
    Ground(E),
}

impl<E> From<Conflict> for PlaceError<E> {
    fn from(conflict: Conflict) -> Self {
        Self::Conflict(conflict)
    }
}

/// A directory and the mark that it is opaque share a path and do not exclude each other.
fn same_place(a: &Kind, b: &Kind) -> bool {
    matches!(a, Kind::Opaque) == matches!(b, Kind::Opaque)
}

fn is_directory(kind: &Kind) -> bool {
    matches!(kind, Kind::Directory)
}

fn name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Directory | Kind::Opaque => "directory",
        Kind::File(_) | Kind::Hardlink(_) => "file",
        Kind::Symlink(_) => "symbolic link",
        Kind::CharDevice { .. } | Kind::BlockDevice { .. } => "device",
        Kind::Fifo => "named pipe",
        Kind::Whiteout => "removed path",
    }
}

/// The directories above the entries that are not entries themselves. The order of paths puts what a directory holds
/// right behind it, so that the chain of directories around the current entry is enough to know.
fn missing_parents(entries: &[Entry]) -> Result<Vec<EntryPath>, Conflict> {
    let mut around: Vec<EntryPath> = Vec::new();
    let mut missing = Vec::new();
    let mut before: Option<&Entry> = None;
    for entry in entries {
        if let Some(before) = before
            && !matches!(before.kind, Kind::Directory | Kind::Opaque)
            && entry.path.starts_with(&before.path)
            && entry.path != before.path
        {
            let first = name(&before.kind);
            return Err(Conflict { path: before.path.clone(), first, second: "directory" });
        }
        before = Some(entry);
        while around.last().is_some_and(|directory| !entry.path.starts_with(directory)) {
            around.pop();
        }
        // Most entries lie beside the one before.
        if entry.path.parent_bytes() != around.last().map(EntryPath::as_bytes) {
            let mut chain = Vec::new();
            let mut parent = entry.path.parent();
            while let Some(path) = parent.filter(|path| around.last() != Some(path)) {
                parent = path.parent();
                chain.push(path);
            }
            missing.extend(chain.iter().rev().cloned());
            around.extend(chain.into_iter().rev());
        }
        if is_directory(&entry.kind) && around.last() != Some(&entry.path) {
            around.push(entry.path.clone());
        }
    }
    Ok(missing)
}

impl Implied {
    /// The entry of a directory that nobody described. Without one, some extractors would make it accessible to root
    /// alone.
    fn directory(self, path: EntryPath, mtime: i64) -> Entry {
        let (uid, gid, mode) = match self {
            Self::Usual => (0, 0, usual_mode(&path).unwrap_or(0o755)),
            Self::Owned(uid, gid) => (uid, gid, 0o755),
        };
        Entry { uid, gid, mtime, ..Entry::new(path, Kind::Directory, mode) }
    }
}

/// The mode that a directory has on every Linux system, where it is not 0755.
pub(super) fn usual_mode(path: &EntryPath) -> Option<u32> {
    match path.as_bytes() {
        b"tmp" | b"var/tmp" | b"dev/shm" => Some(0o1777),
        b"root" => Some(0o700),
        b"proc" | b"sys" => Some(0o555),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::Content;

    struct Nothing;

    impl Ground for Nothing {
        type Error = std::convert::Infallible;

        fn directory(&self, path: &EntryPath) -> Result<Option<Entry>, Self::Error> {
            let owned = Entry { uid: 7, ..Entry::new(path.clone(), Kind::Directory, 0o750) };
            Ok((path.as_bytes() == b"home/app").then_some(owned))
        }
    }

    fn file(path: &str, text: &'static str) -> Entry {
        let path = EntryPath::new(path).unwrap();
        Entry::new(path, Kind::File(Content::Bytes(text.as_bytes().into())), 0o644)
    }

    fn finish(entries: Vec<Entry>) -> Result<Vec<(String, u32, u64)>, String> {
        let mut placer = Placer::default();
        entries.into_iter().for_each(|entry| placer.put(entry));
        match placer.finish(&Nothing, 0) {
            Ok(entries) => Ok(entries.iter().map(|e| (e.path.to_string(), e.mode, e.uid)).collect()),
            Err(PlaceError::Conflict(conflict)) => Err(conflict.to_string()),
            Err(PlaceError::Ground(never)) => match never {},
        }
    }

    #[test]
    fn parents_come_from_below_or_have_their_usual_modes() {
        let entries = finish(vec![file("home/app/x", ""), file("tmp/y", ""), file("a/b/c", "")]).unwrap();
        let expected = [
            ("a", 0o755, 0),
            ("a/b", 0o755, 0),
            ("a/b/c", 0o644, 0),
            ("home", 0o755, 0),
            ("home/app", 0o750, 7),
            ("home/app/x", 0o644, 0),
            ("tmp", 0o1777, 0),
            ("tmp/y", 0o644, 0),
        ];
        assert_eq!(entries, expected.map(|(path, mode, uid)| (path.to_owned(), mode, uid)));
    }

    #[test]
    fn of_two_files_the_later_one_stays() {
        let mut placer = Placer::default();
        placer.put(file("x", "first"));
        placer.put(file("x", "second"));
        let Ok(entries) = placer.finish(&Nothing, 0) else { panic!("no conflict") };
        assert_eq!(entries, [file("x", "second")]);
    }

    #[test]
    fn the_first_name_in_order_has_the_content() {
        let mut placer = Placer::default();
        let inode = || Some(Identity::Inode { device: 1, inode: 2 });
        placer.put_linked(file("z", "text"), inode());
        placer.put_linked(file("a", "text"), inode());
        let Ok(entries) = placer.finish(&Nothing, 0) else { panic!("no conflict") };
        assert_eq!(entries[0], file("a", "text"));
        assert_eq!(entries[1].kind, Kind::Hardlink(EntryPath::new("a").unwrap()));
    }

    #[test]
    fn a_file_cannot_be_a_directory_too() {
        let directory = Entry::new(EntryPath::new("x").unwrap(), Kind::Directory, 0o755);
        assert_eq!(
            finish(vec![file("x", ""), directory]).unwrap_err(),
            "x would be a file and a directory at once"
        );
        assert_eq!(
            finish(vec![file("x", ""), file("x/y", "")]).unwrap_err(),
            "x would be a file and a directory at once"
        );
    }
}
