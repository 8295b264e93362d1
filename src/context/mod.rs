//! A directory on this machine as an input of a build: ignore rules, the walk, globs, the stat cache and the digests
//! of what is picked.
//!
//! ```text
//! Context::open ── root, Ignore, Store
//!      │
//!      └─ select(Selection) ─► which directories are needed ─► walk them, once (ignore rules prune)
//!                                                         └─► hash what the stat cache does not know
//!                                                         └─► Vec<Picked>: for each match, its entries
//!                              digest(&[Picked]) ─► the part of a step's key that stands for them
//! ```
//!
//! Content counts by path, type, normalised mode, bytes, link targets and extended attributes; times, owners, inode
//! numbers and the umask of whoever checked the tree out never do.
//!
//! This room does not know what a copy is for, where it goes to, or what image it ends up in.

mod directory;
mod error;
mod filter;
#[cfg(test)]
mod fingerprint;
mod hash;
mod ignore;
mod pattern;
mod select;
mod source;
mod stat_cache;
mod tree;

#[cfg(test)]
mod tests;

pub use directory::Context;
pub use error::ContextError;
pub use filter::{Below, Filter, Rule, Verdict};
pub use ignore::Ignore;
pub use pattern::{Pattern, PatternError, clean};
pub use select::{Item, Picked, Selection};
