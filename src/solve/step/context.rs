//! What a copy takes from a build context.

use super::{
    super::{StepError, place::Identity, run::Run},
    source::{Source, SourceItem},
};
use crate::{
    context::{Context, Item, Picked, Selection},
    layer::{Content, Entry, EntryPath, Kind},
    recipe::{Copy, Timestamps},
};

/// What the sources of a copy name in a context.
pub(super) fn sources(run: &Run, name: &str, copy: &Copy) -> Result<Vec<Source>, StepError> {
    let selection = Selection { sources: copy.sources.clone(), exclude: copy.exclude.clone() };
    let picked = context(run, name)?.select(&selection)?;
    Ok(picked.into_iter().map(|picked| source(picked, copy.timestamps)).collect())
}

/// The one file that an archive's path names.
pub(super) fn file(run: &Run, name: &str, path: &str) -> Result<Content, StepError> {
    let selection = Selection { sources: vec![path.to_owned()], exclude: Vec::new() };
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

fn source(picked: Picked, timestamps: Timestamps) -> Source {
    let Picked { path, directory, items, .. } = picked;
    let is_directory = directory.is_some();
    let itself = directory.map(|item| (None, item));
    let rest = items.into_iter().map(move |item| {
        let below: Option<EntryPath> = is_directory.then(|| item.entry.path.clone());
        (below, item)
    });
    let item = move |(below, item): (Option<EntryPath>, Item)| {
        let Item { mut entry, digest: known, mtime, identity } = item;
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
