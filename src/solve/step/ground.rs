//! What lies below a step, and the trees that it copies from.

use std::{
    cell::RefCell,
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use tokio::runtime::Handle;

use super::super::{StepError, place::Ground, run::Run};
use crate::{
    graph::Tree,
    image::{Base, BaseLayer, fetch_layer},
    layer::{Content, Entry, EntryPath, Kind},
    rootfs::{Found, Item, LayerSource, RootfsError, TarIndex, View, materialise_layer},
};

/// A tree as one view. Base layers are fetched when they are looked at, and not before.
pub(super) fn view(run: &Arc<Run>, tree: &Tree) -> View {
    let base = tree.base.map(|id| {
        let base = Arc::clone(&run.bases[id.0]);
        let layers = base.layers();
        (base, layers)
    });
    View::new(TreeLayers { run: Arc::clone(run), base, tree: tree.clone() })
}

struct TreeLayers {
    run: Arc<Run>,
    base: Option<(Arc<Base>, Vec<BaseLayer>)>,
    tree: Tree,
}

impl LayerSource for TreeLayers {
    fn count(&self) -> usize {
        self.base.as_ref().map_or(0, |(_, layers)| layers.len()) + self.tree.nodes.len()
    }

    fn index(&self, layer: usize) -> Result<Arc<TarIndex>, RootfsError> {
        let lower = self.base.as_ref().map_or(0, |(_, layers)| layers.len());
        if layer >= lower {
            return match self.run.made(self.tree.nodes[layer - lower]) {
                Some(made) => made.index(),
                // Nodes wait for those that they look at before they begin.
                None => Ok(Arc::new(index_of(&[])?)),
            };
        }
        let Some((base, layers)) = &self.base else { return Ok(Arc::new(index_of(&[])?)) };
        let layer = &layers[layer];
        let engine = &self.run.engine;
        materialise_layer(&engine.store, &layer.diff_id, &base.name, || {
            Handle::current().block_on(fetch_layer(&engine.store, &engine.registry, base, layer))?;
            Ok(engine.store.open_blob(&layer.descriptor.digest)?)
        })
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
}

impl Below {
    pub(super) fn new(run: &Arc<Run>, tree: &Tree) -> Self {
        Self { run: Arc::clone(run), tree: tree.clone(), view: OnceLock::new(), places: RefCell::default() }
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

    /// Where an entry that is put at `path` ends up, with the links on its way followed. `None`: it is a directory, and
    /// what is there is a link to one, which stays.
    pub(super) fn place(&self, path: EntryPath, directory: bool) -> Result<Option<EntryPath>, StepError> {
        if self.tree.base.is_none() {
            return Ok(Some(path));
        }
        let place = match path.parent() {
            None => path,
            Some(parent) => match self.resolved(&parent)? {
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
                let entries = &self.run.made(*id)?.entries;
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
