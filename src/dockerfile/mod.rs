//! The front end for Dockerfiles: text → recipe.
//!
//! ```text
//! text ─lines─► instructions with places ─parse─► syntax ─evaluate (arguments, base configs)─► recipe
//! ```
//!
//! This room does not know how a step is carried out.

pub mod check;
mod directives;
mod evaluate;
mod frontend;
mod heredoc;
mod json;
mod lines;
mod parse;
mod split;
pub mod syntax;
mod text;
mod value;
pub mod word;

pub use frontend::Dockerfile;
pub use lines::MAX_SIZE;
pub use parse::{parse, parse_bytes, parse_trigger};
