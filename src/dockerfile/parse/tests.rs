//! Files and the syntax they give, and the messages of bad ones.

mod corpus;
mod instructions;
mod places;
mod robust;

use super::parse;
use crate::{
    dockerfile::syntax::{Dockerfile, Instruction},
    error::Explain,
    source::SourceFile,
};

/// A valid file.
fn valid(text: &str) -> Dockerfile {
    parse(SourceFile::new("Dockerfile", text)).unwrap_or_else(|error| panic!("{}", render(&error)))
}

/// The only instruction of a stage.
fn instruction(text: &str) -> Instruction {
    let dockerfile = valid(&format!("FROM scratch\n{text}\n"));
    let mut instructions = dockerfile.stages.into_iter().flat_map(|stage| stage.instructions);
    let found = instructions.next().unwrap_or_else(|| panic!("nothing in {text}"));
    assert!(instructions.next().is_none(), "more than one in {text}");
    found.node
}

/// An error as the command line shows it.
fn render(error: &dyn Explain) -> String {
    let mut out = error.snippet().unwrap_or_else(|| format!("error: {error}"));
    for hint in error.hints() {
        out.push_str("\nhint: ");
        out.push_str(&hint);
    }
    out.push('\n');
    out
}
