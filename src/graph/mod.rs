//! Recipes of several platforms → one graph: which layers there are to make, what each one needs, and how the images
//! are put together from them.
//!
//! Steps that mean the same for several platforms (a copy of the context, a file from the spec) become one node: what
//! does not depend on the platform is built once. Stages that the target only copies from have nodes, too, but these
//! are not *shipped*: their files are read where they are, and no blob is ever made of them.
//!
//! This room does not know how a node is carried out.

mod node;
mod plan;

pub use node::{BaseId, Node, NodeId, Origin, Tree};
pub use plan::{Graph, ImagePlan, PlannedStep};
