//! Copies.

use std::sync::Arc;

use super::{
    super::{
        StepError,
        place::{Placer, usual_mode},
        run::Run,
    },
    copy_docker,
    ground::Below,
    owner::resolve_owner,
    source::{Source, SourceItem, sources},
};
use crate::{
    graph::{Node, Origin},
    layer::{Entry, EntryPath, Kind},
    recipe::{Copy, Destination, Rules, Timestamps},
};

pub(super) fn entries(run: &Arc<Run>, node: &Node, copy: &Copy) -> Result<Vec<Entry>, StepError> {
    if copy.rules == Rules::Docker {
        return copy_docker::entries(run, node, copy);
    }
    let ground = Below::new(run, &node.below);
    let owner = copy.owner.as_ref().map(|owner| resolve_owner(ground.view(), owner)).transpose()?;
    let from_context = matches!(node.origins[0], Origin::Context(_));
    let attributes = |mut entry: Entry| {
        let directory = entry.kind == Kind::Directory;
        (entry.uid, entry.gid) = owner.unwrap_or((entry.uid, entry.gid));
        let wanted = if directory { &copy.modes.directories } else { &copy.modes.files };
        match wanted {
            // A link has no mode of its own.
            Some(mode) if !matches!(entry.kind, Kind::Symlink(_)) => {
                entry.mode = mode.apply(entry.mode, directory)
            }
            None if directory && from_context => entry.mode = usual_mode(&entry.path).unwrap_or(entry.mode),
            _ => {}
        }
        if copy.timestamps == Timestamps::Fixed {
            entry.mtime = run.mtime;
        }
        entry
    };
    let mut placer = Placer::default();
    let to = destination(&ground, &copy.to)?;
    for source in sources(run, &node.origins[0], copy)? {
        placer.reserve(source.items.size_hint().0);
        let Source { path, directory, items } = source;
        for SourceItem { below, mut entry, identity } in items {
            let root = match (&to, &path) {
                (Destination::Directory(to), Some(path)) if copy.parents => Some(under(to, path)),
                (Destination::Directory(to), Some(path)) if !directory => Some(under(to, &last(path))),
                (Destination::Directory(to), _) => to.clone(),
                (Destination::Path(to), _) => Some(to.clone()),
            };
            let target = match (root, below) {
                (Some(root), Some(below)) => root.join(below.as_bytes()),
                (None, Some(below)) => below,
                (Some(root), None) => {
                    // A directory that is there keeps its attributes: the copy goes into it.
                    match existing(&ground, &root)? {
                        true if directory => continue,
                        true => {
                            let instead = format!("write `to: /{root}/` to copy into it");
                            return Err(StepError::IsDirectory { path: format!("/{root}"), instead });
                        }
                        false => root,
                    }
                }
                (None, None) => continue,
            };
            let Some(place) = ground.place(target, entry.kind == Kind::Directory)? else { continue };
            entry.path = place;
            placer.put_linked(attributes(entry), identity);
        }
    }
    Ok(placer.finish(&ground, run.mtime)?)
}

/// The destination with the links on its way followed, as far as the step looks down.
fn destination(ground: &Below, to: &Destination) -> Result<Destination, StepError> {
    Ok(match to {
        Destination::Directory(None) => Destination::Directory(None),
        Destination::Directory(Some(path)) => Destination::Directory(ground.resolve_directory(path)?),
        Destination::Path(path) => {
            let folder = match path.parent() {
                Some(parent) => ground.resolve_directory(&parent)?,
                None => None,
            };
            Destination::Path(under(&folder, &last(path)))
        }
    })
}

fn existing(ground: &Below, path: &EntryPath) -> Result<bool, StepError> {
    use super::super::place::Ground;
    Ok(ground.directory(path)?.is_some())
}

fn under(folder: &Option<EntryPath>, path: &EntryPath) -> EntryPath {
    match folder {
        Some(folder) => folder.join(path.as_bytes()),
        None => path.clone(),
    }
}

fn last(path: &EntryPath) -> EntryPath {
    // The last part of a path is a path.
    EntryPath::new(path.name()).unwrap_or_else(|| path.clone())
}
