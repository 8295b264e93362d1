//! Releases: an image under its tags in several registries, moved there last and in the right order; promotion, undoing,
//! parts that meet, notes.
//!
//! One way leads from an image to its tags: [`Publisher::publish`]. It asks what the tags mean now, decides on each,
//! sends the image to every repository by digest, asks again, and moves the tags; a [journal](Journal) says what each
//! meant before, so that a release that was killed can be finished, and one that was a mistake be undone.
//!
//! | file | what it holds |
//! |---|---|
//! | `goal`, `decide` | what is wanted of a repository; what is done with a tag, decided from what is known |
//! | `survey` | what the registries say of the tags |
//! | `publish`, `flip` | the way to the tags |
//! | `journal`, `resume`, `rollback` | what is kept of a release, and what can be done with it later |
//! | `gather` | an image's documents, from wherever it is |
//! | `merge`, `referrers`, `remove` | indices of several images; what is attached to one; deleting |
//! | `notes` | what has changed since the release before; which versions there are |
//! | `rendezvous` | parts of an image that several machines make |
//!
//! This room does not know how layers are made, nor which rules gave the tags.

mod decide;
mod error;
mod flip;
mod gather;
mod goal;
mod journal;
mod merge;
pub mod notes;
mod publish;
mod referrers;
mod remove;
pub mod rendezvous;
mod resume;
mod rollback;
mod survey;

pub use decide::{Decision, Terms, decide};
pub use error::{Refused, ReleaseError};
pub use gather::gather;
pub use goal::Goal;
pub use journal::{Journal, Kept, KeptTag, KeptTarget, Stage, releases};
pub use merge::{Merge, merge, select};
pub use publish::{Published, Publisher};
pub use referrers::copy_referrers;
pub use remove::remove;
pub use rollback::Undone;
