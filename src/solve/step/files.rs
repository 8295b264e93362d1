//! Single files, directories and links.

use std::sync::Arc;

use super::{
    super::{
        StepError,
        place::{Ground as _, Implied, Placer},
        run::Run,
    },
    ground::{Below, Spot},
    owner::resolve_owner,
};
use crate::{
    graph::Node,
    layer::{Content, Entry, EntryPath, Kind},
    recipe::{FileMode, Mkdir, Owner, Rules, Symlink, Write},
};

pub(super) fn write(run: &Arc<Run>, node: &Node, write: &Write) -> Result<Vec<Entry>, StepError> {
    let kind = Kind::File(Content::Bytes(write.content.clone()));
    single(run, node, &write.path, kind, write.mode.unwrap_or(FileMode(0o644)), write.owner.as_ref())
}

pub(super) fn mkdir(run: &Arc<Run>, node: &Node, mkdir: &Mkdir) -> Result<Vec<Entry>, StepError> {
    let mode = mkdir.mode.unwrap_or(FileMode(0o755));
    if mkdir.rules == Rules::Docker {
        return missing_directories(run, node, mkdir, mode);
    }
    single(run, node, &mkdir.path, Kind::Directory, mode, mkdir.owner.as_ref())
}

/// Makes a directory where there is none: it and its missing parents have one owner.
fn missing_directories(
    run: &Arc<Run>,
    node: &Node,
    mkdir: &Mkdir,
    mode: FileMode,
) -> Result<Vec<Entry>, StepError> {
    let ground = Below::new(run, &node.below);
    let Spot { path: Some(path), kind } = ground.find(Some(&mkdir.path))? else { return Ok(Vec::new()) };
    match kind {
        Some(Kind::Directory) => return Ok(Vec::new()),
        Some(_) => return Err(StepError::NoDirectory { path: format!("/{path}") }),
        None => {}
    }
    let owner = mkdir.owner.as_ref().map(|owner| resolve_owner(ground.view(), owner)).transpose()?;
    let (uid, gid) = owner.unwrap_or((0, 0));
    let mut placer = Placer::new(Implied::Owned(uid, gid));
    placer.put(Entry { uid, gid, mtime: run.mtime, ..Entry::new(path, Kind::Directory, mode.0) });
    Ok(placer.finish(&ground, run.mtime)?)
}

pub(super) fn symlink(run: &Arc<Run>, node: &Node, symlink: &Symlink) -> Result<Vec<Entry>, StepError> {
    let kind = Kind::Symlink(symlink.target.clone().into_bytes());
    single(run, node, &symlink.path, kind, FileMode(0o777), symlink.owner.as_ref())
}

fn single(
    run: &Arc<Run>,
    node: &Node,
    path: &EntryPath,
    kind: Kind,
    mode: FileMode,
    owner: Option<&Owner>,
) -> Result<Vec<Entry>, StepError> {
    let ground = Below::new(run, &node.below);
    let path = match path.parent() {
        Some(parent) => match ground.resolve_directory(&parent)? {
            Some(parent) => parent.join(path.name()),
            None => path.clone(),
        },
        None => path.clone(),
    };
    if kind != Kind::Directory && ground.directory(&path)?.is_some() {
        let instead = "remove it in an earlier step, or choose another path".to_owned();
        return Err(StepError::IsDirectory { path: format!("/{path}"), instead });
    }
    let (uid, gid) = owner.map(|owner| resolve_owner(ground.view(), owner)).transpose()?.unwrap_or((0, 0));
    let mut placer = Placer::default();
    placer.put(Entry { uid, gid, mtime: run.mtime, ..Entry::new(path, kind, mode.0) });
    Ok(placer.finish(&ground, run.mtime)?)
}
