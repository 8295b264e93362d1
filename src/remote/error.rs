//! What goes wrong with inputs from elsewhere.

use std::{io, path::PathBuf};

use crate::{
    error::{Explain, Kind},
    store::StoreError,
};

/// What went wrong with an input from elsewhere.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// There is no `git`.
    #[error("failed to fetch {remote}: git is not installed")]
    NoGit {
        /// The repository, without secrets.
        remote: String,
    },
    /// Git failed.
    #[error("failed to {action} {remote}: {problem}")]
    Git {
        /// What was tried, as a verb.
        action: &'static str,
        /// The repository, without secrets.
        remote: String,
        /// What git said.
        problem: String,
    },
    /// The repository does not have what is asked for.
    #[error("{remote} has no branch, tag or commit {reference:?}")]
    NoReference {
        /// The repository, without secrets.
        remote: String,
        /// What was asked for.
        reference: String,
    },
    /// The reference is another commit than it should be.
    #[error("{reference} of {remote} should be the commit {expected} but is {found}")]
    Commit {
        /// The repository, without secrets.
        remote: String,
        /// What was asked for.
        reference: String,
        /// As written.
        expected: String,
        /// As it is.
        found: String,
    },
    /// The commit does not have the directory.
    #[error("{remote} has no directory {subdirectory:?} at {commit}")]
    NoSubdirectory {
        /// The repository, without secrets.
        remote: String,
        /// What was asked for.
        subdirectory: String,
        /// The commit.
        commit: String,
    },
    /// An operation on a file failed.
    #[error("failed to {action} {path}: {source}")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RemoteError {
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

impl Explain for RemoteError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoGit { .. } => Kind::Host,
            Self::Git { .. } => Kind::Network,
            Self::NoReference { .. } | Self::NoSubdirectory { .. } => Kind::NotFound,
            Self::Commit { .. } => Kind::Build,
            Self::Io { source, .. } => Kind::of_io(source),
            Self::Store(error) => error.kind(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NoGit { .. } => {
                vec!["install git, or clone the repository and build from the clone".into()]
            }
            Self::Git { problem, .. }
                if ["could not read Username", "Authentication failed", "Permission denied"]
                    .iter()
                    .any(|words| problem.contains(words)) =>
            {
                vec![
                    "git asks nobody for passwords here: give it a credential helper, or an SSH key in an agent"
                        .into(),
                ]
            }
            Self::Git { problem, .. } if problem.to_lowercase().contains("certificate") => {
                vec![
                    "if the server is one of yours, trust its certificate authority: --ca FILE (PEM), or `ca` in \
                     imgbuild.toml, on top of this machine's"
                        .into(),
                ]
            }
            Self::NoReference { reference, .. }
                if reference.len() < 40 && reference.bytes().all(|b| b.is_ascii_hexdigit()) =>
            {
                vec![
                    "a commit must be written in full: servers do not tell what its first digits mean".into(),
                ]
            }
            Self::Store(error) => error.hints(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_says_has_hints() {
        for (problem, hint) in [
            (
                "fatal: could not read Username for 'https://x': terminal prompts disabled",
                "credential helper",
            ),
            (
                "fatal: unable to access 'https://x/': SSL certificate problem: self-signed certificate",
                "--ca FILE",
            ),
            ("fatal: unable to access: server certificate verification failed. CAfile: none", "--ca FILE"),
        ] {
            let (remote, problem) = ("https://x".to_owned(), problem.to_owned());
            let hints = RemoteError::Git { action: "fetch", remote, problem }.hints();
            assert!(hints[0].contains(hint), "{hints:?}");
        }
    }
}
