//! What the rules find.

use std::fmt;

use serde::Serialize;

use super::Rule;
use crate::{
    error::Explain as _,
    source::{Diagnostic, Location},
};

/// A place in a file that a rule does not like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// Where.
    pub location: Location,
}

/// A finding for machines.
#[derive(Debug, Serialize)]
struct Record<'a> {
    rule: &'a str,
    description: &'a str,
    message: &'a str,
    hint: &'a str,
    file: &'a str,
    line: usize,
}

impl Finding {
    /// The finding with the line it is about, over several lines.
    pub fn render(&self) -> String {
        let diagnostic =
            Diagnostic::new(format!("{}: {}", self.rule.name, self.message)).at(self.location.clone(), "");
        let snippet = diagnostic.snippet().unwrap_or_else(|| diagnostic.to_string());
        let snippet = snippet.strip_prefix("error").unwrap_or(&snippet);
        let hint = if self.hint.is_empty() { String::new() } else { format!("hint: {}\n", self.hint) };
        format!("warning{snippet}\n{hint}")
    }

    /// The finding as a JSON value.
    pub fn to_json(&self) -> serde_json::Value {
        let record = Record {
            rule: self.rule.name,
            description: self.rule.description,
            message: &self.message,
            hint: &self.hint,
            file: self.location.file.name(),
            line: self.location.line(),
        };
        serde_json::to_value(record).unwrap_or_default()
    }
}

impl fmt::Display for Finding {
    /// In one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.location, self.rule.name, self.message)?;
        if !self.hint.is_empty() {
            write!(f, "; {}", self.hint)?;
        }
        Ok(())
    }
}
