//! Input files and places in them: errors in what a user wrote show the line itself.

#[cfg(test)]
pub(crate) mod corpus;
mod diagnostic;
mod diagnostics;
pub mod suggest;

use std::{
    fmt,
    ops::Range,
    sync::{Arc, OnceLock},
};

pub use diagnostic::Diagnostic;
pub use diagnostics::Diagnostics;

/// A file that a user wrote: its name as the user knows it, and its text.
#[derive(Clone)]
pub struct SourceFile {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    text: String,
    /// Where each line begins. Found when the first line number is asked for: a file without errors has no need of it.
    lines: OnceLock<Vec<usize>>,
}

impl SourceFile {
    /// A file with this name and text.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { inner: Arc::new(Inner { name: name.into(), text: text.into(), lines: OnceLock::new() }) }
    }

    /// The name as the user knows it: the path as given.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.inner.text
    }

    /// The place of a range of bytes; clamped to the text.
    pub fn at(&self, range: Range<usize>) -> Location {
        let end = range.end.min(self.text().len());
        Location { file: self.clone(), range: range.start.min(end)..end }
    }

    /// The line that a byte is in, from 1.
    fn line(&self, at: usize) -> usize {
        let lines = self.inner.lines.get_or_init(|| {
            let ends = self.text().bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
            std::iter::once(0).chain(ends.map(|(end, _)| end + 1)).collect()
        });
        lines.partition_point(|start| *start <= at)
    }
}

impl PartialEq for SourceFile {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner) || (self.name(), self.text()) == (other.name(), other.text())
    }
}

impl Eq for SourceFile {}

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
        self.file.line(self.range.start)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.name(), self.line())
    }
}

#[cfg(test)]
mod tests {
    use super::SourceFile;

    #[test]
    fn places_know_their_lines() {
        let file = SourceFile::new("f", "one\n\nthree\nlast");
        for (at, line) in [(0, 1), (3, 1), (4, 2), (5, 3), (10, 3), (11, 4), (15, 4), (99, 4)] {
            assert_eq!(file.at(at..at).line(), line, "{at}");
        }
        assert_eq!(SourceFile::new("f", "").at(0..0).line(), 1);
        assert_eq!(file, SourceFile::new("f", "one\n\nthree\nlast"));
        assert_ne!(file, SourceFile::new("g", "one\n\nthree\nlast"));
    }
}
