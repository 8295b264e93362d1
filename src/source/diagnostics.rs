//! Several errors of one file.

use std::fmt;

use super::Diagnostic;
use crate::error::{Explain, Kind};

/// The errors of a file, in the order of their places; at least one. They are shown together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics {
    first: Box<Diagnostic>,
    rest: Vec<Diagnostic>,
}

impl Diagnostics {
    /// The errors in the order of their places, or `None` if there are none.
    pub fn collect(mut all: Vec<Diagnostic>) -> Option<Self> {
        all.sort_by_key(Diagnostic::start);
        let mut all = all.into_iter();
        let first = Box::new(all.next()?);
        Some(Self { first, rest: all.collect() })
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        std::iter::once(&*self.first).chain(&self.rest)
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(error: Diagnostic) -> Self {
        Self { first: Box::new(error), rest: Vec::new() }
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

impl Explain for Diagnostics {
    /// The first one's.
    fn kind(&self) -> Kind {
        Explain::kind(&*self.first)
    }

    /// Of a single error; several have theirs below each.
    fn hints(&self) -> Vec<String> {
        if self.rest.is_empty() { self.first.hints() } else { Vec::new() }
    }

    fn diagnostics(&self) -> Vec<&Diagnostic> {
        self.iter().collect()
    }

    fn snippet(&self) -> Option<String> {
        if self.rest.is_empty() {
            return self.first.snippet();
        }
        let shown = self.iter().map(|error| {
            let snippet = error.snippet().unwrap_or_else(|| format!("error: {error}"));
            let hints = error.hints().into_iter().map(|hint| format!("\nhint: {hint}"));
            std::iter::once(snippet).chain(hints).collect::<String>()
        });
        Some(shown.collect::<Vec<_>>().join("\n\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceFile;

    #[test]
    fn errors_are_shown_together_in_order_with_their_hints() {
        let file = SourceFile::new("f", "one\ntwo\nthree\n");
        let errors = vec![
            Diagnostic::new("bad three").at(file.at(8..13), "here").hint("do not"),
            Diagnostic::new("bad one").at(file.at(0..3), ""),
        ];
        let errors = Diagnostics::collect(errors).expect("some");
        assert_eq!(errors.to_string(), "f:1: bad one\nf:3: bad three");
        assert!(errors.hints().is_empty());
        insta::assert_snapshot!(errors.snippet().expect("a snippet"), @r"
        error: bad one
         --> f:1:1
          |
        1 | one
          | ^^^

        error: bad three
         --> f:3:1
          |
        3 | three
          | ^^^^^ here
        hint: do not
        ");
        let one = Diagnostics::from(Diagnostic::new("bad").hint("do not"));
        assert_eq!((one.hints(), one.snippet()), (vec!["do not".to_owned()], None));
        assert_eq!(Diagnostics::collect(Vec::new()), None);
    }

    #[test]
    fn long_places_are_shown_by_their_first_line() {
        let file = SourceFile::new("f", format!("é\n{}", "line\n".repeat(100_000)));
        let snippet = Diagnostic::new("bad").at(file.at(1..400_000), "").snippet().expect("a snippet");
        assert!(snippet.len() < 200, "{snippet}");
        let file = SourceFile::new("f", format!("a\n{} bad {}\n", "x".repeat(1 << 20), "y".repeat(1 << 20)));
        let at = 3 + (1 << 20);
        let snippet = Diagnostic::new("bad").at(file.at(at..at + 3), "").snippet().expect("a snippet");
        assert!(snippet.starts_with("error: f:2: bad\n") && snippet.len() < 1000, "{snippet}");
        assert!(snippet.contains("x bad y"), "{snippet}");
    }
}
