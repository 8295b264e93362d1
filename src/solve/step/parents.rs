//! Sources whose parent directories are kept (Dockerfile's `--parents`).

use std::{collections::HashSet, sync::Arc};

use super::{
    super::{StepError, run::Run},
    source::{Source, SourceItem, directory, sources},
};
use crate::{
    context::Filter,
    graph::Origin,
    layer::{Entry, EntryPath},
    recipe::{Copy, Written},
};

/// A source and where it goes.
pub(super) struct Kept {
    /// Its path below the destination; `None` is the destination itself.
    pub(super) root: Option<EntryPath>,
    /// The directories that lead there, as far as no earlier source has them, with their paths below the destination.
    pub(super) directories: Vec<Entry>,
    /// The source.
    pub(super) source: Source,
}

/// What the sources of a copy name. `/./` in a source is the pivot: what is in front of it is not kept.
pub(super) fn kept(run: &Arc<Run>, origin: &Origin, copy: &Copy) -> Result<Vec<Kept>, StepError> {
    let filter = Arc::new(Filter::new(&copy.exclude).map_err(StepError::exclude)?);
    let mut known: HashSet<EntryPath> = HashSet::new();
    let mut kept = Vec::new();
    for (place, written) in copy.sources.iter().enumerate() {
        let (source, cut) = pivot(written);
        let sources_written = copy.written.sources.get(place).into_iter().cloned().collect();
        // What is left out is named from the pivot on, which the source does not know.
        let written = Written { sources: sources_written, ..copy.written.clone() };
        let single = Copy { sources: vec![source], exclude: Vec::new(), written, ..copy.clone() };
        for source in sources(run, origin, &single)? {
            let named = source.path.clone();
            let root = named.as_ref().and_then(|named| behind(named, cut));
            if let Some(root) = &root
                && filter.matches(root.as_bytes())
                && (!source.directory || !filter.may_reinclude_below(root.as_bytes()))
            {
                continue;
            }
            let mut directories = Vec::new();
            let mut parent = root.as_ref().and_then(EntryPath::parent);
            while let (Some(path), Some(named), Some(root)) = (parent, &named, &root) {
                parent = path.parent();
                // The source's own path, which may have more in front.
                let front = named.as_bytes().len() - root.as_bytes().len();
                let full = &named.as_bytes()[..front + path.as_bytes().len()];
                if known.insert(path.clone())
                    && let Some(entry) = directory(run, origin, full)?
                {
                    directories.push(Entry { path, ..entry });
                }
            }
            directories.reverse();
            let source = without(source, root.clone(), Arc::clone(&filter));
            kept.push(Kept { root, directories, source });
        }
    }
    Ok(kept)
}

/// A source without its pivot, and how many parts are in front of that.
fn pivot(written: &str) -> (String, usize) {
    match written.split_once("/./") {
        None => (written.to_owned(), 0),
        Some((front, rest)) => {
            let parts =
                EntryPath::new(front).map_or(0, |front| front.as_bytes().split(|b| *b == b'/').count());
            (format!("{front}/{rest}"), parts)
        }
    }
}

/// What follows the first parts of a path, if anything.
fn behind(path: &EntryPath, parts: usize) -> Option<EntryPath> {
    EntryPath::new(path.as_bytes().splitn(parts + 1, |b| *b == b'/').nth(parts)?)
}

/// The source without what is left out.
fn without(source: Source, root: Option<EntryPath>, filter: Arc<Filter>) -> Source {
    if filter.is_empty() {
        return source;
    }
    let left = move |item: &SourceItem| match (&root, &item.below) {
        (Some(root), Some(below)) => !filter.matches(root.join(below.as_bytes()).as_bytes()),
        (None, Some(below)) => !filter.matches(below.as_bytes()),
        // The source itself: it was asked about before.
        (_, None) => true,
    };
    Source { items: Box::new(source.items.filter(left)), ..source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pivot_parts_a_source() {
        let cases = [
            ("a/b/c.txt", "a/b/c.txt", 0, Some("a/b/c.txt")),
            ("a/./b/c.txt", "a/b/c.txt", 1, Some("b/c.txt")),
            ("./a/x/./b", "./a/x/b", 2, Some("b")),
            ("a/./", "a/", 1, None),
        ];
        for (written, source, cut, kept) in cases {
            assert_eq!(pivot(written), (source.to_owned(), cut), "{written}");
            let named = EntryPath::new(source).unwrap();
            assert_eq!(behind(&named, cut), kept.and_then(EntryPath::new), "{written}");
        }
    }
}
