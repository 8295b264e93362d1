//! The file cut into instructions: continuations joined, heredocs read, comments collected.

use std::ops::Range;

use super::Context;
use crate::dockerfile::{
    heredoc::{self, Heredoc},
    json::{self, Json},
    lines::{self, Lines},
    split::Parts,
    syntax::{Note, NoteKind, Word},
};

/// More instructions than this are no Dockerfile that somebody wrote; the limit bounds memory.
const MOST_INSTRUCTIONS: usize = 100_000;

/// An instruction, cut but not understood.
#[derive(Debug)]
pub(super) struct Raw {
    pub(super) parts: Parts,
    pub(super) heredocs: Vec<Heredoc>,
    pub(super) comments: Vec<Word>,
    pub(super) span: Range<usize>,
}

/// Reads one instruction after the other.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    lines: Lines<'a>,
    count: usize,
}

impl<'a> Reader<'a> {
    /// Reads from this byte on.
    pub(super) fn new(text: &'a str, start: usize) -> Self {
        Self { lines: Lines::starting(text, start), count: 0 }
    }

    /// The next instruction.
    pub(super) fn next(&mut self, context: &mut Context<'_>, notes: &mut Vec<Note>) -> Option<Raw> {
        let mut comments = Vec::new();
        while let Some(line) = self.lines.next() {
            if let Some(comment) = line.comment() {
                // An empty comment line ends a description.
                if comment.text.is_empty() {
                    comments.clear();
                } else {
                    comments.push(comment);
                }
                continue;
            }
            if line.content().trim().is_empty() {
                continue;
            }
            let joined = lines::join(line, &mut self.lines, context.escape);
            if joined.text.text.is_empty() {
                continue;
            }
            notes.extend(
                joined.empty.into_iter().map(|span| Note { kind: NoteKind::EmptyContinuation, span }),
            );
            self.count += 1;
            if self.count > MOST_INSTRUCTIONS {
                let message = format!("there are more than {MOST_INSTRUCTIONS} instructions");
                context.error(message, &joined.text.span, "");
                self.lines.stop();
                return None;
            }
            return Some(self.with_heredocs(context, joined.text, comments));
        }
        None
    }

    fn with_heredocs(&mut self, context: &mut Context<'_>, line: Word, comments: Vec<Word>) -> Raw {
        let mut span = line.span.clone();
        let parts = Parts::new(line);
        let mut heredocs = Vec::new();
        let before = self.lines.offset();
        for mut heredoc in openings(&parts) {
            if !heredoc.read(&mut self.lines) {
                let name = &heredoc.name;
                context.error_with_hint(
                    format!("the heredoc {name:?} is not ended"),
                    &heredoc.span,
                    "begins here",
                    format!("end it with a line that is {name} alone, without spaces around"),
                );
            }
            heredocs.push(heredoc);
        }
        if self.lines.offset() > before {
            span.end = self.lines.content_end(before);
        }
        Raw { parts, heredocs, comments, span }
    }
}

/// The heredocs that begin in an instruction that may have some: `RUN`, `COPY` and `ADD`, and these as triggers; not
/// with a JSON array.
fn openings(parts: &Parts) -> Vec<Heredoc> {
    if !parts.args.text.contains("<<") {
        return Vec::new();
    }
    if parts.is("ONBUILD") {
        let trigger = Parts::new(parts.args.clone());
        return if trigger.is("ONBUILD") { Vec::new() } else { openings(&trigger) };
    }
    let may = ["RUN", "COPY", "ADD"].iter().any(|keyword| parts.is(keyword));
    if may && !matches!(json::array(&parts.args), Json::Strings(_)) {
        heredoc::openings(&parts.args)
    } else {
        Vec::new()
    }
}
