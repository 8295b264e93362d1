//! A directory on this machine as a build context.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    ContextError, Filter, Ignore, Picked, Selection, hash,
    select::{Chosen, choose, item},
    source::Source,
    stat_cache::{Moment, StatCache, moment},
    tree::{Inside, Node, Reader, read_below},
};
use crate::{event::Sink, store::Store};

/// A directory on this machine as a build context. Cheap to clone; clones share what has been read: each directory is
/// walked and each file hashed at most once, however many steps copy from it.
#[derive(Debug, Clone)]
pub struct Context {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    ignore: Ignore,
    store: Store,
    sink: Sink,
    cache: StatCache,
    /// When all this began, on the clock of the context's file system: nothing was read before.
    moment: Moment,
    top: Node,
    /// Held while the stat cache is written.
    saving: Mutex<()>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.top.forget();
    }
}

impl Context {
    /// Opens a directory as a context. Nothing but its root is looked at yet.
    pub fn open(root: &Path, ignore: Ignore, store: &Store, sink: &Sink) -> Result<Self, ContextError> {
        let root = root.canonicalize().map_err(|source| ContextError::Io {
            action: "open the build context",
            path: root.to_owned(),
            source,
        })?;
        let top = Node::root(&root, ignore.filter())?;
        let moment = moment(&root, store)?;
        let known = store.stat_path(&root);
        store.use_file(&known);
        let cache = StatCache::load(&known);
        let (store, sink) = (store.clone(), sink.clone());
        let inner = Inner { root, ignore, store, sink, cache, moment, top, saving: Mutex::new(()) };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The root, canonical.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// The ignore rules.
    pub fn ignore(&self) -> &Ignore {
        &self.inner.ignore
    }

    /// Picks what the sources match, in their order; the matches of one source are sorted. Every source matches
    /// something, or it is an error (but for [`Selection::empty_globs`]); what it matches may still be empty.
    ///
    /// A source that is a symbolic link is followed inside the context; links below what is picked stay links.
    /// Blocks: it walks and hashes with several threads of its own.
    pub fn select(&self, selection: &Selection) -> Result<Vec<Picked>, ContextError> {
        let inner = &*self.inner;
        let exclude = Filter::new(&selection.exclude)
            .map_err(|(line, pattern, error)| ContextError::Pattern { file: None, line, pattern, error })?;
        let (root, ignore, cache) = (&inner.root, inner.ignore.filter(), &inner.cache);
        // Where the store has what was fetched says nothing to people.
        let stored = inner.store.root().canonicalize().is_ok_and(|store| root.starts_with(store));
        let called = if stored { Path::new("") } else { root };
        let reader = Reader { root, called, ignore, cache };
        let mut matches = Vec::new();
        for (number, written) in selection.sources.iter().enumerate() {
            let source = Source { reader, ignore: &inner.ignore, top: &inner.top, written };
            for found in source.resolve(selection.empty_globs)? {
                if found.node.file_type.is_socket() {
                    return Err(ContextError::Socket { written: written.clone() });
                }
                matches.push((number, found));
            }
        }
        let tops: Vec<_> = matches.iter().map(|(_, found)| (found.node, found.path.clone())).collect();
        read_below(reader, &tops, &exclude)?;
        let chosen: Vec<_> =
            matches.into_iter().map(|(source, found)| (source, choose(&found, &exclude), found)).collect();
        let directories = tops.iter().map(|(node, path)| (*node, path)).filter(|(node, _)| node.is_dir());
        let below = chosen.iter().flat_map(|(_, below, _)| below).map(|one| (one.node, &one.path));
        self.learn(directories.chain(below))?;
        Ok(chosen
            .into_iter()
            .map(|(source, below, found)| {
                let name = found.named.rsplit(|b| *b == b'/').next().filter(|name| !name.is_empty());
                let directory = found.node.is_dir();
                let mut items = Vec::with_capacity(below.len());
                items.extend(below.iter().filter_map(|one| self.item(one)));
                Picked {
                    source,
                    path: crate::layer::EntryPath::new(&found.named),
                    directory: directory
                        .then(|| item(&inner.root, found.node, name.unwrap_or(b"context"), &found.path))
                        .flatten(),
                    items,
                }
            })
            .collect())
    }

    fn item(&self, one: &Chosen<'_>) -> Option<super::Item> {
        item(&self.inner.root, one.node, one.relative(), &one.path)
    }

    /// Finds out the insides of those nodes whose inside is not known, and keeps them for the next build.
    fn learn<'t>(&self, nodes: impl Iterator<Item = (&'t Node, &'t Vec<u8>)>) -> Result<(), ContextError> {
        let inner = &*self.inner;
        let mut unknown = Vec::new();
        for (node, path) in nodes {
            if node.inside.get().is_some() {
                continue;
            }
            if node.is_dir() || node.file_type.is_file() {
                unknown.push((node, path.clone()));
            } else if node.file_type.is_socket() && node.inside.set(Inside::default()).is_ok() {
                // Whoever sets it first says it: once a context.
                let path = super::tree::shown(path);
                inner.sink.warn(format!("left out the socket {path}: an image cannot hold sockets"));
            }
        }
        if unknown.is_empty() {
            return Ok(());
        }
        unknown.sort_by_key(|(node, _)| std::ptr::from_ref(*node) as usize);
        unknown.dedup_by_key(|(node, _)| std::ptr::from_ref(*node));
        hash::fill(&inner.root, unknown)?;
        let _saving = inner.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let path = inner.store.stat_path(&inner.root);
        inner.cache.save(&inner.top, inner.moment, &inner.store, &path)?;
        Ok(())
    }
}
