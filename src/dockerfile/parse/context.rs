//! What the reading of one file knows all along: the file, its escape character, and what is wrong so far.

use std::ops::Range;

use crate::{
    dockerfile::syntax::Escape,
    source::{Diagnostic, Diagnostics, SourceFile},
};

/// More errors than this are not looked for.
const LIMIT: usize = 20;

#[derive(Debug)]
pub(in crate::dockerfile) struct Context<'a> {
    pub(super) file: &'a SourceFile,
    pub(super) escape: Escape,
    pub(super) errors: Vec<Diagnostic>,
    /// Whether the last instruction was none that is known or nearly known: those after it are likely parts of it.
    pub(super) lost: bool,
}

impl<'a> Context<'a> {
    pub(super) fn new(file: &'a SourceFile) -> Self {
        Self { file, escape: Escape::default(), errors: Vec::new(), lost: false }
    }

    /// Whether no more errors are looked for.
    pub(super) fn is_full(&self) -> bool {
        self.errors.len() >= LIMIT
    }

    pub(in crate::dockerfile) fn error(
        &mut self,
        message: impl Into<String>,
        span: &Range<usize>,
        label: impl Into<String>,
    ) {
        self.errors.push(Diagnostic::new(message).at(self.file.at(span.clone()), label));
    }

    pub(in crate::dockerfile) fn error_with_hint(
        &mut self,
        message: impl Into<String>,
        span: &Range<usize>,
        label: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.errors.push(Diagnostic::new(message).at(self.file.at(span.clone()), label).hint(hint));
    }

    /// What was read, if nothing was wrong.
    pub(super) fn finish<T>(mut self, read: T) -> Result<T, Diagnostics> {
        if self.is_full() {
            self.errors.truncate(LIMIT);
            let name = self.file.name();
            self.errors.push(Diagnostic::new(format!("{name} has more errors: only the first are shown")));
        }
        match Diagnostics::collect(self.errors) {
            Some(errors) => Err(errors),
            None => Ok(read),
        }
    }
}
