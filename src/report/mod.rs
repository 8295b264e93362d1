//! What the user sees: consumers of [`crate::event::Event`]s, and failures in words.
//!
//! All progress goes to standard error; standard output carries data only. Writing never fails a build: who closes
//! the other end of standard error does not want to read it.
//!
//! This room does not know the engine's insides.

mod annotations;
mod failure;
mod json;
mod plain;
mod reporter;
mod step_output;
mod summary;
mod terminal;
mod words;

#[cfg(test)]
mod tests;

pub use annotations::{Annotations, without_commands};
pub use failure::render_failure;
pub use json::JsonLines;
pub use plain::Plain;
pub use reporter::{Render, Reporter, Style};
pub use step_output::step_output;
pub use summary::{Summary, SummaryImage, SummaryPlatform};
pub use terminal::Terminal;
pub use words::{bytes, rate, seconds};
