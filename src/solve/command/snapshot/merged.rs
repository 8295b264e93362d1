//! The layers of a snapshot as one list of entries.

use std::collections::BTreeMap;

use crate::{
    layer::{Entry, EntryPath, Kind},
    rootfs::{Item, TarIndex},
};

/// What a cache mount holds: directories, files and symbolic links, by path.
#[derive(Debug, Clone, Default)]
pub(super) struct Merged(pub(super) BTreeMap<EntryPath, Item>);

impl Merged {
    /// What these layers hold, lowest first.
    pub(super) fn of<'a>(layers: impl IntoIterator<Item = &'a TarIndex>) -> Self {
        let mut merged = Self::default();
        layers.into_iter().for_each(|layer| merged.put(layer));
        merged
    }

    /// Puts a layer on top.
    fn put(&mut self, layer: &TarIndex) {
        for path in layer.opaques().iter().chain(layer.whiteouts()) {
            self.remove(path);
        }
        for item in layer.items() {
            let item = match &item.entry.kind {
                // Its file is in a layer below.
                Kind::Hardlink(target) => {
                    let Some(file) = self.0.get(target) else { continue };
                    let entry = Entry { path: item.entry.path.clone(), ..file.entry.clone() };
                    Some(Item { entry, digest: file.digest })
                }
                _ => kept(item.clone()),
            };
            let Some(item) = item else { continue };
            if item.entry.kind != Kind::Directory {
                self.remove(&item.entry.path);
            }
            self.0.insert(item.entry.path.clone(), item);
        }
    }

    fn remove(&mut self, path: &EntryPath) {
        for gone in self.below(path) {
            self.0.remove(&gone);
        }
    }

    /// This path and all below it, as far as there is something.
    fn below(&self, path: &EntryPath) -> Vec<EntryPath> {
        let from = self.0.range(path.clone()..).map(|(path, _)| path);
        from.take_while(|found| found.starts_with(path)).cloned().collect()
    }

    pub(super) fn get(&self, path: &EntryPath) -> Option<&Item> {
        self.0.get(path)
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &EntryPath> {
        self.0.keys()
    }

    /// The bytes of all files.
    pub(super) fn size(&self) -> u64 {
        self.0.values().map(|item| size(&item.entry)).sum()
    }
}

/// An entry as snapshots have it; `None`: they do not have such. Nothing in a directory that steps share is worth a
/// device, or a program that runs with somebody else's rights.
pub(super) fn kept(mut item: Item) -> Option<Item> {
    item.entry.mode &= match item.entry.kind {
        Kind::Directory => 0o3777,
        Kind::File(_) | Kind::Symlink(_) | Kind::Hardlink(_) => 0o777,
        _ => return None,
    };
    item.entry.xattrs.clear();
    Some(item)
}

/// The bytes of a file.
pub(super) fn size(entry: &Entry) -> u64 {
    match &entry.kind {
        Kind::File(content) => content.size(),
        _ => 0,
    }
}
