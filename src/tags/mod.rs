//! Which tags an image gets: versions, rules, and the plan that they give for an event (a git tag, a branch, a pull
//! request, a schedule).
//!
//! Rules are written as docker/metadata-action has them, one a line, and give the tags, labels and annotations that
//! it gives: whoever moves over renames nothing. On top of that each tag is told when it may be moved ([`Movement`]).
//!
//! Everything here is computed from what is given: this room asks no registry, runs no git and reads no clock. It does
//! not know how tags are moved, nor what an image is made of.

mod csv;
mod date;
mod error;
mod event;
mod flavor;
mod matcher;
mod movement;
mod pep440;
mod plan;
mod planning;
mod rule;
mod scope;
mod template;
mod version;

pub use error::TagsError;
pub use event::{Event, Project};
pub use flavor::{Flavor, Latest};
pub use plan::{Line, Movement, PlannedTag, Scheme, TagPlan};
pub use planning::{Note, Planned, plan};
pub use rule::{Rule, WORDS};
pub use version::at_end as version_at_end;

#[cfg(test)]
mod tests;
