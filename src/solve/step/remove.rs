//! Removals.

use std::sync::Arc;

use super::{
    super::{StepError, place::Placer, run::Run},
    ground::Below,
};
use crate::{
    graph::Node,
    layer::{Entry, Kind},
    recipe::Remove,
    rootfs::Found,
};

pub(super) fn entries(run: &Arc<Run>, node: &Node, remove: &Remove) -> Result<Vec<Entry>, StepError> {
    let ground = Below::new(run, &node.below);
    let mut placer = Placer::default();
    for path in &remove.paths {
        // The path itself may be a link: then the link goes, not what it points to.
        match ground.view().lookup(path.as_bytes(), false)? {
            Some(Found::Item(item)) => {
                placer.put(Entry { mtime: run.mtime, ..Entry::new(item.entry.path, Kind::Whiteout, 0) });
            }
            Some(Found::Root) => {}
            None if remove.must_exist => return Err(StepError::NotThere { path: format!("/{path}") }),
            None => {}
        }
    }
    Ok(placer.finish(&ground, run.mtime)?)
}
