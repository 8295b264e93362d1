//! What is allowed in a Dockerfile and should not be: Docker's documented build checks, and what a good image asks for.
//!
//! The rules read what is written, and know of variables only whether they are set; nothing is carried out for them.
//! What the configs of bases say is used where they are known: a build knows them, `imgbuild check` asks nobody.

mod command;
mod files;
mod finding;
mod image;
mod rule;
mod selection;
mod stages;
mod style;
#[cfg(test)]
mod tests;
mod variables;

use std::{cell::Cell, ops::Range, path::Path};

pub use finding::Finding;
pub use rule::{Origin, Rule};
pub use selection::{Selection, SelectionError};

use self::stages::{StageInfo, stages};
use super::{
    evaluate::{
        Evaluator,
        variables::{Scope, automatic, room},
    },
    syntax::{self, Statement},
    word::MOST_WORK,
};
use crate::{
    context::Ignore,
    recipe::{BaseConfigs, Request},
    source::{SourceFile, suggest::closest},
};

/// What the checks may look at besides the file itself.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// What is asked of the build.
    pub request: &'a Request,
    /// The configs of bases, as far as they are known.
    pub configs: Option<&'a BaseConfigs>,
    /// The main context and its ignore rules, where it is a directory.
    pub context: Option<(&'a Path, &'a Ignore)>,
}

/// Collects what the rules find.
struct Checker<'a> {
    file: &'a syntax::Dockerfile,
    around: Surroundings<'a>,
    /// Arguments that `FROM` can use.
    globals: Scope,
    stages: Vec<StageInfo<'a>>,
    /// The stage that is built.
    target: usize,
    selection: Selection,
    build: bool,
    findings: Vec<Finding>,
    /// How much the words of `FROM` may still take.
    room: Cell<usize>,
    /// How often similar names were looked for.
    looked_for: usize,
}

/// How often similar names are looked for: each time, all names of a file are compared.
const MOST_LOOKED_FOR: usize = 20;

/// What the rules of a build find: the documented ones, in what the target needs.
pub(super) fn of_build(
    file: &syntax::Dockerfile,
    around: Surroundings<'_>,
    selection: Selection,
) -> Vec<Finding> {
    run(file, around, selection, true)
}

/// What all rules find, in all stages.
pub(in crate::dockerfile) fn of_file(
    file: &syntax::Dockerfile,
    around: Surroundings<'_>,
    selection: Selection,
) -> Vec<Finding> {
    run(file, around, selection, false)
}

fn run(
    file: &syntax::Dockerfile,
    around: Surroundings<'_>,
    selection: Selection,
    build: bool,
) -> Vec<Finding> {
    if selection.skip_all {
        return Vec::new();
    }
    let room = room();
    let evaluator = Evaluator { file, request: around.request, room: &room };
    // What cannot be evaluated is told by the build itself.
    let globals =
        super::evaluate::global_scope(&evaluator).unwrap_or_else(|_| automatic(around.request, None));
    room.set(MOST_WORK);
    let (stages, target) = stages(file, &around, &globals, &room);
    let mut checker = Checker {
        file,
        around,
        globals,
        stages,
        target,
        selection,
        build,
        findings: Vec::new(),
        room,
        looked_for: 0,
    };
    checker.style();
    checker.froms();
    checker.variables();
    checker.commands();
    checker.copies();
    checker.image();
    let mut findings = checker.findings;
    let exceptions = exceptions(file);
    findings.retain(|finding| {
        !exceptions
            .iter()
            .any(|(span, skip)| span.contains(&finding.location.range.start) && skip.skips(finding.rule.name))
    });
    findings
        .sort_by(|a, b| (a.location.range.start, a.rule.name).cmp(&(b.location.range.start, b.rule.name)));
    findings.dedup();
    findings
}

impl<'a> Checker<'a> {
    fn find(&mut self, rule: Rule, span: &Range<usize>, message: impl Into<String>, hint: impl Into<String>) {
        let wanted = match self.build {
            true => self.selection.has(&rule),
            false => self.selection.has_in_check(&rule),
        };
        if wanted {
            let location = self.file.file.at(first_line(&self.file.file, span));
            self.findings.push(Finding { rule, message: message.into(), hint: hint.into(), location });
        }
    }

    /// The name that another one may be a misspelling of.
    fn near<'k>(&mut self, name: &str, known: impl Iterator<Item = &'k String>) -> Option<&'k str> {
        self.looked_for += 1;
        if self.looked_for > MOST_LOOKED_FOR {
            return None;
        }
        closest(name, known.map(String::as_str))
    }

    /// Whether the instructions of a stage are looked at.
    fn looks_at(&self, stage: usize) -> bool {
        !self.build || self.stages[stage].needed
    }

    /// The stages whose instructions are looked at.
    fn looked_at(&self) -> Vec<usize> {
        (0..self.stages.len()).filter(|index| self.looks_at(*index)).collect()
    }

    /// The target and the stages that it stands on, lowest first: what is in the image.
    fn shipped(&self) -> Vec<usize> {
        let mut chain = Vec::new();
        let mut at = Some(self.target).filter(|target| *target < self.stages.len());
        while let Some(index) = at {
            chain.push(index);
            at = self.stages[index].parent;
        }
        chain.reverse();
        chain
    }

    fn instructions(&self, stage: usize) -> &'a [Statement<syntax::Instruction>] {
        let file: &'a syntax::Dockerfile = self.file;
        &file.stages[stage].instructions
    }
}

/// What comments above single instructions leave out for these: `# check=skip=NAME`. What is no such comment says
/// nothing, as in BuildKit.
fn exceptions(file: &syntax::Dockerfile) -> Vec<(Range<usize>, Selection)> {
    let args = file.args.iter().map(|statement| (&statement.comments, &statement.span));
    let stages = file.stages.iter().flat_map(|stage| {
        let instructions = stage.instructions.iter().map(|statement| (&statement.comments, &statement.span));
        std::iter::once((&stage.from.comments, &stage.from.span)).chain(instructions)
    });
    args.chain(stages)
        .filter_map(|(comments, span)| {
            let value = comments.iter().find_map(|comment| {
                let (name, value) = comment.text.split_once('=')?;
                name.trim().eq_ignore_ascii_case("check").then_some(value)
            })?;
            Some((span.clone(), Selection::parse(value).ok()?))
        })
        .collect()
}

/// The part of a range that is on its first line.
fn first_line(file: &SourceFile, span: &Range<usize>) -> Range<usize> {
    let text = file.text().get(span.clone()).unwrap_or_default();
    let end = text.find('\n').map_or(span.end, |line| span.start + line);
    span.start..end
}
