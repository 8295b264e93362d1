//! The record of each build: what its steps depended on, part by part, and how they ended; and the comparison of two.
//!
//! ```text
//! a build ─► Journal ─► BuildRecord ─► logs/builds/<when>-<id>-<identity>.json      the last 50
//!               │                 └──► records/contents-1/<content key>             each file of a layer, in short
//!               └─ a step that is not in the cache: what differs from the record before? ─► Event::Missed
//!
//!               └──────────► a shared cache: the record, with the lists that it needs
//!
//! two records ─► compare ─► Comparison: for each step a hit, or what differs, what it cost, what would help
//! ```
//!
//! Steps are matched by stage, platform and text, so that one that is new or has moved is told as that. Nothing here
//! decides what is built: without any record the same steps are carried out, and no failure of this room ends a build.
//!
//! Values are kept where people may read them: secrets are never in a record, and what looks like one, by its name, its
//! form or because it is one of the build's, is kept as its digest.

mod advice;
mod align;
mod compare;
mod definition;
mod explain;
mod keeper;
mod kept;
mod list;
mod record;
mod select;
mod share;

pub use compare::{BaseChange, Comparison, Explained, Verdict, compare};
pub use kept::{KeptBuild, builds, earlier_of, export, open_build};
pub use record::{BaseRecord, BuildRecord, ContextRecord, OriginRecord, StepEnd, StepRecord};
pub use share::{like, open_shared_build, shared_builds};

pub(super) use definition::definition;
pub(super) use explain::{BASE, LAYER, MOUNTED, VARIABLE};
pub(super) use keeper::{Journal, is_secret};
use list::keep_list;
pub(super) use share::share;
