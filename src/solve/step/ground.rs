//! What lies below a step, and the trees that it copies from.

use std::{
    cell::RefCell,
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock},
};

use super::super::{
    StepError, base_layers,
    place::Ground,
    run::{Run, lock},
};
use crate::{
    graph::{BaseId, Tree},
    image::BaseLayer,
    layer::{Content, Entry, EntryPath, Kind},
    rootfs::{Found, Item, LayerSource, PlacedLayer, RootfsError, TarIndex, View},
};

/// A tree as one view. No base layer is fetched before one is looked at.
pub(in super::super) fn view(run: &Arc<Run>, tree: &Tree) -> View {
    let base = tree.base.map(|id| (id, run.bases[id.0].layers()));
    let layers = run.placed.of(tree, base.as_ref().map_or(0, |(_, layers)| layers.len()));
    View::sharing(TreeLayers { run: Arc::clone(run), base, tree: tree.clone() }, layers)
}

/// The layers that views of a build have looked at. The steps of a stage see one tree, each with a layer more: without
/// this each would read all of it anew.
#[derive(Default)]
pub(in super::super) struct PlacedLayers(Mutex<HashMap<Tree, Vec<PlacedLayer>>>);

impl PlacedLayers {
    /// Those of a tree, whose base has so many layers.
    fn of(&self, tree: &Tree, base: usize) -> Vec<PlacedLayer> {
        let mut known = lock(&self.0);
        let mut below = tree.clone();
        let mut layers = loop {
            if let Some(layers) = known.get(&below) {
                break layers.clone();
            }
            if below.nodes.pop().is_none() {
                let mut layers = Vec::new();
                layers.resize_with(base, PlacedLayer::default);
                known.insert(below, layers.clone());
                break layers;
            }
        };
        if layers.len() < base + tree.nodes.len() {
            layers.resize_with(base + tree.nodes.len(), PlacedLayer::default);
            known.insert(tree.clone(), layers.clone());
        }
        layers
    }
}

struct TreeLayers {
    run: Arc<Run>,
    base: Option<(BaseId, Vec<BaseLayer>)>,
    tree: Tree,
}

impl LayerSource for TreeLayers {
    fn count(&self) -> usize {
        self.base.as_ref().map_or(0, |(_, layers)| layers.len()) + self.tree.nodes.len()
    }

    fn index(&self, layer: usize) -> Result<Arc<TarIndex>, RootfsError> {
        let lower = self.base.as_ref().map_or(0, |(_, layers)| layers.len());
        if layer >= lower {
            return self.run.index(self.tree.nodes[layer - lower]);
        }
        match &self.base {
            Some((id, layers)) => base_layers::index(&self.run, *id, &layers[layer]),
            None => Ok(Arc::new(index_of(&[])?)),
        }
    }
}

/// Entries as views look at them.
pub(in super::super) fn index_of(entries: &[Entry]) -> Result<TarIndex, RootfsError> {
    let item = |entry: &Entry| Item {
        digest: match &entry.kind {
            Kind::File(Content::File { digest, .. } | Content::Range { digest, .. }) => *digest,
            _ => None,
        },
        entry: entry.clone(),
    };
    TarIndex::of_entries(entries.iter().map(item)).map_err(|error| RootfsError::tar("a layer")(error))
}

/// What lies below a step: a view, and a quick way around it. Most steps look only for the few directories that lead to
/// their destination, among the entries of earlier steps, which are sorted: no index has to be made for that.
pub(super) struct Below {
    run: Arc<Run>,
    tree: Tree,
    view: OnceLock<View>,
    /// Where directories really are, as far as it was asked.
    places: RefCell<HashMap<EntryPath, Option<EntryPath>>>,
    /// Which paths are directories, as far as it was asked.
    directories: RefCell<HashMap<EntryPath, bool>>,
}

/// What is at a path.
pub(super) struct Spot {
    /// Where it really is; `None` is the root.
    pub(super) path: Option<EntryPath>,
    /// What is there, if anything.
    pub(super) kind: Option<Kind>,
}

impl Spot {
    pub(super) fn is_directory(&self) -> bool {
        self.kind == Some(Kind::Directory)
    }
}

impl Below {
    pub(super) fn new(run: &Arc<Run>, tree: &Tree) -> Self {
        Self {
            run: Arc::clone(run),
            tree: tree.clone(),
            view: OnceLock::new(),
            places: RefCell::default(),
            directories: RefCell::default(),
        }
    }

    /// All of it, as a view.
    pub(super) fn view(&self) -> &View {
        self.view.get_or_init(|| view(&self.run, &self.tree))
    }

