//! What every error of the program can say of itself besides its message: its kind, which decides the exit status,
//! and its hints, which tell the user what to do.
//!
//! Each room has its own error type and implements [`Explain`]; the command line turns any of them into words and an
//! exit status in one place. This room knows no other.

mod url;

use std::error::Error;

pub use url::{public_text, public_url};

use crate::source::Diagnostic;

/// What kind of failure it is. The kind alone decides the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A step of the build failed.
    Build,
    /// The arguments, or a file the user wrote, are wrong.
    Input,
    /// A file, an image, a stage or a blob is not there.
    NotFound,
    /// Authentication or permission.
    Denied,
    /// The network or a registry failed, after retries.
    Network,
    /// A registry limits the rate.
    RateLimited,
    /// An immutable tag, or a version that would go backwards.
    Conflict,
    /// The host cannot do it: no sandbox, no space.
    Host,
    /// A defect of imgbuild.
    Internal,
}

impl Kind {
    /// The exit status of the process.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Build => 1,
            Self::Input => 2,
            Self::NotFound => 3,
            Self::Denied => 4,
            Self::Network => 5,
            Self::RateLimited => 6,
            Self::Conflict => 7,
            Self::Host => 8,
            Self::Internal => 70,
        }
    }

    /// The kind of an I/O error on a local file.
    pub fn of_io(error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::PermissionDenied => Self::Denied,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::ReadOnlyFilesystem => Self::Host,
            _ => Self::Build,
        }
    }
}

/// An error that knows its kind and its hints.
///
/// The message (`Display`) says what was tried, on what, and why it failed, in a fragment that starts lower case and
/// has no full stop. Causes that the message does not quote are in [`Error::source`].
pub trait Explain: Error + Send + Sync + 'static {
    /// The kind of failure.
    fn kind(&self) -> Kind;

    /// What the user can do, most helpful first.
    fn hints(&self) -> Vec<String> {
        Vec::new()
    }

    /// Text to be shown below the message as it is: the last output of a command.
    fn detail(&self) -> Option<String> {
        None
    }

    /// The place in an input file that the error is about, rendered with the line itself, if there is one. It then
    /// stands in for the message.
    fn snippet(&self) -> Option<String> {
        None
    }

    /// The errors in input files that it is made of, for those who show the files themselves: editors, reviews.
    fn diagnostics(&self) -> Vec<&Diagnostic> {
        Vec::new()
    }
}

/// Any error of the program.
pub type Failure = Box<dyn Explain>;

impl<E: Explain> From<E> for Failure {
    fn from(error: E) -> Self {
        Box::new(error)
    }
}
