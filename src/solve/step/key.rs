//! The keys of steps that are no commands: all that decides what they put into their layers.
//!
//! A step whose key is known need not be carried out: nothing below it has to be fetched or looked at, nor what it copies
//! from. The entries of a step are themselves cheap to find where all of that is here, so only steps have keys that copy
//! from stages and images.

use std::sync::Arc;

use super::super::{StepError, command::tree_key, key::KeyBuilder, run::Run};
use crate::{
    graph::{NodeId, Origin},
    oci::Digest,
    recipe::{Copy, StepKind},
};

const VERSION: &[u8] = b"imgbuild step key 1";

/// The key of a node. `None`: it is carried out each time. Blocks.
pub(in super::super) fn key(run: &Arc<Run>, id: NodeId) -> Result<Option<Digest>, StepError> {
    let node = run.node_of(id);
    let StepKind::Copy(copy) = &node.kind else { return Ok(None) };
    let mut key = KeyBuilder::new(VERSION);
    key.number(run.mtime as u64);
    key.part(definition(copy).as_bytes());
    for origin in &node.origins {
        match origin {
            Origin::Tree(tree) => key.part(tree_key(run, tree)?.as_bytes()),
            Origin::Context(_) | Origin::Url(_) | Origin::Git(_) => return Ok(None),
        }
    }
    key.part(tree_key(run, &node.below)?.as_bytes());
    Ok(Some(key.finish()))
}

/// What a copy says, but for where its files come from. The derived `Debug` of these types has every field of theirs, and
/// quotes texts: two that differ never look alike.
fn definition(copy: &Copy) -> String {
    let Copy {
        from: _,
        sources,
        to,
        exclude,
        owner,
        modes,
        timestamps,
        independent,
        parents,
        archives,
        empty_globs,
        rules,
        // It is for errors.
        written: _,
    } = copy;
    let flags = (timestamps, independent, parents, archives, empty_globs, rules);
    format!("{:?}", (sources, to, exclude, owner, modes, flags))
}
