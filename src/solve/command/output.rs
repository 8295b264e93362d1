//! A command's output: lines, without secrets.

use std::{
    collections::VecDeque,
    io::Write,
    ops::Range,
    time::{Duration, Instant},
};

use memchr::memmem::Finder;

use crate::sandbox::Stream;

/// The longest line, as the command writes it; longer ones are cut.
const LONGEST: usize = 64 << 10;
/// How many lines an error repeats.
const TAIL: usize = 20;
/// How many characters of a line an error repeats: the log has all of it.
const SHOWN: usize = 500;
/// Shorter values would hide too much that is no secret.
const SHORTEST_SECRET: usize = 4;

/// What stands in for secrets.
const MASK: &[u8] = b"***";

/// One line of a command, without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) at: Duration,
    pub(super) stderr: bool,
    pub(super) text: &'a str,
}

/// The values that output must not show.
#[derive(Clone, Default)]
pub(in super::super) struct Masks(Vec<Finder<'static>>);

impl Masks {
    /// Each value, and each line of those that have several.
    pub(in super::super) fn new<'a>(values: impl Iterator<Item = &'a [u8]>) -> Self {
        let lines = values.flat_map(|value| value.split(|b| matches!(b, b'\n' | b'\r')));
        let mut masks: Vec<&[u8]> = lines.map(<[u8]>::trim_ascii).collect();
        masks.retain(|mask| mask.len() >= SHORTEST_SECRET);
        masks.sort_unstable();
        masks.dedup();
        Self(masks.into_iter().map(|mask| Finder::new(mask).into_owned()).collect())
    }

    /// Whether a text has one of the values in it.
    pub(in super::super) fn hide(&self, text: &str) -> bool {
        self.0.iter().any(|mask| mask.find(text.as_bytes()).is_some())
    }

    /// How many bytes the longest one has.
    fn longest(&self) -> usize {
        self.0.iter().map(|mask| mask.needle().len()).max().unwrap_or(0)
    }

    /// Where values are, in their order; those that overlap as one.
    fn places(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        for mask in &self.0 {
            let mut from = 0;
            while let Some(at) = mask.find(&bytes[from..]) {
                found.push(from + at..from + at + mask.needle().len());
                from += at + 1;
            }
        }
        found.sort_unstable_by_key(|place| place.start);
        found.dedup_by(|next, last| {
            let overlap = next.start < last.end;
            if overlap {
                last.end = last.end.max(next.end);
            }
            overlap
        });
        found
    }

    /// The first bytes, up to `end`, without the values. `hidden` of them are the end of a value that is masked already;
    /// the second result is how many bytes behind `end` are that.
    fn apply(&self, bytes: &[u8], hidden: usize, end: usize) -> (Vec<u8>, usize) {
        let mut shown = Vec::new();
        let mut at = hidden;
        for place in self.places(bytes).into_iter().filter(|place| place.start < end) {
            if place.start >= at {
                shown.extend_from_slice(&bytes[at..place.start]);
                shown.extend_from_slice(MASK);
            }
            at = at.max(place.end);
        }
        shown.extend_from_slice(bytes.get(at..end).unwrap_or_default());
        (shown, at.saturating_sub(end))
    }
}

/// A line of which the end has not come.
#[derive(Debug, Default)]
struct Open {
    bytes: Vec<u8>,
    /// How many of the first bytes are the end of a value whose beginning was cut off, and masked.
    hidden: usize,
}

/// Puts what a command writes together to lines, and hands them on.
pub(super) struct Lines<F> {
    masks: Masks,
    longest: usize,
    begun: Instant,
    open: [Open; 2],
    tail: VecDeque<String>,
    take: F,
}

