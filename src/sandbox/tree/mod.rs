//! Trees of files as directories: a layer unpacked, what a step changed as a layer, a stack of trees as one.
//!
//! ```text
//! entries ──unpack──► tree ─┐                       ┌─capture──► entries, tar
//!                     tree ─┴─(overlayfs, a step)─► upper tree
//!                       └──flatten──► directory ─(a step)─► compare ──► upper tree
//! ```
//!
//! A tree is in overlayfs' upper format (kernel documentation, `filesystems/overlayfs`, "whiteouts and opaque
//! directories"). All functions block, use no threads, and expect to run as root of the user namespace that the step
//! runs in. Nobody else may write to the trees meanwhile.

mod attributes;
mod bare;
mod capture;
mod compare;
mod copy;
mod error;
mod flatten;
mod flavour;
mod merged;
mod remove;
mod settle;
mod unpack;
mod warnings;

pub use bare::{BareOwners, FileId, OwnersByPath, locate};
pub use capture::{CaptureOptions, capture, entries as list, pack};
pub use compare::{Snapshot, compare, snapshot};
pub use error::TreeError;
pub use flatten::flatten;
pub use flavour::{Flavour, Marks, Owners};
pub use remove::remove;
pub use settle::settle;
pub use unpack::unpack;

#[cfg(test)]
mod tests;
