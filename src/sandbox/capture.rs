//! What a step has changed.

use serde::{Deserialize, Serialize};

use crate::oci::Digest;

/// The changes of a step, as a layer's uncompressed tar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    /// The tar's digest: the layer's diffID.
    pub diff_id: Digest,
    /// The tar's size in bytes.
    pub size: u64,
    /// What could not be put into a layer, or not as it was: sockets, owners that nobody recorded.
    pub warnings: Vec<String>,
}
