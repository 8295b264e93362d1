//! What is kept of a command that was run.

use serde::{Deserialize, Serialize};

use crate::oci::Digest;

/// What a command did, by its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RunRecord {
    /// The digest of the tar of its changes.
    pub(super) diff_id: Digest,
    /// That tar's size in bytes.
    pub(super) size: u64,
}
