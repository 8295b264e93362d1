//! What went wrong inside the worker, in a form that goes through a socket.

use std::{fmt, io};

use serde::{Deserialize, Serialize};

use crate::error::{Explain, Kind};

/// Something that the worker tried and that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What was tried, as a verb with its object; empty where the reason says it.
    action: String,
    reason: String,
    errno: Option<i32>,
    hints: Vec<String>,
}

impl Fault {
    /// A failure that the system has no number for.
    pub(super) fn new(action: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { action: action.into(), reason: reason.into(), errno: None, hints: Vec::new() }
    }

    /// For `map_err`: a system call failed while this was tried.
    pub(super) fn of<E: Into<io::Error>>(action: impl Into<String>) -> impl FnOnce(E) -> Self {
        let action = action.into();
        move |error| {
            let error = error.into();
            Self {
                action,
                reason: error.to_string(),
                errno: error.raw_os_error().or_else(|| errno_within(&error)),
                hints: Vec::new(),
            }
        }
    }

    /// An error of another room.
    pub(super) fn from_error<E: Explain>(error: E) -> Self {
        Self { hints: error.hints(), ..Self::new("", error.to_string()) }
    }

    /// Tells the user what to do.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The system's number for the reason.
    pub fn errno(&self) -> Option<i32> {
        self.errno
    }

    /// What was tried.
    pub fn action(&self) -> &str {
        &self.action
    }

    /// What the user can do.
    pub(super) fn hints(&self) -> &[String] {
        &self.hints
    }

    pub(super) fn kind(&self) -> Kind {
        self.errno.map_or(Kind::Host, |errno| match Kind::of_io(&io::Error::from_raw_os_error(errno)) {
            Kind::Build => Kind::Host,
            kind => kind,
        })
    }
}

fn errno_within(error: &io::Error) -> Option<i32> {
    error.get_ref()?.downcast_ref::<io::Error>()?.raw_os_error()
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.action.as_str() {
            "" => f.write_str(&self.reason),
            action => write!(f, "failed to {action}: {}", self.reason),
        }
    }
}

impl std::error::Error for Fault {}
