//! An error in a file that a user wrote.

use std::{fmt, ops::Range};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::Location;
use crate::error::{Explain, Kind};

/// An error in a file that a user wrote: the message, the place, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    message: String,
    // Boxed, so that a result is not much larger for the sake of its error.
    primary: Option<Box<(Location, String)>>,
    hints: Vec<String>,
    detail: Option<String>,
    kind: Kind,
}

impl Diagnostic {
    /// An error with this message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), primary: None, hints: Vec::new(), detail: None, kind: Kind::Input }
    }

    /// Shows this place, with a label under it (may be empty).
    #[must_use]
    pub fn at(mut self, location: Location, label: impl Into<String>) -> Self {
        self.primary = Some(Box::new((location, label.into())));
        self
    }

    /// Tells the user what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Shows this text below the place.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Another kind than [`Kind::Input`], for a place in a file where something failed that the file is not to blame
    /// for.
    #[must_use]
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// What is wrong, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where it is wrong.
    pub fn location(&self) -> Option<&Location> {
        self.place().map(|(location, _)| location)
    }

    /// What is said at the place; may be empty.
    pub fn label(&self) -> Option<&str> {
        self.place().map(|(_, label)| label.as_str())
    }

    fn place(&self) -> Option<&(Location, String)> {
        self.primary.as_deref()
    }

    /// Where it begins in its file, for sorting; errors without a place come last.
    pub(super) fn start(&self) -> usize {
        self.place().map_or(usize::MAX, |(location, _)| location.range.start)
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place() {
            Some((location, _)) => write!(f, "{location}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for Diagnostic {}

impl Explain for Diagnostic {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn hints(&self) -> Vec<String> {
        self.hints.clone()
    }

    fn detail(&self) -> Option<String> {
        self.detail.clone()
    }

    fn diagnostics(&self) -> Vec<&Diagnostic> {
        vec![self]
    }

    fn snippet(&self) -> Option<String> {
        let (location, label) = self.place()?;
        let window = Window::around(location);
        let annotation = AnnotationKind::Primary.span(window.span);
        let annotation = if label.is_empty() { annotation } else { annotation.label(label.as_str()) };
        let snippet = Snippet::source(window.text).line_start(window.line).annotation(annotation);
        let report = [if window.cut {
            // The columns of the snippet are not those of the file: the title has the place.
            Level::ERROR.primary_title(self.to_string()).element(snippet)
        } else {
            Level::ERROR.primary_title(self.message.as_str()).element(snippet.path(location.file.name()))
        }];
        Some(Renderer::plain().render(&report).to_string())
    }
}

/// At most so many lines are marked; of a longer place, the first line is.
const MOST_LINES: usize = 12;
/// Of a line of more bytes than this, the part around the place is shown.
const LONGEST_LINE: usize = 100_000;
/// How many bytes before and after the beginning of a place are shown of such a line.
const AROUND: usize = 200;

/// The lines that a place is in: all that a snippet needs of a file, however long it is.
struct Window<'a> {
    text: &'a str,
    /// The number of the first line, from 1.
    line: usize,
    /// The place in the text.
    span: Range<usize>,
    /// Whether the text does not begin where a line does.
    cut: bool,
}

impl<'a> Window<'a> {
    fn around(location: &'a Location) -> Self {
        let text = location.file.text();
        let start = floor(text, location.range.start);
        let mut end = floor(text, location.range.end).max(start);
        let line_end = |from: usize| text[from..].find('\n').map_or(text.len(), |at| from + at);
        if text[start..end].matches('\n').nth(MOST_LINES).is_some() {
            end = line_end(start);
        }
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let (mut first, mut last) = (line_start, line_end(end));
        let cut = last - first > LONGEST_LINE;
        if cut {
            first = floor(text, start.saturating_sub(AROUND).max(first));
            last = floor(text, last.min(start + AROUND));
        }
        let shown = text[first..last].trim_end_matches('\r');
        let span = (start - first).min(shown.len())..(end - first).min(shown.len());
        Self { text: shown, line: location.line(), span, cut }
    }
}

/// The character boundary at or before a byte.
fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
