//! Inputs of a build that are not on this machine: what a text says of them, and Git repositories.
//!
//! ```text
//! text ── Place::parse ─► Git(GitSource) ── checkout ─► a directory of the store, named by remote and commit
//!                      └► Web(url) ── the registry room's client, which keeps web files in the store, too
//! ```
//!
//! Everything that is fetched is kept in the store under a name that stands for its content, so that the next build
//! asks only whether there is something new. This room does not know what is built from it.

mod error;
mod git;
mod place;
#[cfg(test)]
mod tests;
mod tidy;

pub use error::RemoteError;
pub use git::{Checkout, checkout, look_up};
pub use place::{GitSource, Place, PlaceError, decoded};
