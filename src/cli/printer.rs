//! Writing to the standard streams.

use std::io::{self, Write};

use crate::error::{Explain, Kind};

/// Writes to the standard streams.
#[derive(Debug)]
pub(super) struct Printer;

impl Printer {
    /// Writes data to standard output. That the reader has gone is not an error: it has what it wanted.
    pub(super) fn stdout(text: &str) -> Result<(), HostError> {
        let mut out = anstream::stdout();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(HostError::new("write to standard output", error))
            }
            _ => Ok(()),
        }
    }

    /// Writes a message to standard error.
    pub(super) fn stderr(text: &str) {
        // There is no place left to tell that this failed.
        let _ = anstream::stderr().write_all(text.as_bytes());
    }
}

/// Something that the command line itself asked the machine for failed.
#[derive(Debug, thiserror::Error)]
#[error("failed to {action}: {source}")]
pub(super) struct HostError {
    action: String,
    source: io::Error,
}

impl HostError {
    pub(super) fn new(action: impl Into<String>, source: io::Error) -> Self {
        Self { action: action.into(), source }
    }
}

impl Explain for HostError {
    fn kind(&self) -> Kind {
        match Kind::of_io(&self.source) {
            Kind::Build => Kind::Host,
            kind => kind,
        }
    }
}
