//! Whole trees of a view.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
    sync::Arc,
};

use super::{
    error::RootfsError,
    index::Item,
    view::{Found, Hidden, View, implicit, solid_above},
};
use crate::{
    context::{Pattern, PatternError},
    layer::{Content, Entry, EntryPath, Kind},
};

impl View {
    /// What the directory at `path` (links followed) holds itself, sorted by name. `None`: it does not exist or is no
    /// directory.
    pub fn list(&self, path: impl AsRef<[u8]>) -> Result<Option<Vec<Item>>, RootfsError> {
        let root = match self.lookup(path.as_ref(), true)? {
            Some(Found::Root) => None,
            Some(Found::Item(item)) if item.entry.kind == Kind::Directory => Some(*item),
            _ => return Ok(None),
        };
        let path = root.as_ref().map(|root| root.entry.path.clone());
        let items = self.merged(root)?;
        Ok(Some(items.into_iter().filter(|item| item.entry.path.parent() == path).collect()))
    }

    /// The entry at `path` (links followed) and everything below it, sorted, under their real paths; the root itself
    /// is no entry. Symbolic links within are kept. `None`: it does not exist.
    pub fn subtree(&self, path: impl AsRef<[u8]>) -> Result<Option<Vec<Item>>, RootfsError> {
        match self.lookup(path.as_ref(), true)? {
            None => Ok(None),
            Some(Found::Root) => self.merged(None).map(Some),
            Some(Found::Item(item)) if item.entry.kind == Kind::Directory => {
                self.merged(Some(*item)).map(Some)
            }
            Some(Found::Item(item)) => Ok(Some(vec![*item])),
        }
    }

    /// The whole tree as one layer: sorted entries, names of one file as hard links to the first of them.
    pub fn flatten(&self) -> Result<Vec<Entry>, RootfsError> {
        let mut first: HashMap<(Arc<Path>, u64), EntryPath> = HashMap::new();
        let mut entries: Vec<Entry> = self.merged(None)?.into_iter().map(|item| item.entry).collect();
        for entry in &mut entries {
            if let Kind::File(Content::Range { file, offset, .. }) = &entry.kind {
                let name = first.entry((file.clone(), *offset)).or_insert_with(|| entry.path.clone());
                if *name != entry.path {
                    entry.kind = Kind::Hardlink(name.clone());
                }
            }
        }
        Ok(entries)
    }

    /// The paths that match `pattern` (the syntax of [`Pattern`]), sorted; not what is below a path that matches
    /// already. Links that a part of the pattern matches are followed for the parts behind it, but none within `**`.
    /// The paths are those that were matched, not those that links lead to. A pattern that matches nothing is tried as
    /// a plain name (`pages/[id].ts`).
    pub fn glob(
        &self,
        pattern: impl AsRef<[u8]>,
    ) -> Result<Result<Vec<EntryPath>, PatternError>, RootfsError> {
        let pattern = pattern.as_ref();
        let mut found: Vec<Vec<u8>> = vec![Vec::new()];
        let parts: Vec<&[u8]> =
            pattern.split(|b| *b == b'/').filter(|part| !matches!(*part, b"" | b".")).collect();
        for (number, part) in parts.iter().enumerate() {
            let deep = part.windows(2).any(|pair| pair == b"**");
            let written = if deep { parts[number..].join(&b'/') } else { part.to_vec() };
            let parsed = match Pattern::parse(&written) {
                Ok(parsed) => parsed,
                Err(bad) => return Ok(Err(bad)),
            };
            let mut next = Vec::new();
            for at in found {
                let below = |name: &[u8]| [&at, &b"/"[..], name].concat();
                match parsed.literal() {
                    _ if deep => next.extend(self.matching(&at, &parsed)?.iter().map(|name| below(name))),
                    // Whether it is there is asked of the whole path, at the end.
                    Some(name) => next.push(below(&name)),
                    None => {
                        let items = existing(self.list(&at))?.unwrap_or_default();
                        let names = items.iter().map(|item| item.entry.path.name());
                        next.extend(names.filter(|name| parsed.matches(name)).map(below));
                    }
                }
            }
            found = next;
            if deep {
                break;
            }
        }
        let mut paths = Vec::new();
        for path in found.iter().filter_map(EntryPath::new) {
            if existing(self.lookup(path.as_bytes(), false))?.is_some() {
                paths.push(path);
            }
        }
        if let (true, Some(plain)) = (paths.is_empty(), EntryPath::new(pattern))
            && existing(self.lookup(plain.as_bytes(), true))?.is_some()
        {
            paths.push(plain);
        }
        paths.sort();
        Ok(Ok(paths))
    }

