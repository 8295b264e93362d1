//! What goes wrong with AWS.

use crate::error::{Explain, Kind};

/// What went wrong between AWS and us.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// No source has a key.
    #[error("no credentials of AWS were found: asked {}", .asked.join(", "))]
    Nothing {
        /// The sources, in words.
        asked: Vec<String>,
    },
    /// A source is there and gives no key.
    #[error("{source_name} gives no credentials of AWS: {problem}")]
    Source {
        /// The source, in words: `the profile ci`.
        source_name: String,
        /// Why.
        problem: String,
        /// What would help.
        hint: Option<String>,
    },
    /// A service refuses.
    #[error("failed to {action}: {code}: {message} (identified by {credential})")]
    Refused {
        /// What was tried.
        action: String,
        /// The service's name of the error.
        code: String,
        /// The service's words.
        message: String,
        /// Where the key came from, in words.
        credential: String,
    },
    /// No connection, or another answer than expected, after retries.
    #[error("failed to {action}: {problem}")]
    Unreachable {
        /// What was tried.
        action: String,
        /// What happened.
        problem: String,
    },
}

impl AwsError {
    pub(super) fn source(name: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Source { source_name: name.into(), problem: problem.into(), hint: None }
    }

    pub(super) fn with_hint(self, hint: impl Into<String>) -> Self {
        match self {
            Self::Source { source_name, problem, .. } => {
                Self::Source { source_name, problem, hint: Some(hint.into()) }
            }
            other => other,
        }
    }

    /// The service's name of the error, without a namespace.
    pub(in crate::registry) fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    fn is_limited(code: &str) -> bool {
        ["Throttling", "TooManyRequests", "LimitExceeded", "RequestLimit"]
            .iter()
            .any(|word| code.contains(word))
    }
}

impl Explain for AwsError {
    fn kind(&self) -> Kind {
        match self {
            Self::Nothing { .. } | Self::Source { .. } => Kind::Denied,
            Self::Refused { code, .. } if Self::is_limited(code) => Kind::RateLimited,
            Self::Refused { .. } => Kind::Denied,
            Self::Unreachable { .. } => Kind::Network,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Nothing { .. } => vec![
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; in GitHub Actions, the action \
                 aws-actions/configure-aws-credentials sets them"
                    .into(),
            ],
            Self::Source { hint, .. } => hint.iter().cloned().collect(),
            Self::Refused { code, .. } if code.contains("AccessDenied") => {
                vec!["the policy of this user or role does not allow it: add the action that is named".into()]
            }
            Self::Refused { code, .. } if code.contains("Expired") => {
                vec!["the session has ended: get new credentials".into()]
            }
            Self::Refused { code, .. }
                if code.contains("UnrecognizedClient") || code.contains("InvalidSignature") =>
            {
                vec!["check the access key and its secret, and this machine's clock".into()]
            }
            _ => Vec::new(),
        }
    }
}
