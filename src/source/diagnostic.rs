//! An error in a file that a user wrote.

use std::fmt;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::Location;
use crate::error::{Explain, Kind};

/// An error in a file that a user wrote: the message, the place, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    message: String,
    primary: Option<(Location, String)>,
    hints: Vec<String>,
    kind: Kind,
}

impl Diagnostic {
    /// An error with this message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), primary: None, hints: Vec::new(), kind: Kind::Input }
    }

    /// Shows this place, with a label under it (may be empty).
    #[must_use]
    pub fn at(mut self, location: Location, label: impl Into<String>) -> Self {
        self.primary = Some((location, label.into()));
        self
    }

    /// Tells the user what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Another kind than [`Kind::Input`], for a place in a file where something failed that the file is not to blame
    /// for.
    #[must_use]
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.primary {
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

    fn snippet(&self) -> Option<String> {
        let (location, label) = self.primary.as_ref()?;
        let annotation = AnnotationKind::Primary.span(location.range.clone());
        let annotation = if label.is_empty() { annotation } else { annotation.label(label.as_str()) };
        let snippet = Snippet::source(location.file.text()).path(location.file.name()).annotation(annotation);
        let report = [Level::ERROR.primary_title(self.message.as_str()).element(snippet)];
        Some(Renderer::plain().render(&report).to_string())
    }
}
