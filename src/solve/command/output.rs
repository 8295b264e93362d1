//! A command's output: lines, without secrets.

use std::{
    collections::VecDeque,
    io::Write,
    time::{Duration, Instant},
};

use crate::sandbox::Stream;

/// The longest line; longer ones are cut into pieces of this size.
const LONGEST: usize = 64 << 10;
/// How many lines an error repeats.
const TAIL: usize = 20;
/// How many characters of a line an error repeats: the log has all of it.
const SHOWN: usize = 500;
/// Shorter values would hide too much that is no secret.
const SHORTEST_SECRET: usize = 4;

/// What stands in for secrets.
const MASK: &str = "***";

/// One line of a command, without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) at: Duration,
    pub(super) stderr: bool,
    pub(super) text: &'a str,
}

/// The values that output must not show, longest first.
#[derive(Clone, Default)]
pub(in super::super) struct Masks(Vec<String>);

impl Masks {
    /// Each value, and each line of those that have several.
    pub(in super::super) fn new<'a>(values: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut masks = Vec::new();
        for value in values {
            let text = String::from_utf8_lossy(value);
            masks.extend(text.lines().map(|line| line.trim().to_owned()));
        }
        masks.retain(|mask| mask.len() >= SHORTEST_SECRET);
        masks.sort_by_key(|mask| std::cmp::Reverse(mask.len()));
        masks.dedup();
        Self(masks)
    }

    /// Whether a text has one of the values in it.
    pub(in super::super) fn hide(&self, text: &str) -> bool {
        self.0.iter().any(|mask| text.contains(mask.as_str()))
    }

    /// The text without the values.
    pub(super) fn apply(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for mask in &self.0 {
            if text.contains(mask.as_str()) {
                text = text.replace(mask.as_str(), MASK);
            }
        }
        text
    }
}

/// Puts what a command writes together to lines, and hands them on.
pub(super) struct Lines<F> {
    masks: Masks,
    begun: Instant,
    open: [Vec<u8>; 2],
    tail: VecDeque<String>,
    take: F,
}

impl<F: FnMut(Line<'_>)> Lines<F> {
    pub(super) fn new(masks: Masks, take: F) -> Self {
        Self { masks, begun: Instant::now(), open: Default::default(), tail: VecDeque::new(), take }
    }

    /// Takes in some bytes of the command.
    pub(super) fn push(&mut self, stream: Stream, mut bytes: &[u8]) {
        let which = usize::from(stream == Stream::Stderr);
        while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
            self.append(which, &bytes[..end]);
            self.end_line(which);
            bytes = &bytes[end + 1..];
        }
        self.append(which, bytes);
    }

    fn append(&mut self, which: usize, mut bytes: &[u8]) {
        while self.open[which].len() + bytes.len() > LONGEST {
            // A secret, or a character, must not be cut in two: pieces end at a blank where there is one.
            let room = LONGEST.saturating_sub(self.open[which].len());
            self.open[which].extend_from_slice(&bytes[..room]);
            bytes = &bytes[room..];
            let end = self.open[which].iter().rposition(|b| b.is_ascii_whitespace()).filter(|at| *at > 0);
            let rest = self.open[which].split_off(end.unwrap_or(LONGEST));
            self.end_line(which);
            self.open[which] = rest;
        }
        self.open[which].extend_from_slice(bytes);
    }

    fn end_line(&mut self, which: usize) {
        let bytes = std::mem::take(&mut self.open[which]);
        // Progress that draws over itself: what was seen last.
        let seen = bytes.split(|b| *b == b'\r').rev().find(|part| !part.is_empty()).unwrap_or_default();
        let text = self.masks.apply(&String::from_utf8_lossy(seen));
        (self.take)(Line { at: self.begun.elapsed(), stderr: which == 1, text: &text });
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(shortened(text));
    }

    /// Ends the lines that are open, and gives the last ones.
    pub(super) fn finish(mut self) -> Vec<String> {
        for which in 0..2 {
            if !self.open[which].is_empty() {
                self.end_line(which);
            }
        }
        self.tail.into()
    }
}

/// A line as an error repeats it.
fn shortened(mut line: String) -> String {
    if let Some((end, _)) = line.char_indices().nth(SHOWN) {
        line.truncate(end);
        line.push('…');
    }
    line
}

/// Writes a line as logs keep it: seconds, stream, text.
pub(super) fn write_log_line(log: &mut impl Write, line: &Line<'_>) -> std::io::Result<()> {
    writeln!(log, "{:.3} {} {}", line.at.as_secs_f64(), if line.stderr { 'e' } else { 'o' }, line.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(masks: &[&str], pieces: &[(Stream, &[u8])]) -> (Vec<(bool, String)>, Vec<String>) {
        let mut got = Vec::new();
        let masks = Masks::new(masks.iter().map(|mask| mask.as_bytes()));
        let mut lines = Lines::new(masks, |line: Line<'_>| got.push((line.stderr, line.text.to_owned())));
        pieces.iter().for_each(|(stream, bytes)| lines.push(*stream, bytes));
        let tail = lines.finish();
        (got, tail)
    }

    #[test]
    fn pieces_become_lines() {
        use Stream::{Stderr, Stdout};
        let (got, tail) = lines(
            &["s3cret\nline two\n", "abc", "s3cret and more"],
            &[
                (Stdout, b"one\ntw"),
                (Stderr, b"err s3c"),
                (Stdout, b"o\n\n10%\r50%\r100%\r\n"),
                (Stderr, b"ret abc line two\n\xff"),
                (Stdout, b"s3cret and more"),
            ],
        );
        let expected = [
            (false, "one"),
            (false, "two"),
            (false, ""),
            (false, "100%"),
            (true, "err *** abc ***"),
            (false, "***"),
            (true, "\u{fffd}"),
        ];
        assert_eq!(got, expected.map(|(stderr, text)| (stderr, text.to_owned())));
        assert_eq!(tail.len(), 7);
    }

    #[test]
    fn long_lines_are_cut() {
        let long = [b"x".repeat(LONGEST - 3), b" secret ".to_vec(), b"y".repeat(3 * LONGEST)].concat();
        let (got, tail) = lines(&["secret"], &[(Stream::Stdout, &long)]);
        assert!(tail.iter().all(|text| text.chars().count() <= SHOWN + 1), "{tail:?}");
        let exact = "ä".repeat(SHOWN);
        assert_eq!(shortened(exact.clone()), exact);
        assert_eq!(shortened(format!("{exact}b")), format!("{exact}…"));
        assert!(got.iter().all(|(_, text)| text.len() <= LONGEST && !text.contains("sec")));
        assert_eq!(got.len(), 6, "{:?}", got.iter().map(|(_, text)| text.len()).collect::<Vec<_>>());
        let (got, tail) = lines(&[], &[(Stream::Stdout, "l\n".repeat(100).as_bytes())]);
        assert_eq!((got.len(), tail.len()), (100, TAIL));
    }
}
