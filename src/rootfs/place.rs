//! Entries of a layer in directories that the layer does not tell of.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::{error::RootfsError, index::TarIndex};
use crate::layer::{EntryPath, Kind};

/// The index with its entries where they land; `None` where that is where they are. `resolve` tells where the layers
/// below have a directory.
pub(super) fn placed(
    index: &TarIndex,
    resolve: impl Fn(&[u8]) -> Result<Option<EntryPath>, RootfsError>,
) -> Result<Option<Arc<TarIndex>>, RootfsError> {
    let mut implicit = BTreeSet::new();
    let items = index.items.iter().map(|item| &item.entry.path);
    for path in items.chain(&index.whiteouts).chain(index.opaques.iter()) {
        let mut above = path.parent();
        while let Some(at) = above.filter(|at| !implicit.contains(at)) {
            above = at.parent();
            if index.get(&at).is_none() {
                implicit.insert(at);
            }
        }
    }
    let mut moved: HashMap<EntryPath, Option<EntryPath>> = HashMap::new();
    for directory in implicit {
        let here = move_path(&directory, &moved);
        match resolve(here.as_bytes()) {
            Ok(there) if there.as_ref() != Some(&directory) => drop(moved.insert(directory, there)),
            // A file in the way is replaced by the directory.
            Ok(_) | Err(RootfsError::WrongKind { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    if moved.is_empty() {
        return Ok(None);
    }
    let mut index = index.clone();
    for item in &mut index.items {
        item.entry.path = move_path(&item.entry.path, &moved);
        if let Kind::Hardlink(target) = &mut item.entry.kind {
            *target = move_path(target, &moved);
        }
    }
    for list in [&mut index.whiteouts, &mut index.opaques] {
        list.iter_mut().for_each(|path| *path = move_path(path, &moved));
        list.sort();
        list.dedup();
    }
    index.items.sort_by(|a, b| a.entry.path.cmp(&b.entry.path));
    // Of two entries that land at one place the later is what stays.
    index.items.reverse();
    index.items.dedup_by(|a, b| a.entry.path == b.entry.path);
    index.items.reverse();
    Ok(Some(Arc::new(index)))
}

fn move_path(path: &EntryPath, moved: &HashMap<EntryPath, Option<EntryPath>>) -> EntryPath {
    let mut above = path.parent();
    while let Some(at) = above {
        if let Some(to) = moved.get(&at) {
            let rest = &path.as_bytes()[at.as_bytes().len() + 1..];
            return match to {
                Some(to) => to.join(rest),
                None => EntryPath::new(rest).unwrap_or_else(|| path.clone()),
            };
        }
        above = at.parent();
    }
    path.clone()
}
