//! Files that are mounted for a command, or that a cache begins with.

use std::{path::PathBuf, sync::Arc};

use super::{
    super::{StepError, key::layer_key, run::Run, step::view},
    key::tree_key,
    machine::Machine,
    trees::{folder, trees, unpacked},
};
use crate::{
    context::{Item, Selection},
    graph::{Node, Origin, Tree},
    layer::Entry,
    oci::Digest,
    recipe::{self, Mount},
    rootfs::Found,
};

/// Files that a mount takes from somewhere.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    /// The digest of what they are, as far as it decides what a command does.
    pub(super) digest: Digest,
    /// Their path in the trees; empty is the root.
    pub(super) source: String,
    files: Files,
}

#[derive(Debug, Clone)]
enum Files {
    /// Of a context: its entries, and the name of their tree.
    Entries(Vec<Entry>, Digest),
    /// Of a stage or an image.
    Tree(Tree),
}

/// What the mounts of a command take from elsewhere, in the order of its origins. Blocks.
pub(super) fn bound(run: &Arc<Run>, node: &Node, command: &recipe::Run) -> Result<Vec<Bound>, StepError> {
    let sources = command.mounts.iter().filter_map(|mount| match mount {
        Mount::Bind(bind) => Some((bind.source.as_str(), bind.from_words.as_deref())),
        Mount::Cache(cache) => {
            cache.from.as_ref().map(|(_, path)| (path.as_str(), cache.from_words.as_deref()))
        }
        Mount::Tmpfs(_) | Mount::Secret(_) | Mount::Ssh(_) => None,
    });
    let bound = |(origin, (source, words)): (&Origin, (&str, Option<&str>))| match origin {
        Origin::Context(name) => of_context(run, name, source),
        Origin::Tree(tree) => of_tree(run, tree, source, words),
        Origin::Url(_) | Origin::Git(_) => Err(StepError::Unmountable),
    };
    node.origins.iter().zip(sources).map(bound).collect()
}

fn of_context(run: &Run, name: &str, source: &str) -> Result<Bound, StepError> {
    let context = run.contexts.get(name).ok_or_else(|| StepError::NoContext { name: name.to_owned() })?;
    // The source is a path: nothing in it is a pattern.
    let escaped = source.chars().flat_map(|c| "*?[\\".contains(c).then_some('\\').into_iter().chain([c]));
    let plain: String = match source.trim_matches('/') {
        "" => ".".to_owned(),
        _ => escaped.collect::<String>().trim_start_matches('/').to_owned(),
    };
    let picked = context.select(&Selection { sources: vec![plain], ..Selection::default() })?;
    let Some(picked) = picked.into_iter().next() else {
        let what = "the build context".to_owned();
        return Err(StepError::NoMatch { pattern: source.to_owned(), what, similar: None });
    };
    let mut entries: Vec<Entry> = picked.items.iter().map(entry).collect();
    let digest = layer_key(&entries, "bind").map_err(StepError::Content)?;
    for (entry, item) in entries.iter_mut().zip(&picked.items) {
        entry.mtime = item.mtime;
    }
    let tree = layer_key(&entries, "tree").map_err(StepError::Content)?;
    let source = match (&picked.directory, entries.first()) {
        (None, Some(file)) => file.path.to_string(),
        _ => String::new(),
    };
    Ok(Bound { digest, source, files: Files::Entries(entries, tree) })
}

fn entry(item: &Item) -> Entry {
    // As on disk: commands may look at it.
    Entry { mode: item.mode, ..item.entry.clone() }
}

fn of_tree(run: &Arc<Run>, tree: &Tree, source: &str, words: Option<&str>) -> Result<Bound, StepError> {
    let view = view(run, tree);
    let missing = || {
        let what = words.unwrap_or("the stage or image it is mounted from").to_owned();
        StepError::NoMatch { pattern: format!("/{source}"), what, similar: None }
    };
    let found = match view.lookup(source, true)?.ok_or_else(missing)? {
        Found::Root => String::new(),
        Found::Item(item) => item.entry.path.to_string(),
    };
    // Only what is mounted counts, and not when it was made; but all of an image is known by its layers already.
    let digest = match tree.base {
        Some(_) if found.is_empty() => tree_key(run, tree)?,
        _ => {
            let items = view.subtree(&found)?.unwrap_or_default();
            let entries: Vec<Entry> =
                items.into_iter().map(|item| Entry { mtime: 0, ..item.entry }).collect();
            layer_key(&entries, "bind").map_err(StepError::Content)?
        }
    };
    Ok(Bound { digest, source: found, files: Files::Tree(tree.clone()) })
}

impl Bound {
    /// Lets `imgbuild why` know the files of a context one by one. Blocks.
    pub(super) fn note(&self, run: &Run) {
        if let Files::Entries(entries, _) = &self.files {
            run.journal.mounted(&self.digest, entries);
        }
    }

    /// The trees that hold the files, lowest first.
    pub(super) async fn trees(
        &self,
        run: &Arc<Run>,
        machine: &dyn Machine,
    ) -> Result<Vec<PathBuf>, StepError> {
        match &self.files {
            Files::Tree(tree) => trees(run, machine, tree).await,
            Files::Entries(entries, name) => {
                let path = folder(run, machine).join(name.hex());
                unpacked(run, machine, &path, entries.clone(), &[]).await?;
                Ok(vec![path])
            }
        }
    }

    /// The files as entries below a directory called `under`. Blocks.
    pub(super) fn entries_under(&self, run: &Arc<Run>, under: &str) -> Result<Vec<Entry>, StepError> {
        let (entries, cut) = match &self.files {
            Files::Entries(entries, _) => (entries.clone(), 0),
            Files::Tree(tree) => {
                let items = view(run, tree).subtree(&self.source)?.unwrap_or_default();
                let cut = if self.source.is_empty() { 0 } else { self.source.len() + 1 };
                (items.into_iter().map(|item| item.entry).collect(), cut)
            }
        };
        let below = |mut entry: Entry| {
            let rest = entry.path.as_bytes().get(cut..).filter(|rest| !rest.is_empty())?;
            entry.path = crate::layer::EntryPath::new([under.as_bytes(), b"/", rest].concat())?;
            Some(entry)
        };
        Ok(entries.into_iter().filter_map(below).collect())
    }
}
