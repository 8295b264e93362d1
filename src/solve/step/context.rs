//! What a copy takes from a build context.

use super::{
    super::{StepError, place::Identity, run::Run},
    source::{Source, SourceItem},
};
use crate::{
    context::{Context, Item, Picked, Selection},
    layer::{Content, Entry, EntryPath, Kind},
    recipe::{Copy, Rules, Timestamps},
};

/// What the sources of a copy name in a context.
pub(super) fn sources(run: &Run, name: &str, copy: &Copy) -> Result<Vec<Source>, StepError> {
    select(context(run, name)?, copy)
}

pub(super) fn select(context: &Context, copy: &Copy) -> Result<Vec<Source>, StepError> {
    let selection = Selection {
        sources: copy.sources.clone(),
        exclude: copy.exclude.clone(),
        empty_globs: copy.empty_globs,
    };
    let picked = context.select(&selection)?;
    Ok(picked.into_iter().map(|picked| source(picked, copy)).collect())
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
            [Item { entry: Entry { kind: Kind::File(content), .. }, digest: known, .. }] => {
                let mut content = content.clone();
                if let Content::File { digest, .. } = &mut content {
                    *digest = *known;
                }
                Ok(content)
            }
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
        let Item { mut entry, mode, digest: known, mtime, identity } = item;
        if rules == Rules::Docker {
            entry.mode = mode;
        }
        if let Kind::File(Content::File { digest, .. }) = &mut entry.kind {
            *digest = known;
        }
        if timestamps == Timestamps::Preserve {
            entry.mtime = mtime;
        }
        let identity = identity.map(|(device, inode)| Identity::Inode { device, inode });
        SourceItem { below, entry, identity }
    };
    Source { path, directory: is_directory, items: Box::new(itself.into_iter().chain(rest).map(item)) }
}
