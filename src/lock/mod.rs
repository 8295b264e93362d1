//! `imgbuild.lock`: what names meant when they were looked up, kept with the source: images by platform, URLs, git refs.
//!
//! ```text
//! imgbuild.lock ── Lock::open ─► Lock: Input (a name) → Entry (what it means, and which files use it)
//!                                 └► Pins: the same while a build uses it, which tells of names that it does not have
//! ```
//!
//! The text is TOML, sorted and always the same for the same entries, so that a review shows what changed and merges
//! are few. This room does not know how anything is looked up.

mod change;
mod document;
mod error;
mod file;
mod pins;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use change::{Change, changes};
pub use document::{Entry, ImagePin, Input, Lock, Pin, WebPin};
pub use error::LockError;
pub use file::{NAME, beside};
pub use pins::Pins;
