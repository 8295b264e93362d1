//! Which tags an image gets: versions, rules, and the plan that they give for an event (a git tag, a branch, a pull
//! request, a schedule).
//!
//! Everything here is computed from what is given: this room asks no registry and runs no git. It does not know how
//! tags are moved, nor what an image is made of.

mod plan;

pub use plan::{Line, Movement, PlannedTag, TagPlan};
