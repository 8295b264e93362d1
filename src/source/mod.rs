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
use serde::{Serialize, Serializer};

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

    /// Where each line begins.
    fn lines(&self) -> &[usize] {
        self.inner.lines.get_or_init(|| {
            let ends = self.text().bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
            std::iter::once(0).chain(ends.map(|(end, _)| end + 1)).collect()
        })
    }

    /// The line that a byte is in, from 1.
    fn line(&self, at: usize) -> usize {
        self.lines().partition_point(|start| *start <= at)
    }

    /// The line and the column, in characters, that a byte is at, each from 1.
    fn position(&self, at: usize) -> Position {
        let line = self.line(at);
        let before = self.text().as_bytes().get(self.lines()[line - 1]..at).unwrap_or_default();
        // A character has one byte that does not continue another.
        let column = 1 + before.iter().filter(|byte| **byte & 0xc0 != 0x80).count();
        Position { line, column }
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

    /// Where it begins.
    pub fn start(&self) -> Position {
        self.file.position(self.range.start)
    }

    /// Where it ends: at its last character, or where it begins if it is empty. Line ends and blanks behind it are no
    /// part of it.
    pub fn end(&self) -> Position {
        let marked = self.file.text().get(self.range.clone()).unwrap_or_default().trim_end();
        let last = marked.char_indices().next_back().map_or(0, |(at, _)| at);
        self.file.position(self.range.start + last)
    }
}

/// A place in a file as people count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The character within the line, from 1.
    pub column: usize,
}

/// For machines: `{"file":"Dockerfile","line":3,"column":1}`.
impl Serialize for Location {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Record<'a> {
            file: &'a str,
            #[serde(flatten)]
            start: Position,
        }
        Record { file: self.file.name(), start: self.start() }.serialize(serializer)
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
        let file = SourceFile::new("f", "é: ä\nsecond  \nlast");
        for (range, start, end) in [
            (0..2, (1, 1), (1, 1)),
            (4..6, (1, 4), (1, 4)),
            (4..13, (1, 4), (2, 6)),
            (7..15, (2, 1), (2, 6)),
            (16..20, (3, 1), (3, 4)),
            (99..99, (3, 5), (3, 5)),
        ] {
            let place = file.at(range.clone());
            let pair = |position: super::Position| (position.line, position.column);
            assert_eq!((pair(place.start()), pair(place.end())), (start, end), "{range:?}");
        }
        let json = serde_json::to_string(&file.at(4..6)).expect("numbers and text");
        assert_eq!(json, r#"{"file":"f","line":1,"column":4}"#);
        let file = SourceFile::new("f", "one\n\nthree\nlast");
        assert_eq!(file, SourceFile::new("f", "one\n\nthree\nlast"));
        assert_ne!(file, SourceFile::new("g", "one\n\nthree\nlast"));
    }
}
