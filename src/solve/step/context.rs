//! What a copy takes from a build context.

use std::{collections::HashMap, sync::Mutex};

use super::{
    super::{
        StepError,
        place::Identity,
        run::{Run, lock},
    },
    copy_docker::plain,
    source::{Source, SourceItem},
};
use crate::{
    context::{Context, Item, Picked, Selection},
    graph::{NodeId, Origin},
    layer::{Content, Entry, EntryPath, Kind},
    recipe::{Copy, Rules, StepKind, Timestamps},
};

/// What copies take from contexts, found while what lies below them is still being made.
#[derive(Debug, Default)]
pub(in super::super) struct Ahead(Mutex<HashMap<Wanted, Vec<Picked>>>);

/// What is wanted of which context.
pub(in super::super) type Wanted = (String, Selection);

/// What a node takes from a context, if it is well to look for it before the node's turn.
///
/// Not where commands come first, which may take minutes: what the user changes meanwhile is what they want to have.
pub(in super::super) fn wanted_ahead(run: &Run, id: NodeId) -> Option<Wanted> {
    let node = run.node_of(id);
    let (StepKind::Copy(copy), [Origin::Context(name)]) = (&node.kind, &node.origins[..]) else {
        return None;
    };
    let command = |id: &NodeId| matches!(run.node_of(*id).kind, StepKind::Run(_));
    if copy.parents || node.below.nodes.is_empty() || node.below.nodes.iter().any(command) {
        return None;
    }
    let selection = match copy.rules {
        Rules::Docker => selection(&plain(copy)),
        Rules::Own => selection(copy),
    };
    Some((name.clone(), selection))
}

/// Looks for it. Blocks.
pub(in super::super) fn look_ahead(run: &Run, wanted: Wanted) {
    // A mistake is told when its turn has come.
    if let Some(Ok(picked)) = run.contexts.get(&wanted.0).map(|context| context.select(&wanted.1)) {
        lock(&run.ahead.0).insert(wanted, picked);
    }
}

/// What the sources of a copy name in a context.
pub(super) fn sources(run: &Run, name: &str, copy: &Copy) -> Result<Vec<Source>, StepError> {
    let wanted = (name.to_owned(), selection(copy));
    let ahead = lock(&run.ahead.0).remove(&wanted);
    let picked = match ahead {
        Some(picked) => picked,
        None => context(run, name)?.select(&wanted.1)?,
    };
    Ok(picked.into_iter().map(|picked| source(picked, copy)).collect())
}

pub(super) fn select(context: &Context, copy: &Copy) -> Result<Vec<Source>, StepError> {
    let picked = context.select(&selection(copy))?;
    Ok(picked.into_iter().map(|picked| source(picked, copy)).collect())
}

fn selection(copy: &Copy) -> Selection {
    Selection { sources: copy.sources.clone(), exclude: copy.exclude.clone(), empty_globs: copy.empty_globs }
}

/// A directory of a context, by itself, as it is on disk.
pub(super) fn directory(run: &Run, name: &str, path: &[u8]) -> Result<Option<Entry>, StepError> {
    let path = String::from_utf8_lossy(path);
    let plain = path.chars().flat_map(|c| "*?[\\".contains(c).then_some('\\').into_iter().chain([c]));
    let selection =
        Selection { sources: vec![plain.collect()], exclude: vec!["*".into()], ..Selection::default() };
    let picked = context(run, name)?.select(&selection)?;
    let directory = picked.into_iter().next().and_then(|picked| picked.directory);
    Ok(directory.map(|item| Entry { mode: item.mode, mtime: item.mtime, ..item.entry }))
}

/// The one file that an archive's path names.
pub(super) fn file(run: &Run, name: &str, path: &str) -> Result<Content, StepError> {
    let selection = Selection { sources: vec![path.to_owned()], ..Selection::default() };
    let picked = context(run, name)?.select(&selection)?;
    let not_one = || StepError::NotOneFile { pattern: path.to_owned() };
    match &picked[..] {
        [Picked { directory: None, items, .. }] => match &items[..] {
            [Item { entry: Entry { kind: Kind::File(content), .. }, .. }] => Ok(content.clone()),
            _ => Err(not_one()),
        },
        _ => Err(not_one()),
    }
}

fn context<'a>(run: &'a Run, name: &str) -> Result<&'a Context, StepError> {
    run.contexts.get(name).ok_or_else(|| StepError::NoContext { name: name.to_owned() })
}

fn source(picked: Picked, copy: &Copy) -> Source {
    let (timestamps, rules) = (copy.timestamps, copy.rules);
    let Picked { path, directory, items, .. } = picked;
    let is_directory = directory.is_some();
    let itself = directory.map(|item| (None, item));
    let rest = items.into_iter().map(move |item| {
        let below: Option<EntryPath> = is_directory.then(|| item.entry.path.clone());
        (below, item)
    });
    let item = move |(below, item): (Option<EntryPath>, Item)| {
        let Item { mut entry, mode, mtime, identity } = item;
        if rules == Rules::Docker {
            entry.mode = mode;
        }
        if timestamps == Timestamps::Preserve {
            entry.mtime = mtime;
        }
        let identity = identity.map(|(device, inode)| Identity::Inode { device, inode });
        SourceItem { below, entry, identity }
    };
    Source { path, directory: is_directory, items: Box::new(itself.into_iter().chain(rest).map(item)) }
}
