//! Carrying out the graph: the entries of each node, then the layers of those that are shipped, in parallel.
//!
//! A node is done in two parts. First its *entries* are found: what is to be in the layer, with the digest of each
//! file's content. That is cheap and needs only the entries of the nodes it looks at. Then, for nodes that an image
//! ships, the *layer* is written, or found by its content key: the digest of its entries.
//!
//! This room does not know front ends, terminals or registries' rules.

mod base_layers;
mod bases;
mod build;
mod command;
mod created;
mod engine;
mod error;
mod fetch;
mod inputs;
mod journal;
mod key;
mod layers;
mod made;
mod pinned;
mod place;
mod run;
mod shared;
mod step;
#[cfg(test)]
mod tests;

pub use build::build;
pub use command::{
    Allowed, CommandOptions, EMULATORS, EmulatorError, EmulatorOptions, EmulatorSource, FailedCommand, Runs,
    Secret, SharedMounts, how, log_lines, remove_folders,
};
pub use created::{FILE_TIME, created, plumbing, rfc3339};
pub use engine::{Engine, Options, Ready};
pub use error::StepError;
pub use fetch::{FetchedContext, context_of_stream, fetch_context};
pub use inputs::{Inputs, Locking, lock_inputs};
pub use journal::{
    BaseChange, BaseRecord, BuildRecord, Comparison, ContextRecord, Explained, KeptBuild, OriginRecord,
    StepEnd, StepRecord, Verdict, builds, compare, earlier_of, export, like, open_build, open_shared_build,
    shared_builds,
};
pub use key::Part;