    /// Where a directory really is: see [`View::resolve_directory`].
    pub(super) fn resolve_directory(&self, path: &EntryPath) -> Result<Option<EntryPath>, StepError> {
        match self.plain(path) {
            Some(_) => Ok(Some(path.clone())),
            None => Ok(self.view().resolve_directory(path.as_bytes())?),
        }
    }

    /// What is at a path, with all links followed, the last one too. `None` is the root.
    pub(super) fn find(&self, path: Option<&EntryPath>) -> Result<Spot, StepError> {
        let Some(path) = path else { return Ok(Spot { path: None, kind: Some(Kind::Directory) }) };
        if let Some(found) = self.plain(path) {
            return Ok(Spot { path: Some(path.clone()), kind: found.map(|entry| entry.kind) });
        }
        Ok(match self.view().lookup(path.as_bytes(), true)? {
            Some(Found::Root) => Spot { path: None, kind: Some(Kind::Directory) },
            Some(Found::Item(item)) => Spot { path: Some(item.entry.path), kind: Some(item.entry.kind) },
            None => Spot { path: self.resolve_directory(path)?, kind: None },
        })
    }

    /// Whether there is a directory at exactly this path, whose parents are no links.
    pub(super) fn is_directory(&self, path: &EntryPath) -> Result<bool, StepError> {
        if self.tree.base.is_none() && self.tree.nodes.is_empty() {
            return Ok(false);
        }
        // Most files go to new directories: then there is nothing to look for.
        if let Some(parent) = path.parent() {
            let known = self.directories.borrow().get(&parent).copied();
            let there = match known {
                Some(there) => there,
                None => self.directory(&parent)?.is_some(),
            };
            self.directories.borrow_mut().insert(parent, there);
            if !there {
                return Ok(false);
            }
        }
        Ok(self.directory(path)?.is_some())
    }

    /// As [`Self::follow`], but where there is no base, no links are looked for.
    pub(super) fn place(&self, path: EntryPath, directory: bool) -> Result<Option<EntryPath>, StepError> {
        if self.tree.base.is_none() {
            return Ok(Some(path));
        }
        self.follow(path, directory)
    }

    /// Where an entry that is put at `path` ends up, with the links on its way followed. `None`: it is a directory, and
    /// what is there is a link to one, which stays.
    pub(super) fn follow(&self, path: EntryPath, directory: bool) -> Result<Option<EntryPath>, StepError> {
        let place = match path.parent() {
            None => path,
            Some(parent) => match self.resolved(&parent)? {
                Some(real) if real == parent => path,
                Some(parent) => parent.join(path.name()),
                None => EntryPath::new(path.name()).unwrap_or(path),
            },
        };
        if directory && self.resolved(&place)?.as_ref() != Some(&place) {
            return Ok(None);
        }
        Ok(Some(place))
    }

    fn resolved(&self, path: &EntryPath) -> Result<Option<EntryPath>, StepError> {
        if let Some(known) = self.places.borrow().get(path) {
            return Ok(known.clone());
        }
        let place = self.resolve_directory(path)?;
        self.places.borrow_mut().insert(path.clone(), place.clone());
        Ok(place)
    }

    /// The entry of a directory, if nothing but directories lead to it and no layer takes anything away on the way:
    /// `Some(None)` where there is nothing at all. `None`: only the view can tell.
    fn plain(&self, path: &EntryPath) -> Option<Option<Entry>> {
        if self.tree.base.is_some() {
            return None;
        }
        let mut found = None;
        let mut above = Some(path.clone());
        while let Some(at) = above {
            for id in self.tree.nodes.iter().rev() {
                // What went wrong, the view tells.
                let entries = self.run.entries(*id).ok()?;
                let first = entries.partition_point(|entry| entry.path < at);
                let Some(entry) = entries.get(first).filter(|entry| entry.path == at) else { continue };
                let next = entries.get(first + 1).filter(|entry| entry.path == at);
                if entry.kind != Kind::Directory || next.is_some() {
                    return None;
                }
                if at == *path && found.is_none() {
                    found = Some(entry.clone());
                }
            }
            above = at.parent();
        }
        Some(found)
    }
}

impl Ground for Below {
    type Error = StepError;

    fn directory(&self, path: &EntryPath) -> Result<Option<Entry>, StepError> {
        if let Some(found) = self.plain(path) {
            return Ok(found);
        }
        match self.view().lookup(path.as_bytes(), false)? {
            Some(Found::Item(item)) if item.entry.kind == Kind::Directory => Ok(Some(item.entry)),
            _ => Ok(None),
        }
    }
}
