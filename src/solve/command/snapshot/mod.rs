//! Snapshots of cache mounts: what other machines' caches keep of them.
//!
//! ```text
//! first step that mounts it ──► caches ──► layers, merged ──► the new directory
//! after the build: the directory ──list──► plan ──pack──► what is new, as layers on those that are there ──► caches
//! ```
//!
//! A directory that is on this machine already is not replaced: only a new one begins with a snapshot. A new snapshot
//! stands on the one that the cache has by then: what others have added meanwhile stays, and of what the build began
//! with, that is gone which its steps removed. Small layers on top are written anew together with what is new, so that
//! there are never many, and large ones stay as they are.

mod export;
mod import;
mod layers;
mod merged;
mod plan;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use super::super::{key::KeyBuilder, run::lock};
use crate::{
    oci::{Digest, Platform},
    recipe::CacheMount,
};

pub(in super::super) use export::export;
pub(super) use import::{Imported, import};

/// Which ways cache mounts go between this machine and the caches of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedMounts {
    /// New ones begin with what a cache has.
    pub import: bool,
    /// What they hold at the end goes to the caches that are written.
    pub export: bool,
    /// The most bytes of files of one mount that are kept there.
    pub max_size: u64,
}

impl SharedMounts {
    /// None.
    pub const NONE: Self = Self { import: false, export: false, max_size: Self::MAX_SIZE };

    /// The most bytes where the user says nothing else.
    pub const MAX_SIZE: u64 = 2_000_000_000;
}

/// The cache mounts that steps of this build have used, by name.
#[derive(Debug, Default)]
pub(super) struct Used(Mutex<BTreeMap<String, UsedMount>>);

/// A cache mount that a step has used.
#[derive(Debug, Clone)]
struct UsedMount {
    /// The mount's tree.
    path: PathBuf,
    /// What people call it.
    id: String,
    owner: (u32, u32),
    /// Whether a step could write to it.
    written: bool,
    /// What it began with in this build, if it did.
    imported: Option<Arc<Imported>>,
}

impl Used {
    /// Remembers that a step uses a mount, whose tree is at `path`.
    pub(super) fn add(&self, name: &str, path: &Path, cache: &CacheMount, imported: Option<Arc<Imported>>) {
        let mut used = lock(&self.0);
        let mount = used.entry(name.to_owned()).or_insert_with(|| UsedMount {
            path: path.to_owned(),
            id: shown(cache).to_owned(),
            owner: (cache.uid, cache.gid),
            written: false,
            imported: None,
        });
        mount.written |= !cache.read_only;
        if mount.imported.is_none() {
            mount.imported = imported;
        }
    }

    /// Those that may hold something new.
    fn written(&self) -> Vec<(String, UsedMount)> {
        let used = lock(&self.0);
        let written = used.iter().filter(|(_, mount)| mount.written);
        written.map(|(name, mount)| (name.clone(), mount.clone())).collect()
    }
}

/// What people call a mount.
pub(super) fn shown(cache: &CacheMount) -> &str {
    cache.id.as_ref().unwrap_or(&cache.target)
}

/// The key of a mount in the caches of all machines. What is built on machines of one kind is of no use to another.
fn key(name: &str) -> Digest {
    let mut key = KeyBuilder::new(b"imgbuild mount 1");
    key.part(name.as_bytes());
    key.part(Platform::host().to_string().as_bytes());
    key.finish()
}
