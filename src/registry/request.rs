//! One request: with authentication, redirects and retries.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::stream;
use reqwest::{
    Method, StatusCode,
    header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION},
};
use url::Url;

use super::{
    Client, RateLimit, RegistryError, Result,
    answer::{self, Answer},
    client::Endpoint,
    error::broken,
    host::Host,
    location,
    retry::{self, Backoff},
    token::{Authorization, Scopes},
};
use crate::event::{Event, Running};

/// How much of a file is read at a time.
const READ: u64 = 1 << 20;

/// Redirects followed for one request.
const HOPS: usize = 10;

/// A request's body. It can be sent more than once.
#[derive(Debug, Clone)]
pub(super) enum Body {
    Empty,
    Bytes(Bytes),
    File(Part),
}

/// A part of a file, with a counter that shows how far it was sent.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) file: Arc<File>,
    pub(super) offset: u64,
    pub(super) length: u64,
    /// The position in the file that the connection has taken.
    pub(super) sent: Arc<AtomicU64>,
}

/// A request to a registry.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) host: &'a Arc<Host>,
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
    pub(super) scopes: Scopes,
    /// The words for what is tried.
    pub(super) action: String,
    pub(super) task: Option<&'a Running>,
    /// Whether failures that may pass are waited out. If not, they are the result.
    pub(super) patient: bool,
}

impl<'a> Call<'a> {
    pub(super) fn new(host: &'a Arc<Host>, method: Method, url: Url, scopes: Scopes, action: String) -> Self {
        Self {
            host,
            method,
            url,
            headers: HeaderMap::new(),
            body: Body::Empty,
            scopes,
            action,
            task: None,
            patient: true,
        }
    }

    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Self {
        // Values are ranges and media types. One that no header can hold came from a document; it is left out, and
        // the registry judges.
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.append(name, value);
        }
        self
    }

    pub(super) fn body(mut self, body: Body, media_type: &str) -> Self {
        self.body = body;
        self.header(CONTENT_TYPE, media_type)
    }

    pub(super) fn of(mut self, task: Option<&'a Running>) -> Self {
        self.task = task;
        self
    }

    pub(super) fn once(mut self) -> Self {
        self.patient = false;
        self
    }

    fn transport(&self, problem: String) -> RegistryError {
        RegistryError::Transport { action: self.action.clone(), problem }
    }
}

impl Client {
    /// The URL of something in a place to pull from.
    pub(super) async fn url_in(&self, at: &Endpoint, path: &str) -> Result<Url> {
        self.reach_place(at).await?;
        self.url(&at.host, path).await
    }

    /// The URL of something on a registry: `path` is what follows `/v2/`.
    pub(super) async fn url(&self, host: &Arc<Host>, path: &str) -> Result<Url> {
        let base = self.reach(host).await?;
        base.join(path).map_err(|error| RegistryError::Protocol {
            action: format!("reach the registry {}", host.name),
            problem: format!("{path:?} makes no URL: {error}"),
        })
    }

    /// Sends a request until there is an answer that will not get better by itself: any status but the ones that may
    /// pass, and a 401 only after a fresh token was refused too.
    pub(super) async fn send(&self, call: &Call<'_>) -> Result<Answer> {
        let mut backoff = Backoff::new(self.patience);
        let mut renewals = 0;
        loop {
            let authorization = self.authorization(call.host, &call.scopes).await?;
            let (reason, asked, result) = match self.exchange(call, &authorization).await {
                Ok(answer) => {
                    let status = answer.status();
                    // A challenge counts only from the registry itself: one from elsewhere could send the password to
                    // a token server of its own.
                    let home =
                        (call.host.base.get()).is_some_and(|base| location::same_origin(base, answer.url()));
                    if status == StatusCode::UNAUTHORIZED && home && renewals < 2 {
                        renewals += 1;
                        if self.renew(call.host, &call.scopes, answer.headers(), &authorization).await {
                            continue;
                        }
                    }
                    if status == StatusCode::FORBIDDEN
                        && home
                        && renewals < 2
                        && self.may_have_ended(call.host, &authorization).await
                    {
                        renewals += 1;
                        continue;
                    }
                    if !retry::may_pass(status) {
                        return Ok(answer);
                    }
                    let asked = retry::retry_after(answer.headers(), SystemTime::now());
                    (answer::words(status), asked, Ok(answer))
                }
                Err(error @ RegistryError::Transport { .. }) => (error.to_string(), None, Err(error)),
                Err(error) => return Err(error),
            };
            if !call.patient {
                return result;
            }
            match backoff.next(asked) {
                Some(wait) => {
                    // The connection and the permit go before the wait.
                    drop(result);
                    self.pause(call.task, reason, wait).await;
                }
                None => return result,
            }
        }
    }

    /// Sends a request once, with what it is given to identify itself.
    pub(super) async fn send_as(&self, call: &Call<'_>, authorization: &Authorization) -> Result<Answer> {
        self.exchange(call, authorization).await
    }

    /// Says that something will be tried again, and waits.
    pub(super) async fn pause(&self, task: Option<&Running>, reason: String, wait: Duration) {
        match task {
            Some(task) => task.retry(reason, wait),
            None => self.sink.emit(Event::Retry { id: None, reason, after: wait }),
        }
        tokio::time::sleep(wait).await;
    }

