//! The keys of steps that are no commands: all that decides what they put into their layers.
//!
//! A step whose key is known need not be carried out: nothing below it has to be fetched or looked at, nor what it copies
//! from. Where all of that is here, the entries of a step that copies from a context are as cheap to find as its key: such
//! a step has a key only when caches of other machines are asked or written.

use std::{collections::HashMap, sync::Arc};

use super::{
    super::{
        StepError,
        command::tree_key,
        key::{KeyBuilder, entry},
        place::Identity,
        run::Run,
    },
    copy_docker::plain,
    source::SourceItem,
};
use crate::{
    graph::{NodeId, Origin},
    layer::EntryPath,
    oci::Digest,
    recipe::{Copy, Rules, StepKind},
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
            Origin::Context(name) if run.shares() && !copy.parents => context(&mut key, run, name, copy)?,
            // The first is for directories that lead to what is copied, the rest is asked for each time anyway.
            Origin::Context(_) | Origin::Url(_) | Origin::Git(_) => return Ok(None),
        }
    }
    key.part(tree_key(run, &node.below)?.as_bytes());
    Ok(Some(key.finish()))
}

/// What a copy takes from a context.
fn context(key: &mut KeyBuilder, run: &Run, name: &str, copy: &Copy) -> Result<(), StepError> {
    // Files of one inode become links of each other.
    let mut files: HashMap<Identity, u64> = HashMap::new();
    let sources = match copy.rules {
        Rules::Docker => super::context::sources(run, name, &plain(copy))?,
        Rules::Own => super::context::sources(run, name, copy)?,
    };
    key.number(sources.len() as u64);
    for source in sources {
        key.part(source.path.as_ref().map_or(&b""[..], EntryPath::as_bytes));
        key.number(u64::from(source.directory));
        for SourceItem { below, entry, identity } in source.items {
            key.part(below.as_ref().map_or(&b""[..], EntryPath::as_bytes));
            self::entry(key, &entry).map_err(StepError::Content)?;
            let count = files.len() as u64 + 1;
            key.number(identity.map_or(0, |identity| *files.entry(identity).or_insert(count)));
        }
        key.part(b"end");
    }
    Ok(())
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
