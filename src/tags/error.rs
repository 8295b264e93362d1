//! What can be wrong with rules.

use crate::error::{Explain, Kind};

/// A line of rules or of the flavor that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{line}`: {problem}")]
pub struct TagsError {
    what: &'static str,
    line: String,
    problem: Problem,
}

impl TagsError {
    pub(super) fn rule(line: &str, problem: Problem) -> Self {
        Self { what: "tag rule", line: line.to_owned(), problem }
    }

    pub(super) fn flavor(line: &str, problem: Problem) -> Self {
        Self { what: "flavor", line: line.to_owned(), problem }
    }
}

impl Explain for TagsError {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn hints(&self) -> Vec<String> {
        self.problem.hint.iter().cloned().collect()
    }
}

/// What is wrong with a part of a line, before it is known which line it is of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(super) struct Problem {
    message: String,
    hint: Option<String>,
}

impl Problem {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The same problem, told of a part of what it was found in.
    pub(super) fn of(self, part: &str) -> Self {
        Self { message: format!("{part}: {}", self.message), ..self }
    }
}
