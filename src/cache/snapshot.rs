//! What a cache mount held at the end of a build.

use serde::{Deserialize, Serialize};

use super::{
    document::{self, Kept},
    entry::layer_fault,
};
use crate::{layer::Layer, oci::Digest};

/// The most layers that a snapshot may have: whoever writes one that would have more writes it anew.
pub const MOST_LAYERS: usize = 32;

/// What a cache mount held at the end of a build: layers, each on top of those before it.
///
/// Unlike an entry, a snapshot takes the place of the one before it under its key. Of two that are written at once, the
/// last one stays, and the other one's news are lost until somebody has them again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// The key of the mount.
    pub key: Digest,
    /// When it was made, in seconds since the epoch.
    pub made: u64,
    /// Its layers, lowest first.
    pub layers: Vec<Layer>,
}

impl Snapshot {
    /// The bytes of all layers, unpacked.
    pub fn size(&self) -> u64 {
        self.layers.iter().map(|layer| layer.size).fold(0, u64::saturating_add)
    }
}

impl Kept for Snapshot {
    fn layers(&self) -> &[Layer] {
        &self.layers
    }

    fn fault(&self, asked: &Digest) -> Option<String> {
        if self.key != *asked {
            return Some(format!("it is the snapshot of another key, {}", self.key));
        }
        if !(1..=MOST_LAYERS).contains(&self.layers.len()) {
            return Some(format!("no snapshot has {} layers", self.layers.len()));
        }
        self.layers.iter().find_map(layer_fault)
    }
}

const _: () = assert!(MOST_LAYERS * 512 < document::LARGEST);