impl<F: FnMut(Line<'_>)> Lines<F> {
    pub(super) fn new(masks: Masks, take: F) -> Self {
        let (begun, open) = (Instant::now(), Default::default());
        Self { masks, longest: LONGEST, begun, open, tail: VecDeque::new(), take }
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
        // A value that begins in a piece must be seen to its end.
        let most = self.longest + self.masks.longest();
        while self.open[which].bytes.len() + bytes.len() > most {
            let (now, later) = bytes.split_at(most.saturating_sub(self.open[which].bytes.len()));
            self.open[which].bytes.extend_from_slice(now);
            bytes = later;
            self.cut(which);
        }
        self.open[which].bytes.extend_from_slice(bytes);
    }

    /// Ends a line of its first bytes, at a blank if there is one: a word, or a character, stays whole then.
    fn cut(&mut self, which: usize) {
        let bytes = &self.open[which].bytes[..self.longest];
        let end = bytes.iter().rposition(|b| b.is_ascii_whitespace()).filter(|at| *at > 0);
        self.tell(which, end.unwrap_or(self.longest));
    }

    fn end_line(&mut self, which: usize) {
        while self.open[which].bytes.len() > self.longest {
            self.cut(which);
        }
        self.tell(which, self.open[which].bytes.len());
    }

    /// Hands on the first bytes of what is open.
    fn tell(&mut self, which: usize, end: usize) {
        let open = &mut self.open[which];
        let (bytes, hidden) = self.masks.apply(&open.bytes, open.hidden, end);
        let nothing_new = open.hidden > 0 && bytes.is_empty();
        open.bytes.drain(..end);
        open.hidden = hidden;
        if nothing_new {
            return;
        }
        // Progress that draws over itself: what was seen last.
        let seen = bytes.split(|b| *b == b'\r').rev().find(|part| !part.is_empty()).unwrap_or_default();
        let text = String::from_utf8_lossy(seen);
        (self.take)(Line { at: self.begun.elapsed(), stderr: which == 1, text: &text });
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(shortened(text.into_owned()));
    }

    /// Ends the lines that are open, and gives the last ones.
    pub(super) fn finish(mut self) -> Vec<String> {
        for which in 0..2 {
            if !self.open[which].bytes.is_empty() {
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
    use proptest::prelude::*;

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

    /// Lines of any length, cut at 10 bytes.
    fn cut(masks: &[String], pieces: &[&[u8]]) -> Vec<String> {
        let mut got = Vec::new();
        let masks = Masks::new(masks.iter().map(|mask| mask.as_bytes()));
        let mut lines = Lines::new(masks, |line: Line<'_>| got.push(line.text.to_owned()));
        lines.longest = 10;
        pieces.iter().for_each(|bytes| lines.push(Stream::Stdout, bytes));
        lines.finish();
        got
    }

    #[test]
    fn secrets_are_not_cut_in_two() {
        for (mask, text, expected) in [
            // At a blank in it, and within a line without blanks.
            ("pass word", "1234 pass word x", &["1234 ***", " x"][..]),
            ("password", "12345password.y", &["12345***", ".y"]),
            ("password", "1234567password", &["1234567***"]),
            ("password", "12 password12 password", &["12", " ***1", "2 ***"]),
            // Longer than a line is; and over itself without an end.
            ("passwordpasswordpassword", "xpasswordpasswordpasswordx", &["x***", "x"]),
            ("aaaa", "baaaaaaaaaaaaaaaaaaaaaaaab", &["b***", "b"]),
            ("12345678", "1234567812345678", &["******"]),
            ("one\rtwo\r\nthree", "x three y", &["x *** y"]),
            ("abcd", "xxxxxxxxxxxxabc", &["xxxxxxxxxx", "xxabc"]),
        ] {
            for size in 1..=text.len() {
                let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
                assert_eq!(cut(&[mask.to_owned()], &pieces), expected, "{mask} {text} {size}");
            }
        }
    }

    /// The bytes of a line of which none is part of a mask, the slow and plain way.
    fn harmless(masks: &[String], line: &str) -> String {
        let is_secret =
            |at: usize| {
                masks.iter().map(|mask| mask.trim()).filter(|mask| mask.len() >= SHORTEST_SECRET).any(
                    |mask| (0..=at).any(|start| start + mask.len() > at && line[start..].starts_with(mask)),
                )
            };
        (0..line.len()).filter(|at| !is_secret(*at)).map(|at| &line[at..=at]).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn no_part_of_a_secret_is_shown(
            masks in prop::collection::vec("[ab ]{3,14}", 0..3),
            words in prop::collection::vec((prop::option::of(0..3usize), "[abc ]{0,6}\n?"), 0..9),
            size in 1..30usize,
        ) {
            let text: String = words
                .iter()
                .flat_map(|(mask, text)| [mask.and_then(|at| masks.get(at)).map_or("", String::as_str), text])
                .collect();
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            let shown = cut(&masks, &pieces).concat().replace("***", "");
            let expected: String = text.lines().map(|line| harmless(&masks, line)).collect();
            prop_assert_eq!(shown, expected, "{:?} {:?}", masks, text);
        }
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
