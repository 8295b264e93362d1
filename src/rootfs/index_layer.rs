//! An index as a layer's entries.

use std::{cmp::Ordering, collections::HashMap};

use super::index::TarIndex;
use crate::layer::{Content, Entry, EntryPath, Kind};

impl TarIndex {
    /// All entries in a layer's order, with its whiteouts in their places, names of one file as hard links to the
    /// first of them. What was written in this order comes back as it was.
    pub fn layer(&self) -> Vec<Entry> {
        let mut first: HashMap<u64, EntryPath> = HashMap::new();
        let mut entries: Vec<Entry> = self.entries().collect();
        entries.sort_by(|a, b| a.path.cmp(&b.path).then_with(|| marks_last(&a.kind, &b.kind)));
        for entry in &mut entries {
            let Kind::File(Content::Range { offset, .. }) = &entry.kind else { continue };
            let name = first.entry(*offset).or_insert_with(|| entry.path.clone());
            if *name != entry.path {
                entry.kind = Kind::Hardlink(name.clone());
            }
        }
        entries
    }

    /// Whether the index tells of every directory that something of it lies in: then it means the same on whatever
    /// layers it lies.
    pub fn is_complete(&self) -> bool {
        let paths = self.items.iter().map(|item| &item.entry.path);
        let mut seen: Option<EntryPath> = None;
        paths.chain(&self.whiteouts).chain(&self.opaques).all(|path| {
            let parent = path.parent();
            if parent.is_none() || parent == seen {
                return true;
            }
            let told = parent.as_ref().and_then(|parent| self.get(parent));
            seen = parent;
            told.is_some_and(|item| item.entry.kind == Kind::Directory)
        })
    }
}

fn marks_last(a: &Kind, b: &Kind) -> Ordering {
    let mark = |kind: &Kind| matches!(kind, Kind::Opaque | Kind::Whiteout);
    mark(a).cmp(&mark(b))
}
