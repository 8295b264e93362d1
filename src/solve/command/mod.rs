//! RUN steps: commands in the root file system that the steps before them have made.
//!
//! ```text
//!        key ──► record of an earlier run ──► its tar, from the store or a blob ─────────────────┐
//!         │ none                                                                                 ▼
//!         └────► trees of all layers below ─► execution ─► sandbox ─► tar of the changes ─► entries of the layer
//!                (each unpacked once)         (mounts, secrets, certificates, user)
//! ```
//!
//! The key holds everything that a command can depend on and that is meant to change its result: what lies below it by
//! content, and what the step says. It holds no secret, and nothing of the host: proxies, certificates, limits.
//! Whatever comes on top is keyed by the command's *result*: one that was run again and did the same changes nothing.

mod account;
mod bind;
mod cache;
mod carry_out;
mod certificates;
mod check;
mod emulated;
mod emulator;
mod environment;
mod execution;
mod failed;
mod files;
mod java;
mod key;
mod log;
mod machine;
mod mounts;
mod options;
mod output;
mod record;
mod snapshot;
mod ssh;
mod start;
mod sweep;
mod trees;

pub use emulator::{EMULATORS, EmulatorError, EmulatorOptions, EmulatorSource, Runs, how};
pub use failed::FailedCommand;
pub use log::log_lines;
pub use options::{Allowed, CommandOptions, Secret};
pub use snapshot::SharedMounts;
pub use sweep::remove_folders;

pub(super) use carry_out::{Carried, Commands, carry_out};
pub(super) use check::check;
pub(super) use key::tree_key;
pub(super) use output::Masks;
pub(super) use snapshot::export;
