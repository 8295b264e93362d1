//! Requests to services of AWS.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::{RequestBuilder, StatusCode, header::HeaderMap};
use url::Url;

use super::{AwsError, Key, Result, sign::Signed};
use crate::registry::{Client, error::transport_words, retry, retry::Backoff};

/// The largest answer that is read.
const LARGEST: usize = 1 << 20;

/// A signed request to a service.
#[derive(Debug)]
pub(in crate::registry) struct Request<'a> {
    /// The words for what is tried.
    pub(in crate::registry) action: String,
    /// The service's name in signatures.
    pub(in crate::registry) service: &'a str,
    pub(in crate::registry) region: &'a str,
    pub(in crate::registry) url: Url,
    /// Names in lower case, sorted.
    pub(in crate::registry) headers: Vec<(&'static str, String)>,
    pub(in crate::registry) body: String,
}

impl Client {
    /// Posts a request that is signed anew for every try, and gives the body of an answer that is well.
    pub(in crate::registry) async fn aws_post(&self, request: &Request<'_>, key: &Key) -> Result<Bytes> {
        let action = &request.action;
        let web = self.web_for(&request.url).map_err(|error| unreachable(action, error.to_string()))?;
        let make = || {
            let signed = Signed {
                service: request.service,
                region: request.region,
                url: &request.url,
                headers: &request.headers,
                body: request.body.as_bytes(),
            };
            let mut builder = web.post(request.url.clone()).body(request.body.clone());
            for (name, value) in &request.headers {
                builder = builder.header(*name, value);
            }
            for (name, value) in signed.headers(key, Timestamp::now()) {
                builder = builder.header(name, value);
            }
            builder
        };
        let (status, body) = self.aws_send(action, make).await?;
        if status.is_success() { Ok(body) } else { Err(explain(action, status, &body, &key.source)) }
    }

    /// Sends a request until there is an answer that will not get better by itself.
    pub(super) async fn aws_send(
        &self,
        action: &str,
        make: impl Fn() -> RequestBuilder,
    ) -> Result<(StatusCode, Bytes)> {
        let mut backoff = Backoff::new(self.patience);
        loop {
            let (reason, asked, result) = match once(make(), self.patience.idle).await {
                Ok((status, headers, body)) if retry::may_pass(status) || is_throttled(status, &body) => {
                    let asked = retry::retry_after(&headers, SystemTime::now());
                    (status.to_string(), asked, Ok((status, body)))
                }
                Ok((status, _, body)) => return Ok((status, body)),
                Err(problem) => (problem.clone(), None, Err(unreachable(action, problem))),
            };
            match backoff.next(asked) {
                Some(wait) => self.pause(None, reason, wait).await,
                None => return result,
            }
        }
    }
}

/// One try.
pub(super) async fn once(
    request: RequestBuilder,
    time: Duration,
) -> Result<(StatusCode, HeaderMap, Bytes), String> {
    let exchange = async {
        let mut response = request.send().await.map_err(transport_words)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(transport_words)? {
            if body.len() + chunk.len() > LARGEST {
                return Err(format!("the answer has more than {LARGEST} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((status, headers, body.into()))
    };
    let silent = |_| format!("nothing came for {} s", time.as_secs());
    tokio::time::timeout(time, exchange).await.map_err(silent)?
}

fn unreachable(action: &str, problem: String) -> AwsError {
    AwsError::Unreachable { action: action.to_owned(), problem }
}

fn is_throttled(status: StatusCode, body: &[u8]) -> bool {
    status == StatusCode::BAD_REQUEST && code_of(body).is_some_and(|(code, _)| code.contains("Throttling"))
}

/// What an answer that is not well says.
pub(super) fn explain(action: &str, status: StatusCode, body: &[u8], credential: &str) -> AwsError {
    match code_of(body) {
        Some((code, message)) => AwsError::Refused {
            action: action.to_owned(),
            code,
            message: message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(400).collect(),
            credential: credential.to_owned(),
        },
        None => unreachable(action, format!("it answered {status}")),
    }
}

/// The code and message of an error: JSON as ECR has it, or XML as STS has it.
fn code_of(body: &[u8]) -> Option<(String, String)> {
    if let Ok(serde_json::Value::Object(json)) = serde_json::from_slice(body) {
        // Services agree on neither names nor their case.
        let text = |names: &[&str]| names.iter().find_map(|name| json.get(*name)?.as_str());
        let code = text(&["__type", "code", "Code"])?.rsplit('#').next()?;
        return Some((code.to_owned(), text(&["message", "Message"]).unwrap_or_default().to_owned()));
    }
    let text = String::from_utf8_lossy(body);
    Some((element(&text, "Code")?.to_owned(), element(&text, "Message").unwrap_or_default().to_owned()))
}

/// The text of the first element of that name. The documents are small and flat, and what is looked for in them has
/// neither attributes nor entities.
pub(super) fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    Some(rest.split_once("</")?.0.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_in_the_services_words() {
        for (body, code, message) in [
            (
                r#"{"__type":"RepositoryNotFoundException","message":"no"}"#,
                "RepositoryNotFoundException",
                "no",
            ),
            (
                r#"{"__type":"com.amazonaws#AccessDenied","Message":"no","message":"no"}"#,
                "AccessDenied",
                "no",
            ),
            (
                "<E><Error><Code>ExpiredToken</Code><Message>it ended</Message></Error></E>",
                "ExpiredToken",
                "it ended",
            ),
        ] {
            assert_eq!(code_of(body.as_bytes()), Some((code.into(), message.into())), "{body}");
        }
        assert_eq!(code_of(b"<html>"), None);
    }
}
