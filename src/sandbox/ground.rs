//! What a worker stands on: the rung, and what was found out about it by trial.

use serde::{Deserialize, Serialize};

use super::{Mode, tree::Flavour};
use crate::oci::Digest;

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
    /// Whether a step can have an emulator of its own.
    pub(super) emulation: bool,
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
            Self::Ranges { uids, gids } => {
                let (uids, gids) = (ranges(uids), ranges(gids));
                // As a rule the groups have the ranges that the users have.
                let both = if uids == gids { uids } else { format!("{uids}g{gids}") };
                // A name of a directory has room for 255 bytes.
                if both.len() > LONGEST { Digest::of(both.as_bytes()).hex() } else { both }
            }
            Self::Single { uid, gid } if uid == gid => format!("{uid}"),
            Self::Single { uid, gid } => format!("{uid}g{gid}"),
        }
    }
}

/// The longest name of a map that is written out.
const LONGEST: usize = 100;

fn ranges(extents: &[Extent]) -> String {
    let parts = extents.iter().map(|extent| format!("{}x{}", extent.outside, extent.count));
    parts.collect::<Vec<_>>().join(".")
}

impl Ground {
    /// A name for directories that hold trees for this rung.
    pub(super) fn name(&self) -> String {
        format!("{}-{}", self.flavour.name(), self.map.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_map_has_another_name() {
        let extent = |outside, count| Extent { inside: 0, outside, count };
        let map = |uids: &[(u32, u32)], gids: &[(u32, u32)]| {
            let extents =
                |all: &[(u32, u32)]| all.iter().map(|(outside, count)| extent(*outside, *count)).collect();
            IdMap::Ranges { uids: extents(uids), gids: extents(gids) }.name()
        };
        let (own, first, second) = ((1000, 1), (100_000, 65_536), (300_000, 65_536));
        assert_eq!(map(&[own, first], &[own, first]), "1000x1.100000x65536");
        assert_eq!(map(&[own, first], &[own, second]), "1000x1.100000x65536g1000x1.300000x65536");
        let many: Vec<_> = (0..40).map(|number| (100_000 + number, 1)).collect();
        assert!(map(&many, &many).len() < 200);
        assert_ne!(map(&many, &many), map(&many, &many[1..]));
        let single = |uid, gid| IdMap::Single { uid, gid }.name();
        assert_eq!([single(1000, 1000), single(1000, 100)], ["1000", "1000g100"]);
    }
}
