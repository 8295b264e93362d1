//! Input files and places in them: errors in what a user wrote show the line itself.

mod diagnostic;
mod diagnostics;
pub mod suggest;

use std::{fmt, ops::Range, sync::Arc};

pub use diagnostic::Diagnostic;
pub use diagnostics::Diagnostics;

/// A file that a user wrote: its name as the user knows it, and its text.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceFile {
    inner: Arc<(String, String)>,
}

impl SourceFile {
    /// A file with this name and text.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { inner: Arc::new((name.into(), text.into())) }
    }

    /// The name as the user knows it: the path as given.
    pub fn name(&self) -> &str {
        &self.inner.0
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.inner.1
    }

    /// The place of a range of bytes; clamped to the text.
    pub fn at(&self, range: Range<usize>) -> Location {
        let end = range.end.min(self.text().len());
        Location { file: self.clone(), range: range.start.min(end)..end }
    }
}

impl fmt::Debug for SourceFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceFile({})", self.name())
    }
}

/// A place in a file: a range of bytes of its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file.
    pub file: SourceFile,
    /// The bytes.
    pub range: Range<usize>,
}

impl Location {
    /// The line that the place begins in, from 1.
    pub fn line(&self) -> usize {
        1 + self.file.text().as_bytes()[..self.range.start].iter().filter(|b| **b == b'\n').count()
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.name(), self.line())
    }
}
