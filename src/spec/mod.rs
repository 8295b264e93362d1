//! Layer specs: YAML text → [`recipe`](crate::recipe).
//!
//! A spec passes through two stages of types, kept apart:
//!
//! 1. *As written*: [`raw`], filled by `decode` from a tree of YAML nodes. Every text keeps its place in the file and
//!    its `${…}`, every choice by platform all its branches. What can be judged without a platform and without
//!    arguments (unknown fields, wrong types, duplicate keys) is judged here, in [`Spec::parse`].
//! 2. *Evaluated*: the recipe for one platform, made by `evaluate` when the engine asks for it.
//!
//! The YAML tree comes from the event parser that serde-saphyr is built on, not from its serde layer: a step is known
//! by the field it has, fields may differ by platform, and every error wants the place of a key as well as of a value.
//! The tree gives all three, and no error of another crate reaches the user.
//!
//! This room reads no files and knows nothing of how a step is carried out.

mod args;
mod decode;
mod evaluate;
mod frontend;
mod node;
pub mod raw;
mod schema;
mod template;
#[cfg(test)]
mod tests;
mod yaml;

pub use args::PREDEFINED;
pub use frontend::Spec;
pub use schema::json_schema;

use crate::source::suggest;
