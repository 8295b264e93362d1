//! What goes wrong with locks.

use std::{io, path::PathBuf};

use crate::error::{Explain, Kind};

/// What went wrong with a lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// There is none, and there must be.
    #[error("there is no {lock}, and --locked allows no input that is not locked")]
    None {
        /// The lock as the user knows it.
        lock: String,
    },
    /// What says how to build is no file, so that nothing lies beside it.
    #[error("what is built is not in a file, so that there is no imgbuild.lock beside it, as --locked asks")]
    NoFile,
    /// A name is not in it, and must be.
    #[error("{lock} does not have {what}, and --locked allows no input that is not locked")]
    Missing {
        /// The lock as the user knows it.
        lock: String,
        /// The name.
        what: String,
    },
    /// It does not say what it would if it were written now.
    #[error("{lock} is not what `imgbuild lock` would write: {}", differences(.missing, .unused, .others))]
    Stale {
        /// The lock as the user knows it.
        lock: String,
        /// Names that it does not have.
        missing: Vec<String>,
        /// Names that nothing uses.
        unused: Vec<String>,
        /// Whether there is something else.
        others: bool,
    },
    /// A file on the web is not what it was.
    #[error("{what} has the digest {found} now, and {lock} says {locked}")]
    Changed {
        /// The file.
        what: String,
        /// The lock as the user knows it.
        lock: String,
        /// What the lock says.
        locked: String,
        /// What was found.
        found: String,
    },
    /// What the file to build says itself of a name is something else.
    #[error("{what} must be {expected} by the file that names it, and {lock} says {locked}")]
    Disagrees {
        /// The name.
        what: String,
        /// The lock as the user knows it.
        lock: String,
        /// What the lock says.
        locked: String,
        /// What the file says.
        expected: String,
    },
    /// The manifest that an image's index has is not in the lock.
    #[error("{what} has the manifest {found} for {platform}, which {lock} does not name")]
    Manifest {
        /// The image.
        what: String,
        /// The lock as the user knows it.
        lock: String,
        /// The platform.
        platform: String,
        /// The manifest.
        found: String,
    },
    /// It cannot be read or written.
    #[error("failed to {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The lock.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

fn differences(missing: &[String], unused: &[String], others: &bool) -> String {
    let mut all = Vec::new();
    if !missing.is_empty() {
        all.push(format!("it does not have {}", missing.join(", ")));
    }
    if !unused.is_empty() {
        all.push(format!("nothing uses {}", unused.join(", ")));
    }
    if *others || all.is_empty() {
        all.push("it was written by hand or by another version".to_owned());
    }
    all.join("; ")
}

impl LockError {
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

impl Explain for LockError {
    fn kind(&self) -> Kind {
        match self {
            Self::Io { source, .. } => Kind::of_io(source),
            _ => Kind::Input,
        }
    }

    fn hints(&self) -> Vec<String> {
        let renew = |what: &str| format!("if that is as it should be, run `imgbuild lock --update '{what}'`");
        match self {
            Self::None { .. } | Self::Missing { .. } => vec![
                "run `imgbuild lock`, with the --platform, --target, --build-arg and --build-context of the build"
                    .into(),
            ],
            Self::NoFile => vec!["build without --locked, or write it to a file and run `imgbuild lock`".into()],
            Self::Stale { .. } => vec!["run `imgbuild lock`".into()],
            Self::Changed { what, .. } | Self::Disagrees { what, .. } => vec![renew(what)],
            Self::Manifest { what, .. } => {
                vec![format!(
                    "the lock was changed by hand or merged badly: run `imgbuild lock --update '{what}'`"
                )]
            }
            Self::Io { .. } => Vec::new(),
        }
    }
}