    /// One attempt: follows redirects and hands back whatever answers.
    async fn exchange(&self, call: &Call<'_>, authorization: &Authorization) -> Result<Answer> {
        let permit = call.host.permits.clone().acquire_owned().await.ok();
        let base = call.host.base.get();
        let mut url = call.url.clone();
        let mut method = call.method.clone();
        let mut body = &call.body;
        for _ in 0..HOPS {
            // Credentials go to the registry itself and to nobody it points to.
            let home = base.is_some_and(|base| location::same_origin(base, &url));
            let web = if home { call.host.web.clone() } else { self.web_for(&url)? };
            let mut headers = call.headers.clone();
            if matches!(method, Method::GET | Method::HEAD) {
                headers.remove(CONTENT_TYPE);
            }
            if let Some(value) = authorization.header.as_ref().filter(|_| home) {
                headers.insert(AUTHORIZATION, value.clone());
            }
            let request = web.request(method.clone(), url.clone());
            let response = self.transmit(request, headers, body, call).await?;
            self.show_warnings(&call.host.name, response.headers());
            if let Some(limit) = call.host.news_of_limit(RateLimit::of(response.headers())) {
                self.sink.note(format!("{}: {limit} ({})", call.host.name, authorization.source));
            }
            let target = response.headers().get(LOCATION).filter(|_| response.status().is_redirection());
            let Some(target) = target.filter(|_| response.status() != StatusCode::NOT_MODIFIED) else {
                return Ok(Answer {
                    response,
                    action: call.action.clone(),
                    registry: call.host.name.clone(),
                    credential: authorization.source.clone(),
                    _permit: permit,
                });
            };
            let target = String::from_utf8_lossy(target.as_bytes());
            let next = location::resolve(&url, &target, call.host.insecure).map_err(|problem| {
                RegistryError::Protocol {
                    action: call.action.clone(),
                    problem: format!("the redirect of {} is not followed: {problem}", call.host.name),
                }
            })?;
            // The answer is to be read elsewhere; the content has arrived (RFC 9110 section 15.4.4).
            if response.status() == StatusCode::SEE_OTHER {
                method = if method == Method::HEAD { Method::HEAD } else { Method::GET };
                body = &Body::Empty;
            }
            url = next;
        }
        Err(RegistryError::Protocol { action: call.action.clone(), problem: "too many redirects".into() })
    }

    /// Sends one request and waits for the head of its response, as long as something moves.
    async fn transmit(
        &self,
        request: reqwest::RequestBuilder,
        headers: HeaderMap,
        body: &Body,
        call: &Call<'_>,
    ) -> Result<reqwest::Response> {
        let idle = self.patience.idle;
        let request = request.headers(headers);
        let (request, part) = match body {
            // reqwest sends no length without a body, and some registries want one with a POST or PUT.
            Body::Empty if matches!(call.method, Method::GET | Method::HEAD) => (request, None),
            Body::Empty => (request.header(CONTENT_LENGTH, 0), None),
            Body::Bytes(bytes) => (request.body(bytes.clone()), None),
            Body::File(part) => (request.header(CONTENT_LENGTH, part.length).body(part.stream()), Some(part)),
        };
        let failed = |error| broken(&call.action, error);
        let silent = |time: Duration| call.transport(format!("nothing moved for {} s", time.as_secs()));
        let Some(part) = part else {
            return match tokio::time::timeout(idle, request.send()).await {
                Ok(result) => result.map_err(failed),
                Err(_) => Err(silent(idle)),
            };
        };
        let response = request.send();
        tokio::pin!(response);
        let mut seen = u64::MAX;
        loop {
            // With the body gone, the registry may be busy moving and hashing it: large ones take minutes.
            let whole = part.sent.load(Ordering::Relaxed) >= part.offset + part.length;
            let time = if whole { idle * 5 } else { idle };
            match tokio::time::timeout(time, &mut response).await {
                Ok(result) => return result.map_err(failed),
                Err(_) => {
                    let now = part.sent.load(Ordering::Relaxed);
                    if now == seen || whole {
                        return Err(silent(time));
                    }
                    seen = now;
                }
            }
        }
    }

    /// `Warning: 299 - "text"` (distribution-spec, "Warnings"), each once.
    fn show_warnings(&self, registry: &str, headers: &HeaderMap) {
        for value in headers.get_all(reqwest::header::WARNING) {
            let value = String::from_utf8_lossy(value.as_bytes());
            if let Some(text) = value.strip_prefix("299 ").and_then(|rest| rest.split_once('"')) {
                let text = text.1.trim_end().trim_end_matches('"').replace("\\\"", "\"");
                let text: String = text.chars().filter(|c| !c.is_control()).collect();
                self.warn_once(format!("{registry} says: {text}"));
            }
        }
    }
}

impl Part {
    fn stream(&self) -> reqwest::Body {
        self.sent.store(self.offset, Ordering::Relaxed);
        let start = (self.file.clone(), self.offset, self.length, self.sent.clone());
        reqwest::Body::wrap_stream(stream::try_unfold(start, async |(file, offset, left, sent)| {
            if left == 0 {
                return Ok(None);
            }
            let take = left.min(READ) as usize;
            let reader = file.clone();
            let read = move || {
                let mut buffer = vec![0; take];
                reader.read_exact_at(&mut buffer, offset).map(|()| buffer)
            };
            let buffer = tokio::task::spawn_blocking(read).await.map_err(std::io::Error::other)??;
            let taken = take as u64;
            sent.store(offset + taken, Ordering::Relaxed);
            Ok::<_, std::io::Error>(Some((Bytes::from(buffer), (file, offset + taken, left - taken, sent))))
        }))
    }
}
