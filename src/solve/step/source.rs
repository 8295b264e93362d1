//! What a copy takes from a stage or an image.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Seek},
    iter,
    path::PathBuf,
    sync::Arc,
};

use super::{
    super::{StepError, place::Identity, run::Run},
    ground::view,
    remote,
};
use crate::{
    context::{ContextError, Filter},
    graph::{Origin, Tree},
    layer::{Content, Entry, EntryPath, FileStat, Kind, open_file},
    recipe::Copy,
    rootfs::{Found, Item, View},
};

/// One file or directory that a source names.
pub(super) struct Source {
    /// Its path from the root of where it comes from; `None` is the root itself.
    pub(super) path: Option<EntryPath>,
    /// Whether it is a directory: then its content is copied, not itself.
    pub(super) directory: bool,
    /// It and what is below it.
    pub(super) items: Box<dyn Iterator<Item = SourceItem>>,
}

/// An entry of a source.
#[derive(Debug)]
pub(super) struct SourceItem {
    /// Its path below the source; `None` is the source itself.
    pub(super) below: Option<EntryPath>,
    /// What it is. Its path is that in the source.
    pub(super) entry: Entry,
    /// Which file it is, where it may have several names.
    pub(super) identity: Option<Identity>,
}

/// What the sources of a copy name.
pub(super) fn sources(run: &Arc<Run>, origin: &Origin, copy: &Copy) -> Result<Vec<Source>, StepError> {
    let found = match origin {
        Origin::Context(name) => super::context::sources(run, name, copy),
        Origin::Tree(tree) => from_tree(run, tree, copy),
        Origin::Url(url) => Ok(vec![remote::file(run, url)?]),
        Origin::Git(git) => remote::commit(run, git, copy),
    };
    found.map_err(|error| as_written(error, copy))
}

/// The error with what was not found as the user wrote it.
fn as_written(error: StepError, copy: &Copy) -> StepError {
    let written = |source: String| {
        let place = copy.sources.iter().position(|known| *known == source);
        place.and_then(|place| copy.written.sources.get(place)).cloned().unwrap_or(source)
    };
    match error {
        StepError::NoMatch { pattern, what, similar } => {
            let what = copy.written.from.clone().unwrap_or(what);
            StepError::NoMatch { pattern: written(pattern), what, similar }
        }
        StepError::Context(ContextError::Missing { written: source, root, similar }) => {
            let written = written(source);
            // Docker's rules look for `../x` at `x`; where there is none, what was meant is outside.
            let error = match leads_out(&written) {
                true => ContextError::Outside { written, root },
                false => ContextError::Missing { written, root, similar },
            };
            StepError::Context(error)
        }
        error => error,
    }
}

/// Whether a path goes above where it begins.
fn leads_out(path: &str) -> bool {
    let mut depth = 0_i32;
    path.split('/').any(|part| {
        depth += match part {
            "" | "." => 0,
            ".." => -1,
            _ => 1,
        };
        depth < 0
    })
}

fn from_tree(run: &Arc<Run>, tree: &Tree, copy: &Copy) -> Result<Vec<Source>, StepError> {
    let view = view(run, tree);
    let filter = Filter::new(&copy.exclude).map_err(StepError::exclude)?;
    let linked = linked(run, tree)?;
    let mut sources = Vec::new();
    for pattern in &copy.sources {
        for path in matches(&view, pattern, copy.empty_globs)? {
            sources.extend(source(&view, path, &filter, &linked)?);
        }
    }
    Ok(sources)
}

/// The files with several names that the tree's own layers have. (Those of its base are known by their place in the
/// base's tars.)
fn linked(run: &Arc<Run>, tree: &Tree) -> Result<HashMap<EntryPath, Identity>, StepError> {
    let mut linked = HashMap::new();
    for node in &tree.nodes {
        for entry in run.entries(*node)? {
            match &entry.kind {
                Kind::Hardlink(first) => {
                    let identity = Identity::Layer { node: *node, first: first.clone() };
                    linked.insert(first.clone(), identity.clone());
                    linked.insert(entry.path.clone(), identity);
                }
                // A file of its own hides what lower layers had here.
                _ => _ = linked.remove(&entry.path),
            }
        }
    }
    Ok(linked)
}

/// The paths that a source pattern matches: all that a glob does, or the one that a plain path names.
fn matches(view: &View, pattern: &str, may_be_empty: bool) -> Result<Vec<Option<EntryPath>>, StepError> {
    let Some(plain) = EntryPath::new(pattern) else { return Ok(vec![None]) };
    if pattern.contains(['*', '?', '[', '\\']) {
        let found = view.glob(pattern)?.map_err(|_| no_match(pattern, None))?;
        if found.is_empty() && !may_be_empty {
            return Err(no_match(pattern, None));
        }
        return Ok(found.into_iter().map(Some).collect());
    }
    // A link that is named is followed, as Docker does it; links found below are copied.
    match view.lookup(plain.as_bytes(), true)? {
        Some(Found::Root) => Ok(vec![None]),
        Some(Found::Item(_)) => Ok(vec![Some(plain)]),
        None => Err(missing(view, pattern)?),
    }
}

fn no_match(pattern: &str, similar: Option<String>) -> StepError {
    let what = "the stage or image it is taken from".to_owned();
    StepError::NoMatch { pattern: pattern.to_owned(), what, similar }
}

