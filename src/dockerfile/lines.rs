//! Bytes → text → lines → instructions' texts, continuations joined.

use std::ops::Range;

use super::syntax::{Escape, Word};
use crate::source::{Diagnostic, SourceFile};

/// The largest file that is read, in bytes. Readers of files and streams stop here.
pub const MAX_SIZE: usize = 16 << 20;

/// The file of these bytes: UTF-8 (a byte order mark is left out), not larger than [`MAX_SIZE`].
pub(super) fn decode(name: &str, bytes: &[u8]) -> Result<SourceFile, Diagnostic> {
    if bytes.len() > MAX_SIZE {
        return Err(Diagnostic::new(format!("{name} is larger than {} MiB", MAX_SIZE >> 20))
            .hint("put large texts into files of the build context, and copy them"));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let column = 1 + before.iter().rev().take_while(|byte| **byte != b'\n').count();
        Diagnostic::new(format!("{name}:{line}: not UTF-8 text at byte {column} of the line"))
            .hint("Dockerfiles are written in UTF-8, comments too")
    })?;
    Ok(SourceFile::new(name, text.strip_prefix('\u{feff}').unwrap_or(text)))
}

/// A line of the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    /// All of it, with its end.
    pub(super) text: &'a str,
    /// Where it begins in the file.
    pub(super) start: usize,
}

impl<'a> Line<'a> {
    /// The line without its end.
    pub(super) fn content(&self) -> &'a str {
        self.text.trim_end_matches(['\r', '\n'])
    }

    /// Where the content ends in the file.
    fn end(&self) -> usize {
        self.start + self.content().len()
    }

    /// What a comment line says: its place without `#` and spaces around.
    pub(super) fn comment(&self) -> Option<Word> {
        let content = self.content();
        let after = content.trim_start().strip_prefix('#')?;
        let start = self.start + content.len() - after.trim_start().len();
        Some(Word::new(after.trim(), start))
    }
}

/// The lines of a file, one after the other.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self::starting(text, 0)
    }

    /// The lines from this byte on, which begins one.
    pub(super) fn starting(text: &'a str, position: usize) -> Self {
        Self { text, position }
    }

    /// Where the last line read ends, without its line end; `before` at the least.
    pub(super) fn content_end(&self, before: usize) -> usize {
        self.text[..self.position].trim_end_matches(['\r', '\n']).len().max(before)
    }

    /// Where the next line begins.
    pub(super) fn offset(&self) -> usize {
        self.position
    }

    /// Ends the reading.
    pub(super) fn stop(&mut self) {
        self.position = self.text.len();
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        let rest = &self.text[self.position..];
        let length = rest.find('\n').map_or(rest.len(), |at| at + 1);
        let line = Line { text: &rest[..length], start: self.position };
        self.position += length;
        (length > 0).then_some(line)
    }
}

/// An instruction's text, continuations joined.
#[derive(Debug)]
pub(super) struct Joined {
    /// The text, without spaces around.
    pub(super) text: Word,
    /// Empty lines inside it.
    pub(super) empty: Vec<Range<usize>>,
}

/// Joins a line with those that continue it. Comment lines between are left out, and so are empty lines, though
/// those are noted. A line is continued by the escape character at its end, spaces after it allowed, but not by two
/// (BuildKit's `parser`).
pub(super) fn join(first: Line<'_>, lines: &mut Lines<'_>, escape: Escape) -> Joined {
    let mut text = String::new();
    let mut pieces = Vec::new();
    let mut empty = Vec::new();
    let mut add = |line: Line<'_>| {
        let content = line.content();
        let continued = continued(content, escape);
        let part = continued.unwrap_or(content);
        if !part.is_empty() {
            pieces.push((text.len(), line.start));
            text.push_str(part);
        }
        continued.is_some()
    };
    let mut open = add(first);
    let mut end = first.end();
    while open {
        let Some(line) = lines.next() else { break };
        let content = line.content().trim_start();
        if content.is_empty() {
            empty.push(line.start..line.end());
        } else if !content.starts_with('#') {
            open = add(line);
            end = line.end();
        }
    }
    let whole = Word { text, span: first.start..end, pieces };
    Joined { text: whole.trim(), empty }
}

/// What is before the escape character at a line's end, if there is one that continues it.
fn continued(line: &str, escape: Escape) -> Option<&str> {
    let before = line.trim_end_matches([' ', '\t']).strip_suffix(escape.character())?;
    (!before.ends_with(escape.character())).then_some(before)
}
