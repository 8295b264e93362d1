//! A response, and what its failure means.

use bytes::{Bytes, BytesMut};
use oci_client::errors::{OciEnvelope, OciErrorCode};
use reqwest::{Response, StatusCode, header::HeaderMap};
use tokio::sync::OwnedSemaphorePermit;
use url::Url;

use super::{RateLimit, RegistryError, Result, error::transport_words, retry::retry_after};

/// How much of an error's body is read.
const ERROR_BODY: usize = 64 << 10;

/// A response that is not retried any more. It counts as a request to its host until it is dropped.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) response: Response,
    /// The words for what was tried.
    pub(super) action: String,
    /// The registry that it is about.
    pub(super) registry: String,
    /// Where the credential came from.
    pub(super) credential: String,
    pub(super) _permit: Option<OwnedSemaphorePermit>,
}

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }

    /// The URL that answered, after redirects.
    pub(super) fn url(&self) -> &Url {
        self.response.url()
    }

    /// An error of this room about what the registry did.
    pub(super) fn protocol(&self, problem: impl Into<String>) -> RegistryError {
        RegistryError::Protocol { action: self.action.clone(), problem: problem.into() }
    }

    /// The whole body, if it has no more than `limit` bytes.
    pub(super) async fn bytes(mut self, limit: usize) -> Result<Bytes> {
        let mut body = BytesMut::new();
        loop {
            match self.response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > limit => {
                    return Err(self.protocol(format!("the answer has more than {limit} bytes")));
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => return Ok(body.freeze()),
                Err(error) => {
                    return Err(RegistryError::Transport {
                        action: self.action,
                        problem: transport_words(error),
                    });
                }
            }
        }
    }

    /// What a status that is none of the expected ones means.
    pub(super) async fn into_error(mut self) -> RegistryError {
        let status = self.status();
        let after = retry_after(self.headers(), std::time::SystemTime::now());
        let limit = RateLimit::of(self.headers()).map(Box::new);
        let mut body = Vec::new();
        // A body that breaks off still says something.
        while body.len() < ERROR_BODY
            && let Ok(Some(chunk)) = self.response.chunk().await
        {
            body.extend_from_slice(&chunk);
        }
        let host = self.url().host_str().unwrap_or(&self.registry).to_owned();
        let said = Said::read(&body);
        let answer = format!("{host} answered {}{}", words(status), said.words());
        let Self { action, registry, credential, .. } = self;
        match classify(status, &said) {
            Class::Denied => RegistryError::Denied { action, answer, credential, registry },
            Class::NotFound => RegistryError::NotFound { action, answer, registry },
            Class::RateLimited => {
                RegistryError::RateLimited { action, answer, after, limit, credential, registry }
            }
            Class::Conflict => RegistryError::Conflict { action, answer },
            Class::Other => RegistryError::Status { action, status, answer },
        }
    }
}

pub(super) fn words(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

/// What an error's body says.
#[derive(Debug, Default)]
struct Said {
    codes: Vec<OciErrorCode>,
    message: String,
}

impl Said {
    fn read(body: &[u8]) -> Self {
        if let Ok(envelope) = serde_json::from_slice::<OciEnvelope>(body) {
            let message = envelope
                .errors
                .iter()
                .map(|error| match &error.detail {
                    serde_json::Value::String(detail) if !error.message.contains(detail.as_str()) => {
                        format!("{} ({detail})", error.message)
                    }
                    _ => error.message.clone(),
                })
                .filter(|message| !message.is_empty())
                .collect::<Vec<_>>()
                .join("; ");
            return Self { codes: envelope.errors.into_iter().map(|e| e.code).collect(), message };
        }
        let text = String::from_utf8_lossy(body);
        let text = text.trim();
        // A page of a proxy says less than its status.
        let message = if text.starts_with('<') || text.starts_with('{') { "" } else { text };
        Self { codes: Vec::new(), message: message.to_owned() }
    }

    fn words(&self) -> String {
        let line: String =
            self.message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(400).collect();
        if line.is_empty() { line } else { format!(": {line}") }
    }

    fn has(&self, code: &OciErrorCode) -> bool {
        self.codes.contains(code)
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Class {
    Denied,
    NotFound,
    RateLimited,
    Conflict,
    Other,
}

fn classify(status: StatusCode, said: &Said) -> Class {
    let message = said.message.to_lowercase();
    let immutable = || {
        ["immutable", "already exists", "cannot be overwritten", "cannot be updated"]
            .iter()
            .any(|word| message.contains(word))
    };
    match status.as_u16() {
        429 => Class::RateLimited,
        _ if said.has(&OciErrorCode::Toomanyrequests) => Class::RateLimited,
        // Harbor answers 412 for immutable tags and for quotas.
        409 => Class::Conflict,
        400 | 403 | 412 if immutable() => Class::Conflict,
        401 | 403 | 407 => Class::Denied,
        404 => Class::NotFound,
        _ if said.has(&OciErrorCode::NameUnknown) => Class::NotFound,
        _ => Class::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_have_kinds() {
        for (status, body, expected) in [
            (
                401,
                r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#,
                Class::Denied,
            ),
            (403, "", Class::Denied),
            (404, "<html>", Class::NotFound),
            (400, r#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#, Class::NotFound),
            (429, "Too Many Requests (HAP429).", Class::RateLimited),
            (503, r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#, Class::RateLimited),
            (
                400,
                r#"{"errors":[{"code":"TAG_INVALID","message":"The image tag '1' already exists in the repository and cannot be overwritten because the repository is immutable."}]}"#,
                Class::Conflict,
            ),
            (
                412,
                r#"{"errors":[{"code":"PRECONDITION","message":"matched by immutable tag rule"}]}"#,
                Class::Conflict,
            ),
            (409, "", Class::Conflict),
            (500, "", Class::Other),
        ] {
            let said = Said::read(body.as_bytes());
            assert_eq!(classify(StatusCode::from_u16(status).unwrap(), &said), expected, "{status} {body}");
        }
    }

    #[test]
    fn words_are_one_line() {
        let said = Said::read(b"a\nb\x1b[31m");
        assert_eq!(said.words(), ": a b [31m");
        assert_eq!(Said::read(b"<html>oops</html>").words(), "");
    }
}