/// The error for a path that is not there.
fn missing(view: &View, path: &str) -> Result<StepError, StepError> {
    let similar = EntryPath::new(path).map(|plain| similar(view, &plain)).transpose()?.flatten();
    Ok(no_match(path, similar))
}

fn similar(view: &View, path: &EntryPath) -> Result<Option<String>, StepError> {
    let folder = path.parent();
    let siblings =
        view.list(folder.as_ref().map_or(&b""[..], EntryPath::as_bytes)).ok().flatten().unwrap_or_default();
    let wanted = String::from_utf8_lossy(path.name()).into_owned();
    let names = siblings.iter().map(|item| String::from_utf8_lossy(item.entry.path.name()).into_owned());
    let best = names
        .map(|name| (strsim::jaro_winkler(&name, &wanted), name))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    Ok(best.map(|(_, name)| match folder {
        Some(folder) => format!("/{folder}/{name}"),
        None => format!("/{name}"),
    }))
}

/// The source at a path; `None` if it is a file that is left out.
fn source(
    view: &View,
    path: Option<EntryPath>,
    filter: &Filter,
    linked: &HashMap<EntryPath, Identity>,
) -> Result<Option<Source>, StepError> {
    let bytes = path.as_ref().map_or(&b""[..], EntryPath::as_bytes);
    let real = match view.lookup(bytes, true)? {
        Some(Found::Item(item)) => Some(item),
        Some(Found::Root) | None => None,
    };
    let directory = real.as_ref().is_none_or(|item| item.entry.kind == Kind::Directory);
    if let (false, Some(item)) = (directory, &real) {
        // A file that is named itself is judged by its name.
        if path.as_ref().is_some_and(|path| filter.matches(path.name())) {
            return Ok(None);
        }
        let items = Box::new(iter::once(source_item((**item).clone(), None, linked)));
        return Ok(Some(Source { path, directory, items }));
    }
    let root = real.as_ref().map(|item| item.entry.path.clone());
    let mut items = Vec::new();
    for item in view.subtree(root.as_ref().map_or(&b""[..], EntryPath::as_bytes))?.unwrap_or_default() {
        let below = match &root {
            Some(root) => EntryPath::new(&item.entry.path.as_bytes()[root.as_bytes().len()..]),
            None => Some(item.entry.path.clone()),
        };
        if below.as_ref().is_some_and(|below| filter.matches(below.as_bytes())) {
            continue;
        }
        items.push(source_item(item, below, linked));
    }
    Ok(Some(Source { path, directory, items: Box::new(items.into_iter()) }))
}

/// A directory of a source, by itself.
pub(super) fn directory(run: &Arc<Run>, origin: &Origin, path: &[u8]) -> Result<Option<Entry>, StepError> {
    match origin {
        Origin::Context(name) => super::context::directory(run, name, path),
        Origin::Tree(tree) => Ok(match view(run, tree).lookup(path, true)? {
            Some(Found::Item(item)) if item.entry.kind == Kind::Directory => Some(item.entry),
            _ => None,
        }),
        Origin::Url(_) | Origin::Git(_) => Ok(None),
    }
}

/// The content of the one file that an archive's path names. A file of a context comes with its path and stat, by which
/// it must still be known after it was read.
pub(super) fn archive_file(
    run: &Arc<Run>,
    origin: &Origin,
    path: &str,
) -> Result<(File, Option<(PathBuf, FileStat)>), StepError> {
    let content = archive_content(run, origin, path)?;
    if let Content::File { path, stat, .. } = content {
        return Ok((open_file(&path, &stat)?, Some((path, stat))));
    }
    // Out of a tar: into a file of its own, since archives are read twice.
    let mut file = run.engine.store.temporary()?;
    let copied = content.open().and_then(|mut reader| io::copy(&mut reader, file.file()));
    copied.and_then(|_| file.file().rewind()).map_err(StepError::Content)?;
    Ok((file.file().try_clone().map_err(StepError::Content)?, None))
}

fn archive_content(run: &Arc<Run>, origin: &Origin, path: &str) -> Result<Content, StepError> {
    match origin {
        Origin::Context(name) => super::context::file(run, name, path),
        Origin::Tree(tree) => {
            let view = view(run, tree);
            match view.lookup(path, true)? {
                Some(Found::Item(item)) => match item.entry.kind {
                    Kind::File(content) => Ok(content),
                    _ => Err(StepError::NotOneFile { pattern: path.to_owned() }),
                },
                Some(Found::Root) => Err(StepError::NotOneFile { pattern: path.to_owned() }),
                None => Err(missing(&view, path)?),
            }
        }
        // Archives from the web have a form of their own; Git has no single files.
        Origin::Url(_) | Origin::Git(_) => Err(StepError::NotOneFile { pattern: path.to_owned() }),
    }
}

fn source_item(item: Item, below: Option<EntryPath>, linked: &HashMap<EntryPath, Identity>) -> SourceItem {
    let Item { mut entry, digest: known } = item;
    let mut identity = linked.get(&entry.path).cloned();
    if let Kind::File(Content::Range { file, offset, size, digest }) = &mut entry.kind {
        *digest = digest.or(known);
        // Every file of a tar has bytes of its own: two entries of one range are names of one file.
        let range = Identity::Range { file: Arc::clone(file), offset: *offset };
        identity = identity.or_else(|| (*size > 0).then_some(range));
    }
    SourceItem { below, entry, identity }
}
