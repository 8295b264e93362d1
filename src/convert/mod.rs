//! A Dockerfile → the layer spec that builds the same image.
//!
//! The spec is written from the syntax tree and not from a recipe: arguments stay arguments, comments stay above what
//! they are about, and commands stay to the letter. It says `rules: docker`, so that what the two languages mean
//! differently is meant as in the Dockerfile. What a spec cannot say is left out with a comment and told: never is
//! something else written in its place.
//!
//! This room does not know how anything is built.

mod config;
mod file;
mod files;
mod names;
mod run;
mod stage;
mod template;
#[cfg(test)]
mod tests;
mod yaml;

use std::path::Path;

use crate::{dockerfile::syntax::Dockerfile, source::Diagnostic};

/// A spec.
#[derive(Debug, Clone)]
pub struct Converted {
    /// Its text.
    pub text: String,
    /// What is not in it, with the places in the Dockerfile, and why.
    pub missing: Vec<Diagnostic>,
}

/// Writes the spec of a Dockerfile. The context, where it is known, tells which of the files that `ADD` names are
/// archives.
pub fn convert(dockerfile: &Dockerfile, context: Option<&Path>) -> Converted {
    file::File::new(dockerfile, context).convert()
}
