//! What a worker stands on: the rung, and what was found out about it by trial.

use serde::{Deserialize, Serialize};

use super::{Mode, tree::Flavour};

/// The rung that a worker stands on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ground {
    pub(super) mode: Mode,
    /// How trees are kept.
    pub(super) flavour: Flavour,
    /// Which ids of the host stand for those inside.
    pub(super) map: IdMap,
    /// What was found out by trial.
    pub(super) facts: Facts,
}

/// What a rung lets a step do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Facts {
    /// How the root file system is made.
    pub(super) layers: Layers,
    /// Where `/proc` comes from.
    pub(super) proc: Proc,
    /// Whether a network namespace can be had.
    pub(super) network: bool,
}

/// How a root file system is made of trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Layers {
    /// By overlayfs.
    Overlay,
    /// By copying.
    Copied,
}

/// Where `/proc` comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Proc {
    /// The step's own, of its own pid namespace.
    Own,
    /// That of the place where imgbuild runs, and then no pid namespace.
    Shared,
    /// There is none.
    Absent,
}

/// How ids inside stand for those outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum IdMap {
    /// No user namespace.
    None,
    /// A user namespace with the ids that there are anyway: extents of `/proc/self/{uid,gid}_map`.
    Same { uids: Vec<Extent>, gids: Vec<Extent> },
    /// A user namespace with this user as root and the ranges that the host gives it, by `newuidmap`.
    Ranges { uids: Vec<Extent>, gids: Vec<Extent> },
    /// A user namespace with this user as root.
    Single { uid: u32, gid: u32 },
}

/// A range of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Extent {
    /// The first inside.
    pub(super) inside: u32,
    /// The first outside.
    pub(super) outside: u32,
    pub(super) count: u32,
}

impl IdMap {
    /// A short name: trees that were made under one map are no use under another.
    pub(super) fn name(&self) -> String {
        match self {
            Self::None => "host".to_owned(),
            Self::Same { .. } => "same".to_owned(),
            Self::Ranges { uids, .. } => {
                let parts = uids.iter().map(|extent| format!("{}x{}", extent.outside, extent.count));
                parts.collect::<Vec<_>>().join(".")
            }
            Self::Single { uid, .. } => format!("{uid}"),
        }
    }
}

impl Ground {
    /// A name for directories that hold trees for this rung.
    pub(super) fn name(&self) -> String {
        format!("{}-{}", self.flavour.name(), self.map.name())
    }
}
