//! What a new snapshot is to hold, and which files have to be looked at for it.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use super::{
    import::Imported,
    merged::{Merged, kept, size},
};
use crate::{
    layer::{Content, Entry, EntryPath, Kind},
    rootfs::{Item, TarIndex},
};

/// The directory as it is listed, and what it began with.
pub(super) struct Plan {
    imported: Option<Arc<Imported>>,
    listed: BTreeMap<EntryPath, Entry>,
    /// Files that are known without a look at them.
    known: BTreeMap<EntryPath, Item>,
}

impl Plan {
    pub(super) fn new(listed: Vec<Entry>, imported: Option<Arc<Imported>>) -> Self {
        let listed = listed.into_iter().filter_map(|entry| kept(Item { entry, digest: None }));
        let listed: BTreeMap<EntryPath, Entry> =
            listed.map(|item| (item.entry.path.clone(), item.entry)).collect();
        let mut plan = Self { imported, listed, known: BTreeMap::new() };
        let known = plan.listed.values().filter_map(|entry| plan.unchanged(entry).cloned());
        let known = known.map(|item| (item.entry.path.clone(), item)).collect();
        plan.known = known;
        plan
    }

    /// The file that the directory began with, where this one is surely it still: whoever changes a file can set its
    /// times, but not that of the inode's change.
    fn unchanged(&self, entry: &Entry) -> Option<&Item> {
        let imported = self.imported.as_ref()?;
        let (first, content) = match &entry.kind {
            Kind::File(content) => (entry, content),
            Kind::Hardlink(target) => match self.listed.get(target) {
                Some(first @ Entry { kind: Kind::File(content), .. }) => (first, content),
                _ => return None,
            },
            _ => return None,
        };
        let Content::File { stat, .. } = content else { return None };
        let (from, to) = imported.made;
        let item = imported.merged.get(&entry.path)?;
        let same = (from..to).contains(&stat.ctime)
            && imported.merged.get(&first.path)?.entry.kind == item.entry.kind
            && size(&item.entry) == stat.size
            && same_attributes(&item.entry, first);
        same.then_some(item)
    }

    /// Leaves the oldest files out, here and in what the cache has, until the rest has at most so many bytes.
    pub(super) fn cap(&mut self, base: &mut Merged, most: u64) {
        let kept_of_base: BTreeMap<&EntryPath, &Entry> = {
            let gone = |path: &EntryPath| self.is_gone(path);
            let items = base.0.values().map(|item| (&item.entry.path, &item.entry));
            items.filter(|(path, _)| !self.listed.contains_key(*path) && !gone(path)).collect()
        };
        let files = self.listed.iter().chain(kept_of_base);
        let mut files: Vec<(i64, u64, EntryPath)> =
            files.map(|(path, entry)| (entry.mtime, size(entry), path.clone())).collect();
        files.retain(|(_, size, _)| *size > 0);
        let mut total = files.iter().map(|(_, size, _)| *size).fold(0, u64::saturating_add);
        files.sort_unstable();
        let mut dropped = HashSet::new();
        for (_, size, path) in files {
            if total <= most {
                break;
            }
            total -= size;
            self.listed.remove(&path);
            self.known.remove(&path);
            base.0.remove(&path);
            dropped.insert(path);
        }
        if dropped.is_empty() {
            return;
        }
        let of_dropped =
            |entry: &Entry| matches!(&entry.kind, Kind::Hardlink(first) if dropped.contains(first));
        self.listed.retain(|_, entry| !of_dropped(entry));
    }

    /// Whether the directory began with a snapshot in this build.
    pub(super) fn is_imported(&self) -> bool {
        self.imported.is_some()
    }

    /// Whether the steps of this build removed it.
    fn is_gone(&self, path: &EntryPath) -> bool {
        self.imported.as_ref().is_some_and(|imported| imported.merged.get(path).is_some())
            && !self.listed.contains_key(path)
    }

