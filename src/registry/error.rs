//! What goes wrong with registries.

use std::{path::PathBuf, time::Duration};

use reqwest::StatusCode;

use super::{AwsError, CredentialError, RateLimit};
use crate::{
    error::{Explain, Kind},
    oci::Digest,
    store::StoreError,
};

/// What went wrong. `action` says what was tried and on what, as in `push the blob sha256:… to ghcr.io/me/app`.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A setting is wrong.
    #[error("{0}")]
    Settings(String),
    /// The registry or its token server does not let us.
    #[error("failed to {action}: {answer} (identified by {credential})")]
    Denied {
        /// What was tried.
        action: String,
        /// Status and message.
        answer: String,
        /// Where the credential came from, in words.
        credential: String,
        /// The registry.
        registry: String,
    },
    /// What was asked for is not there.
    #[error("failed to {action}: {answer}")]
    NotFound {
        /// What was tried.
        action: String,
        /// Status and message.
        answer: String,
        /// The registry.
        registry: String,
    },
    /// There were too many requests, and waiting did not help or would take too long.
    #[error("failed to {action}: {answer}")]
    RateLimited {
        /// What was tried.
        action: String,
        /// Status and message.
        answer: String,
        /// How long the registry asks to wait.
        after: Option<Duration>,
        /// What the registry says of its limit.
        limit: Option<Box<RateLimit>>,
        /// Where the credential came from, in words.
        credential: String,
        /// The registry.
        registry: String,
    },
    /// The tag exists and may not be moved.
    #[error("failed to {action}: {answer}")]
    Conflict {
        /// What was tried.
        action: String,
        /// Status and message.
        answer: String,
    },
    /// Another status than expected, after retries.
    #[error("failed to {action}: {answer}")]
    Status {
        /// What was tried.
        action: String,
        /// The status.
        status: StatusCode,
        /// Status and message.
        answer: String,
    },
    /// There is no host of this name. Trying again does not help.
    #[error("failed to {action}: there is no host of that name")]
    UnknownHost {
        /// What was tried.
        action: String,
    },
    /// No connection, or it broke, after retries.
    #[error("failed to {action}: {problem}")]
    Transport {
        /// What was tried.
        action: String,
        /// What happened, causes included.
        problem: String,
    },
    /// The server's certificate is not to be trusted. Trying again does not help.
    #[error("failed to {action}: {problem}")]
    Untrusted {
        /// What was tried.
        action: String,
        /// What is wrong with the certificate.
        problem: String,
    },
    /// The registry breaks the protocol.
    #[error("failed to {action}: {problem}")]
    Protocol {
        /// What was tried.
        action: String,
        /// What it did.
        problem: String,
    },
    /// Content is not what its digest says.
    #[error("failed to {action}: the digest should be {expected} but is {found}")]
    Mismatch {
        /// What was tried.
        action: String,
        /// The digest that was promised.
        expected: Box<Digest>,
        /// The digest of what came.
        found: Box<Digest>,
    },
    /// None of several places to pull from had it: the mirrors and the registry itself.
    #[error("failed to {action}: {}", each(.said, .action))]
    Everywhere {
        /// What was tried.
        action: String,
        /// What each place said, by its name, in the order in which they were asked; the registry's own word is last.
        said: Vec<(String, RegistryError)>,
    },
    /// There is no such repository, and the registry makes none by itself.
    #[error("{error}")]
    NoRepository {
        /// What was tried, and what the registry said.
        error: Box<RegistryError>,
        /// The repository.
        repository: String,
    },
    /// AWS gives no password for the registry, or makes no repository.
    #[error(transparent)]
    Aws(Box<AwsError>),
    /// A source of credentials is broken.
    #[error(transparent)]
    Credentials(#[from] CredentialError),
    /// The local store failed.
    #[error(transparent)]
    Store(Box<StoreError>),
    /// A local file failed.
    #[error("failed to read {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The program itself failed.
    #[error("failed to {action}: a worker stopped")]
    Worker {
        /// What was tried.
        action: String,
    },
}

