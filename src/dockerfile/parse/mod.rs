//! Text → [`syntax`](super::syntax).
//!
//! Every instruction is read on its own: one that is wrong is told, left out, and the next one is read.

mod arguments;
mod context;
mod files;
mod flags;
mod go;
mod healthcheck;
mod instruction;
mod mount;
mod reader;
mod run;
#[cfg(test)]
mod tests;
mod written;

pub(super) use context::Context;
pub(super) use go::go_bool;
use instruction::{Kind, instruction};
use reader::Reader;

use super::{
    lines,
    syntax::{Dockerfile, Escape, Instruction, Stage, Statement},
};
use crate::source::{Diagnostic, Diagnostics, SourceFile};

/// Reads a file's bytes: checks size ([`MAX_SIZE`](super::MAX_SIZE)) and encoding, then [`parse`]s.
pub fn parse_bytes(name: &str, bytes: &[u8]) -> Result<Dockerfile, Diagnostics> {
    parse(lines::decode(name, bytes)?)
}

/// Reads a whole file. All that is wrong with it is told at once, up to a limit.
pub fn parse(file: SourceFile) -> Result<Dockerfile, Diagnostics> {
    let mut context = Context::new(&file);
    let (directives, start) = super::directives::directives(&mut context, file.text());
    context.escape = directives.escape;

    let mut reader = Reader::new(file.text(), start);
    let mut dockerfile = Dockerfile {
        file: file.clone(),
        directives,
        args: Vec::new(),
        stages: Vec::new(),
        notes: Vec::new(),
    };
    let mut stageless = None;
    let mut any = false;
    while !context.is_full()
        && let Some(raw) = reader.next(&mut context, &mut dockerfile.notes)
    {
        any = true;
        let keyword = raw.parts.keyword.clone();
        let Some((statement, kind)) = instruction(&mut context, raw) else {
            // An unreadable FROM still begins a stage: what comes after is not to blame.
            stageless.get_or_insert(keyword.text.eq_ignore_ascii_case("FROM"));
            continue;
        };
        place(&mut context, &mut dockerfile, &mut stageless, statement.with(kind));
    }
    if !any && context.errors.is_empty() {
        return Err(Diagnostic::new(format!("{} has no instructions", file.name()))
            .hint("a Dockerfile begins with FROM")
            .into());
    }
    if any && dockerfile.stages.is_empty() && context.errors.is_empty() {
        let end = file.text().trim_end().len();
        context.error_with_hint(
            "there is no FROM",
            &(end..end),
            "",
            "begin with `FROM image` or `FROM scratch`",
        );
    }
    context.finish(dockerfile)
}

/// Puts an instruction where it belongs. `stageless` says whether an instruction outside of any stage need not be told
/// any more.
fn place(
    context: &mut Context<'_>,
    dockerfile: &mut Dockerfile,
    stageless: &mut Option<bool>,
    statement: Statement<Kind>,
) {
    let (statement, kind) = statement.split();
    match kind {
        Kind::From(from) => {
            dockerfile.stages.push(Stage { from: statement.with(from), instructions: Vec::new() });
        }
        Kind::Other(Instruction::Arg(arg)) if dockerfile.stages.is_empty() => {
            dockerfile.args.push(statement.with(arg));
        }
        Kind::Other(instruction) => match dockerfile.stages.last_mut() {
            Some(stage) => stage.instructions.push(statement.with(instruction)),
            None if stageless.is_none() => {
                *stageless = Some(true);
                let keyword = &statement.keyword;
                let message = format!("{} before the first FROM", keyword.text.to_uppercase());
                let hint = "a stage begins with `FROM image`; only ARG may come before the first one";
                context.error_with_hint(message, &keyword.span, "", hint);
            }
            None => {}
        },
    }
}

/// Reads one instruction of a base image's `ONBUILD` list. `ONBUILD`, `FROM` and `MAINTAINER` are refused.
pub fn parse_trigger(file: &SourceFile) -> Result<Statement<Instruction>, Diagnostics> {
    let mut context = Context::new(file);
    context.escape = Escape::Backslash;
    let mut reader = Reader::new(file.text(), 0);
    let mut notes = Vec::new();
    let mut found = None;
    while let Some(raw) = reader.next(&mut context, &mut notes) {
        if found.is_some() {
            context.error("a trigger is one instruction, this is a second one", &raw.span, "");
            break;
        }
        found = Some(instruction::trigger(&mut context, raw));
    }
    match context.finish(found)? {
        Some(Some(statement)) => Ok(statement),
        _ => Err(Diagnostic::new(format!("{} has no instruction", file.name())).into()),
    }
}
