//! What each kind of step puts into its layer.
//!
//! Every function here takes a step and gives sorted entries; nothing is compressed or kept. They block (files,
//! downloads) and run on threads of their own.

mod account;
mod archive;
mod context;
mod copy;
mod copy_docker;
mod files;
mod ground;
mod key;
mod owner;
mod parents;
mod remote;
mod remove;
mod source;
mod unpack;

use std::sync::Arc;

pub(super) use context::{Ahead, look_ahead, wanted_ahead};
pub(super) use ground::{PlacedLayers, index_of, view};
pub(super) use key::key;

use super::{StepError, place::PlaceError, run::Run};
use crate::{graph::NodeId, layer::Entry, recipe::StepKind};

/// The entries of a node's layer.
pub(super) fn entries(run: &Arc<Run>, id: NodeId) -> Result<Vec<Entry>, StepError> {
    let node = run.node_of(id);
    match &node.kind {
        StepKind::Copy(copy) => copy::entries(run, node, copy),
        StepKind::Write(write) => files::write(run, node, write),
        StepKind::Mkdir(mkdir) => files::mkdir(run, node, mkdir),
        StepKind::Symlink(symlink) => files::symlink(run, node, symlink),
        StepKind::Remove(remove) => remove::entries(run, node, remove),
        StepKind::Unpack(unpack) => unpack::entries(run, node, unpack),
        StepKind::Account(account) => account::user(run, node, account),
        StepKind::Group(group) => account::group(run, node, group),
        // Commands have a room of their own, and config steps make no node.
        StepKind::Run(_) | StepKind::Config(_) => Ok(Vec::new()),
    }
}

impl From<PlaceError<StepError>> for StepError {
    fn from(error: PlaceError<StepError>) -> Self {
        match error {
            PlaceError::Conflict(conflict) => conflict.into(),
            PlaceError::Ground(error) => error,
        }
    }
}