impl Explain for RegistryError {
    fn kind(&self) -> Kind {
        match self {
            Self::Settings(_) => Kind::Input,
            Self::Denied { .. } => Kind::Denied,
            Self::Credentials(
                CredentialError::Read { source, .. } | CredentialError::Write { source, .. },
            ) => Kind::of_io(source),
            Self::Credentials(CredentialError::Helper { .. }) => Kind::Host,
            Self::Credentials(_) => Kind::Input,
            Self::NotFound { .. } | Self::NoRepository { .. } => Kind::NotFound,
            Self::Aws(error) => error.kind(),
            Self::RateLimited { .. } => Kind::RateLimited,
            // The registry itself has the last word.
            Self::Everywhere { said, .. } => said.last().map_or(Kind::Network, |(_, error)| error.kind()),
            Self::Conflict { .. } => Kind::Conflict,
            Self::Status { .. }
            | Self::Transport { .. }
            | Self::UnknownHost { .. }
            | Self::Untrusted { .. }
            | Self::Protocol { .. }
            | Self::Mismatch { .. } => Kind::Network,
            Self::Store(error) => error.kind(),
            Self::File { source, .. } => Kind::of_io(source),
            Self::Worker { .. } => Kind::Internal,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Denied { registry, credential, .. } if credential == NO_CREDENTIALS => {
                vec![format!("run `{}`, or set {}", login(registry), variables(registry))]
            }
            Self::Denied { registry, .. } => vec![
                "check that the user may do this on the repository, and that the token has not expired"
                    .into(),
                format!("`{}` replaces the credential", login(registry)),
            ],
            Self::NoRepository { repository, .. } => vec![format!(
                "this registry makes no repositories by itself: --create-repository makes {repository}"
            )],
            Self::Aws(error) => error.hints(),
            Self::RateLimited { registry, credential, after, limit, .. } => {
                let mut hints = Vec::new();
                if let Some(limit) = limit {
                    hints.push(format!("{registry} says that {limit}"));
                }
                if let Some(after) = after {
                    hints.push(format!("the registry asks to wait {} s", after.as_secs()));
                }
                if credential == NO_CREDENTIALS {
                    hints.push(format!("users that are logged in have higher limits: `{}`", login(registry)));
                }
                hints
            }
            Self::UnknownHost { .. } => {
                vec!["check the name; behind a proxy, set HTTPS_PROXY, or `proxy` in imgbuild.toml".into()]
            }
            Self::Conflict { .. } => {
                vec!["the registry keeps this tag immutable: choose another tag".into()]
            }
            Self::Status { status, .. } if *status == StatusCode::PAYLOAD_TOO_LARGE => {
                vec!["a proxy in front of the registry limits the size of requests".into()]
            }
            Self::Mismatch { .. } => {
                vec!["the content was damaged on its way, or a proxy or mirror serves something else".into()]
            }
            Self::Store(error) => error.hints(),
            Self::Untrusted { .. } => vec![
                "if the server is one of yours, trust its certificate authority: --ca FILE (PEM), or `ca` in \
                 imgbuild.toml, on top of this machine's"
                    .into(),
                "a registry alone can be let off TLS: --insecure-registry HOST[:PORT]".into(),
            ],
            // What rustls makes of an answer that is no TLS.
            Self::Transport { problem, .. } if problem.contains("InvalidContentType") => {
                vec![
                    "the registry seems to speak plain HTTP: --insecure-registry HOST[:PORT] allows that"
                        .into(),
                ]
            }
            Self::Everywhere { said, .. } => {
                let mut hints: Vec<String> = Vec::new();
                for hint in said.iter().flat_map(|(_, error)| error.hints()) {
                    if !hints.contains(&hint) {
                        hints.push(hint);
                    }
                }
                hints
            }
            _ => Vec::new(),
        }
    }
}

/// What each place said, without what was tried each time.
fn each(said: &[(String, RegistryError)], action: &str) -> String {
    let tried = format!("failed to {action}: ");
    let words = said.iter().map(|(place, error)| {
        let text = error.to_string();
        format!("{place}: {}", text.strip_prefix(&tried).unwrap_or(&text))
    });
    words.collect::<Vec<_>>().join("; ")
}

/// The words for a credential that is none.
pub(super) const NO_CREDENTIALS: &str = "no credentials";

fn login(registry: &str) -> String {
    if registry == "docker.io" { "imgbuild login".to_owned() } else { format!("imgbuild login {registry}") }
}

fn variables(registry: &str) -> String {
    let host: String = registry
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
        .collect();
    format!("IMGBUILD_REGISTRY_{host}_USERNAME and IMGBUILD_REGISTRY_{host}_PASSWORD")
}

impl RegistryError {
    pub(super) fn mismatch(action: String, expected: Digest, found: Digest) -> Self {
        Self::Mismatch { action, expected: expected.into(), found: found.into() }
    }

    /// Whether a file that was to be sent is not there.
    pub fn is_missing_file(&self) -> bool {
        matches!(self, Self::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
    }
}

impl From<AwsError> for RegistryError {
    fn from(error: AwsError) -> Self {
        Self::Aws(Box::new(error))
    }
}

impl From<StoreError> for RegistryError {
    fn from(error: StoreError) -> Self {
        Self::Store(Box::new(error))
    }
}

impl From<RegistryError> for std::io::Error {
    /// For readers of a [`super::BlobStream`]; the error itself can be had back by downcasting.
    fn from(error: RegistryError) -> Self {
        Self::other(error)
    }
}

/// The error for a request that got no answer.
pub(super) fn broken(action: &str, error: reqwest::Error) -> RegistryError {
    let action = action.to_owned();
    if is_unknown_host(&error) {
        RegistryError::UnknownHost { action }
    } else if is_untrusted(&error) {
        RegistryError::Untrusted { action, problem: transport_words(error) }
    } else {
        RegistryError::Transport { action, problem: transport_words(error) }
    }
}

/// Whether the resolver said that there is no such name, which it says for good: it has other words for a failure of
/// its own. (Those of glibc, musl, and macOS; the error's number is not kept by the standard library.)
fn is_unknown_host(error: &(dyn std::error::Error + 'static)) -> bool {
    const WORDS: [&str; 3] =
        ["Name or service not known", "Name does not resolve", "nodename nor servname provided"];
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if WORDS.iter().any(|words| text.contains(words)) {
            return true;
        }
        next = error.source();
    }
    false
}

/// Whether nobody listens where the connection was to go.
pub(super) fn is_refused(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused) {
            return true;
        }
        next = error.source();
    }
    false
}

fn is_untrusted(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        // An I/O error hides the error it was made of from its causes.
        let inner = error.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
        if let Some(inner) = inner
            && is_untrusted(inner)
        {
            return true;
        }
        if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
            return true;
        }
        next = error.source();
    }
    false
}

/// An error with all its causes, in one line. Query strings, which may hold signatures, are left out.
pub(crate) fn transport_words(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        let text = error.to_string();
        if !words.contains(&text) {
            words.push_str(": ");
            words.push_str(&text);
        }
        cause = error.source();
    }
    words
}
