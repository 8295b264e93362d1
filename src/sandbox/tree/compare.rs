//! What a command changed in a directory, for hosts without overlayfs: by looking at every file before and after.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::Path,
    thread,
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

use super::{
    attributes::under, copy::TreeWriter, error::TreeError, flavour::Flavour, merged::read_names,
    unpack::path_of,
};
use crate::layer::EntryPath;

/// All files of a directory as they are at one time.
#[derive(Debug, Clone)]
pub struct Snapshot(BTreeMap<EntryPath, Stamp>);

/// What tells a file that changed from one that did not: any change of content or attributes changes the ctime, which
/// nobody can set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    mode: u32,
    owner: (u32, u32),
    size: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
    device: u64,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            mode: metadata.mode(),
            owner: (metadata.uid(), metadata.gid()),
            // Of directories, size and links say nothing that the times do not.
            size: if metadata.is_dir() { 0 } else { metadata.size() },
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
            ctime: (metadata.ctime(), metadata.ctime_nsec()),
            device: metadata.rdev(),
        }
    }

    /// Whether it can have attributes of users.
    pub(super) fn takes_attributes(&self) -> bool {
        matches!(self.mode & 0o170_000, 0o040_000 | 0o100_000)
    }

    fn is_directory(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }
}

/// Looks at all files below `dir`. What is mounted there is not entered.
pub fn snapshot(dir: &Path) -> Result<Snapshot, TreeError> {
    let found = walk(dir)?;
    // The clock of file systems ticks in milliseconds. A change within the tick of the last one here would go unseen.
    let newest = found.values().map(|stamp| stamp.ctime).max().unwrap_or_default();
    let now = || {
        let now = clock_gettime(ClockId::RealtimeCoarse);
        (now.tv_sec, now.tv_nsec)
    };
    let started = now().0;
    while now() <= newest && now().0 <= started + 1 {
        thread::sleep(Duration::from_millis(1));
    }
    Ok(Snapshot(found))
}

pub(super) fn walk(dir: &Path) -> Result<BTreeMap<EntryPath, Stamp>, TreeError> {
    let look = |path: &Path| fs::symlink_metadata(path).map_err(TreeError::io("look at", path));
    let device = look(dir)?.dev();
    let mut found = BTreeMap::new();
    let mut left = vec![None];
    while let Some(at) = left.pop() {
        let here = at.as_ref().map_or_else(|| dir.to_owned(), |at| under(dir, at));
        for name in read_names(&here)? {
            let Some(path) = path_of(at.as_ref(), &name) else { continue };
            let metadata = look(&here.join(name))?;
            if metadata.is_dir() && metadata.dev() == device {
                left.push(Some(path.clone()));
            }
            found.insert(path, Stamp::of(&metadata));
        }
    }
    Ok(found)
}

/// Writes what has changed in `dir` since the snapshot into `upper`, a new or empty directory, as a tree that on top of
/// the earlier state shows the present one. Returns what had to be left out.
pub fn compare(
    before: &Snapshot,
    dir: &Path,
    upper: &Path,
    flavour: Flavour,
) -> Result<Vec<String>, TreeError> {
    let after = walk(dir)?;
    let mut comparison = Comparison { dir, writer: TreeWriter::new(upper, flavour)?, fresh: BTreeSet::new() };
    for (path, now) in &after {
        comparison.present(path, before.0.get(path), now)?;
    }
    let mut gone: Option<&EntryPath> = None;
    for path in before.0.keys() {
        if after.contains_key(path) || gone.is_some_and(|gone| path.starts_with(gone)) {
            continue;
        }
        gone = Some(path);
        let parent = path.parent();
        // Where its directory is something else by now, that hides it already.
        if parent.as_ref().is_none_or(|at| after.get(at).is_some_and(Stamp::is_directory))
            && !comparison.in_fresh(path)
        {
            comparison.parents(path)?;
            comparison.writer.whiteout(path)?;
        }
    }
    comparison.writer.finish()
}

struct Comparison<'a> {
    dir: &'a Path,
    writer: TreeWriter<'a>,
    /// Directories that have come in the place of others.
    fresh: BTreeSet<EntryPath>,
}

impl Comparison<'_> {
    fn present(&mut self, path: &EntryPath, old: Option<&Stamp>, now: &Stamp) -> Result<(), TreeError> {
        if old == Some(now) && !self.in_fresh(path) {
            return Ok(());
        }
        self.parents(path)?;
        let from = under(self.dir, path);
        let metadata = fs::symlink_metadata(&from).map_err(TreeError::io("look at", &from))?;
        if !now.is_directory() {
            return self.writer.file(path, &from, &metadata);
        }
        let replaced = old.is_some_and(|old| !old.is_directory() || old.inode != now.inode);
        if replaced {
            self.fresh.insert(path.clone());
        }
        self.writer.directory(path, &from, &metadata, replaced)
    }

    fn in_fresh(&self, path: &EntryPath) -> bool {
        let mut above = if self.fresh.is_empty() { None } else { path.parent() };
        while let Some(at) = above {
            if self.fresh.contains(&at) {
                return true;
            }
            above = at.parent();
        }
        false
    }

    /// Makes the directories that lead to a path, as they are now.
    fn parents(&mut self, path: &EntryPath) -> Result<(), TreeError> {
        let mut missing = Vec::new();
        let mut above = path.parent();
        while let Some(at) = above.filter(|at| !self.writer.has_directory(at)) {
            above = at.parent();
            missing.push(at);
        }
        for at in missing.into_iter().rev() {
            let from = under(self.dir, &at);
            let metadata = fs::symlink_metadata(&from).map_err(TreeError::io("look at", &from))?;
            self.writer.directory(&at, &from, &metadata, false)?;
        }
        Ok(())
    }
}