    /// The files that have to be looked at, in the order in which they were listed: a link's file before it.
    pub(super) fn unsure(&self) -> Vec<Entry> {
        let unsure = |entry: &&Entry| {
            matches!(entry.kind, Kind::File(_) | Kind::Hardlink(_)) && !self.known.contains_key(&entry.path)
        };
        let wanted: BTreeSet<&EntryPath> = self
            .listed
            .values()
            .filter(unsure)
            .flat_map(|entry| {
                let first = match &entry.kind {
                    Kind::Hardlink(first) => Some(first),
                    _ => None,
                };
                first.into_iter().chain([&entry.path])
            })
            .collect();
        wanted.into_iter().filter_map(|path| self.listed.get(path)).cloned().collect()
    }

    /// What the snapshot is to hold: the directory, of which `looked_at` has the files that were looked at, and what the
    /// cache has besides.
    pub(super) fn complete(&self, looked_at: Option<&TarIndex>, base: &Merged) -> Merged {
        let mut all = Merged::default();
        for (path, entry) in &self.listed {
            let item = match (&entry.kind, looked_at.and_then(|index| index.get(path))) {
                (Kind::Directory | Kind::Symlink(_), _) => Item { entry: entry.clone(), digest: None },
                (_, Some(item)) => {
                    Item { entry: Entry { xattrs: BTreeMap::new(), ..item.entry.clone() }, ..item.clone() }
                }
                (_, None) => match self.known.get(path) {
                    Some(item) => item.clone(),
                    None => continue,
                },
            };
            all.0.insert(path.clone(), item);
        }
        for (path, item) in &base.0 {
            if self.is_gone(path) || all.0.contains_key(path) || !fits_in(&all, path) {
                continue;
            }
            all.0.insert(path.clone(), item.clone());
        }
        all
    }
}

/// Whether all that a path lies in are directories. (Those of the cache are there before what they hold.)
fn fits_in(all: &Merged, path: &EntryPath) -> bool {
    path.parent()
        .is_none_or(|parent| all.get(&parent).is_some_and(|found| found.entry.kind == Kind::Directory))
}

fn same_attributes(a: &Entry, b: &Entry) -> bool {
    (a.mode, a.uid, a.gid, a.mtime) == (b.mode, b.uid, b.gid, b.mtime)
}

/// What has to lie on layers that hold `old`, so that together they hold `new`. Times count where `times` says so: of
/// directories, they never do.
pub(super) fn difference(old: &Merged, new: &Merged, times: bool) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut hidden: Option<&EntryPath> = None;
    for path in old.paths().filter(|path| new.get(path).is_none()) {
        // What is taken away takes all below along, and so does what comes in the place of a directory.
        if hidden.is_some_and(|hidden| path.starts_with(hidden)) {
            continue;
        }
        hidden = Some(path);
        if path
            .parent()
            .is_none_or(|parent| new.get(&parent).is_none_or(|found| found.entry.kind == Kind::Directory))
        {
            entries.push(Entry::new(path.clone(), Kind::Whiteout, 0));
        }
    }
    for (path, item) in &new.0 {
        if !old.get(path).is_some_and(|old| is_same(old, item, times)) {
            entries.push(item.entry.clone());
        }
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    entries
}

fn is_same(old: &Item, new: &Item, times: bool) -> bool {
    let (a, b) = (&old.entry, &new.entry);
    if (a.mode, a.uid, a.gid) != (b.mode, b.uid, b.gid) {
        return false;
    }
    match (&a.kind, &b.kind) {
        (Kind::Directory, Kind::Directory) => true,
        (Kind::File(x), Kind::File(y)) => {
            let content = x == y || (old.digest.is_some() && old.digest == new.digest);
            content && (!times || a.mtime == b.mtime)
        }
        (Kind::Symlink(x), Kind::Symlink(y)) => x == y,
        _ => false,
    }
}