    /// The paths below a directory, relative to it, that match the pattern.
    fn matching(&self, directory: &[u8], pattern: &Pattern) -> Result<Vec<Vec<u8>>, RootfsError> {
        let root = match existing(self.lookup(directory, true))? {
            Some(Found::Root) => None,
            Some(Found::Item(item)) if item.entry.kind == Kind::Directory => Some(*item),
            _ => return Ok(Vec::new()),
        };
        let cut = root.as_ref().map_or(0, |root| root.entry.path.as_bytes().len() + 1);
        let mut found: Vec<Vec<u8>> = Vec::new();
        let mut last: Option<EntryPath> = None;
        for item in self.merged(root)? {
            let path = item.entry.path;
            let Some(relative) = path.as_bytes().get(cut..) else { continue };
            if last.as_ref().is_none_or(|last| !path.starts_with(last)) && pattern.matches(relative) {
                found.push(relative.to_vec());
                last = Some(path);
            }
        }
        Ok(found)
    }

    /// All entries at and below `directory`, or the root, sorted.
    fn merged(&self, directory: Option<Item>) -> Result<Vec<Item>, RootfsError> {
        let root = directory.as_ref().map(|item| &item.entry.path);
        let mut merged: BTreeMap<EntryPath, Item> = BTreeMap::new();
        let mut hidden = Hidden::default();
        let mut implied: HashSet<EntryPath> = HashSet::new();
        for number in (0..self.count()).rev() {
            if root.is_some_and(|root| hidden.hides(root) || hidden.cleared.contains(root)) {
                break;
            }
            let layer = self.layer(number)?;
            let items = match root {
                Some(root) => layer.below(root),
                None => layer.items(),
            };
            let mut solid = Vec::new();
            let mut parents = Vec::new();
            let mut above: Option<(Option<EntryPath>, bool)> = None;
            for item in items {
                let path = &item.entry.path;
                // Siblings share what hides their directory.
                let parent = path.parent();
                if above.as_ref().is_none_or(|(known, _)| *known != parent) {
                    let hides =
                        parent.as_ref().is_some_and(|at| hidden.hides(at) || hidden.cleared.contains(at));
                    above = Some((parent, hides));
                }
                if above.as_ref().is_some_and(|(_, hides)| *hides) || hidden.gone.contains(path) {
                    continue;
                }
                if item.entry.kind != Kind::Directory {
                    solid.push(path.clone());
                }
                if !merged.contains_key(path)
                    && (item.entry.kind == Kind::Directory || !implied.contains(path))
                {
                    merged.insert(path.clone(), self.linked(number, item.clone())?);
                }
            }
            // A directory that entries lie in is there, also where a layer above hides these.
            let opaque = layer.opaques().iter().filter(|path| {
                !layer.get(path).is_some_and(|item| item.entry.kind != Kind::Directory)
                    && !solid_above(&layer, path)
            });
            let inner = items.iter().filter_map(|item| item.entry.path.parent());
            for path in inner.chain(opaque.cloned()) {
                let mut above = Some(path);
                while let Some(at) = above.filter(|at| !implied.contains(at)) {
                    above = at.parent();
                    if !hidden.hides(&at) {
                        implied.insert(at.clone());
                        parents.push(at);
                    }
                }
            }
            hidden.gone.extend(layer.whiteouts().iter().cloned());
            // A file also ends what a directory in a layer above it could take from a lower one.
            hidden.gone.extend(solid);
            hidden.cleared.extend(layer.opaques().iter().cloned());
            if let Some(root) = root {
                let mut above = root.parent();
                while let Some(at) = above {
                    if layer.get(&at).is_some_and(|item| item.entry.kind != Kind::Directory) {
                        hidden.cleared.insert(at.clone());
                    }
                    above = at.parent();
                }
                if layer.get(root).is_some_and(|item| item.entry.kind != Kind::Directory) {
                    hidden.gone.insert(root.clone());
                }
            }
            for at in parents.into_iter().filter(|at| root.is_none_or(|root| at.starts_with(root))) {
                // Below a whiteout of this same layer, only the layer's own entries count.
                if (hidden.gone.contains(&at) || hidden.hides(&at)) && !merged.contains_key(&at) {
                    merged.insert(at.clone(), implicit(&at));
                }
            }
        }
        for at in implied {
            if root.is_none_or(|root| at.starts_with(root)) && !merged.contains_key(&at) {
                merged.insert(at.clone(), implicit(&at));
            }
        }
        // What is hidden in a directory does not say where its own entry is.
        merged.extend(directory.clone().map(|item| (item.entry.path.clone(), item)));
        Ok(merged.into_values().collect())
    }
}

/// Links that lead nowhere match nothing.
fn existing<T>(result: Result<Option<T>, RootfsError>) -> Result<Option<T>, RootfsError> {
    match result {
        Err(RootfsError::Loop { .. }) => Ok(None),
        other => other,
    }
}
