//! Words: parts of the file's text that know their places.

use std::ops::Range;

use super::syntax::Word;

impl Word {
    /// A text that is in the file as it is, from this place on.
    pub(super) fn new(text: &str, start: usize) -> Self {
        Self { text: text.to_owned(), span: start..start + text.len(), pieces: vec![(0, start)] }
    }

    /// The place in the file of a part of the text; of the whole word where the two do not match byte by byte.
    pub fn part(&self, range: Range<usize>) -> Range<usize> {
        if self.pieces.is_empty() || range.start > range.end || range.end > self.text.len() {
            return self.span.clone();
        }
        let place = |offset: usize| {
            let (text, file) = self.pieces[self.piece(offset)];
            file + (offset - text)
        };
        if range.is_empty() && range.start > 0 {
            let end = place(range.start - 1) + 1;
            return end..end;
        }
        let start = place(range.start);
        let end = if range.is_empty() { start } else { place(range.end - 1) + 1 };
        start..end.max(start)
    }

    /// A part of it.
    pub(super) fn slice(&self, range: Range<usize>) -> Self {
        let span = self.part(range.clone());
        let text = self.text[range.clone()].to_owned();
        if self.pieces.is_empty() {
            return Self { text, span, pieces: Vec::new() };
        }
        let (text_start, file_start) = self.pieces[self.piece(range.start)];
        let first = (0, file_start + (range.start - text_start));
        let later = self.pieces[self.piece(range.start) + 1..].iter();
        let later = later.take_while(|(at, _)| *at < range.end).map(|(at, file)| (at - range.start, *file));
        Self { text, span, pieces: std::iter::once(first).chain(later).collect() }
    }

    /// From this byte on.
    pub(super) fn rest(&self, start: usize) -> Self {
        self.slice(start..self.text.len())
    }

    /// Without spaces around.
    pub(super) fn trim(&self) -> Self {
        let end = self.text.trim_end().len();
        let start = self.text[..end].len() - self.text[..end].trim_start().len();
        self.slice(start..end)
    }

    /// The parts between separators.
    pub(super) fn split(&self, separator: char) -> Vec<Self> {
        let mut start = 0;
        let parts = self.text.split(separator).map(|part| {
            let range = start..start + part.len();
            start = range.end + separator.len_utf8();
            self.slice(range)
        });
        parts.collect()
    }

    /// The parts between characters of one kind, without empty ones.
    pub(super) fn split_at_any(&self, separator: impl Fn(char) -> bool) -> Vec<Self> {
        let mut words = Vec::new();
        let mut start = None;
        for (at, character) in self.text.char_indices() {
            match (separator(character), start) {
                (true, Some(from)) => {
                    words.push(self.slice(from..at));
                    start = None;
                }
                (false, None) => start = Some(at),
                _ => {}
            }
        }
        words.extend(start.map(|from| self.rest(from)));
        words
    }

    /// What is before and after the first `=`.
    pub(super) fn key_value(&self) -> Option<(Self, Self)> {
        let at = self.text.find('=')?;
        Some((self.slice(0..at), self.rest(at + 1)))
    }

    fn piece(&self, offset: usize) -> usize {
        self.pieces.partition_point(|(text, _)| *text <= offset).saturating_sub(1)
    }
}

/// A word put together of parts of another.
#[derive(Debug)]
pub(super) struct WordBuilder<'a> {
    whole: &'a Word,
    start: usize,
    text: String,
    pieces: Vec<(usize, usize)>,
    /// The byte of the whole that continues the last piece.
    next: usize,
}

impl<'a> WordBuilder<'a> {
    /// An empty word that begins at this byte of the whole.
    pub(super) fn new(whole: &'a Word, start: usize) -> Self {
        Self { whole, start, text: String::new(), pieces: Vec::new(), next: usize::MAX }
    }

    /// Adds the character at this byte of the whole.
    pub(super) fn push(&mut self, at: usize, character: char) {
        if at != self.next && !self.whole.pieces.is_empty() {
            let part = self.whole.slice(at..at + character.len_utf8());
            self.pieces.push((self.text.len(), part.span.start));
        } else if let Some((text, file)) = self.whole.pieces.get(self.whole.piece(at)).copied()
            && text == at
        {
            self.pieces.push((self.text.len(), file));
        }
        self.text.push(character);
        self.next = at + character.len_utf8();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The word, which ends before this byte of the whole.
    pub(super) fn finish(self, end: usize) -> Word {
        let span = self.whole.part(self.start..end);
        let mut pieces = self.pieces;
        if pieces.is_empty() && !self.whole.pieces.is_empty() {
            pieces.push((0, span.start));
        }
        Word { text: self.text, span, pieces }
    }
}

/// Whether Dockerfiles separate arguments by it (Go's `[\t\v\f\r ]`).
pub(super) fn is_blank(character: char) -> bool {
    matches!(character, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ')
}
