//! Uploads in several requests (distribution-spec, "Pushing a blob in chunks").

use reqwest::{
    Method, StatusCode,
    header::{CONTENT_RANGE, LOCATION, RANGE},
};

use super::{
    RegistryError, Result,
    answer::Answer,
    retry::{self, Backoff},
    upload::{Session, Try, Upload, session_of},
};

/// The chunk size that every registry takes that takes chunks at all.
const SAFE_CHUNK: u64 = 4 << 20;

/// Chunks are not made smaller than this.
const SMALLEST_CHUNK: u64 = 64 << 10;

impl Upload<'_> {
    /// Sends the blob from `offset` on in chunks, and closes the upload.
    pub(super) async fn chunks(
        &self,
        mut session: Session,
        mut offset: u64,
        mut chunk: u64,
        backoff: &mut Backoff,
    ) -> Result<Try> {
        let size = self.blob.size;
        while offset < size {
            let length = chunk.max(session.least).min(size - offset);
            let last = offset + length - 1;
            let call = self
                .call(Method::PATCH, session.url.clone())
                .once()
                .body(self.part(offset, length), "application/octet-stream")
                .header(CONTENT_RANGE, &format!("{offset}-{last}"));
            let answer = match self.client.send(&call).await {
                Ok(answer) => answer,
                Err(error @ RegistryError::Transport { .. }) => {
                    match self.after_failure(&session, error, None, backoff).await? {
                        Resume::At(resumed, at) => (session, offset) = (resumed, at),
                        Resume::Lost(outcome) => return Ok(outcome),
                    }
                    continue;
                }
                Err(error) => return Err(error),
            };
            let status = answer.status();
            match status {
                // 201 before the end is what some registries say who check only at the end.
                StatusCode::ACCEPTED | StatusCode::CREATED | StatusCode::NO_CONTENT => {
                    let next = received(&answer).unwrap_or(offset + length);
                    if answer.headers().contains_key(LOCATION) {
                        session = Session { least: session.least, ..session_of(self.at, &answer)? };
                    }
                    if next > offset {
                        backoff.progressed();
                        offset = next.min(size);
                        continue;
                    }
                    let error = answer.protocol("the registry accepted a chunk and kept nothing of it");
                    return Ok(Try::Again { reason: error.to_string(), asked: None, error });
                }
                StatusCode::PAYLOAD_TOO_LARGE | StatusCode::RANGE_NOT_SATISFIABLE => {
                    let at = received(&answer);
                    let moved = at.filter(|at| *at != offset && *at <= size);
                    if answer.headers().contains_key(LOCATION) {
                        session = Session { least: session.least, ..session_of(self.at, &answer)? };
                    }
                    if let Some(at) = moved {
                        // It only counts differently.
                        if backoff.next(None).is_none() {
                            return Err(answer.into_error().await);
                        }
                        offset = at;
                        continue;
                    }
                    let smaller = if length > SAFE_CHUNK { SAFE_CHUNK } else { length / 2 };
                    if smaller < SMALLEST_CHUNK.max(session.least) {
                        return Ok(Try::TooLarge(answer.into_error().await));
                    }
                    chunk = smaller;
                    self.at.host.learn_chunk(chunk);
                    // Read to its end, which also frees the request's place.
                    let error = answer.into_error().await;
                    if at.is_none() {
                        match self.status(&session).await {
                            Some((resumed, at)) => (session, offset) = (resumed, at),
                            // What is left of the session is unknown: a new one, with smaller chunks.
                            None => {
                                return Ok(Try::Again { reason: error.to_string(), asked: None, error });
                            }
                        }
                    }
                }
                _ if retry::may_pass(status) => {
                    let asked = retry::retry_after(answer.headers(), std::time::SystemTime::now());
                    let error = answer.into_error().await;
                    match self.after_failure(&session, error, asked, backoff).await? {
                        Resume::At(resumed, at) => (session, offset) = (resumed, at),
                        Resume::Lost(outcome) => return Ok(outcome),
                    }
                }
                StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => {
                    let error = answer.into_error().await;
                    return Ok(Try::Again { reason: error.to_string(), asked: None, error });
                }
                _ => return Err(answer.into_error().await),
            }
        }
        let sent = self.client.send(&self.closing(&session, size, 0)).await;
        self.closed(sent).await
    }

    /// Waits after a failure that may pass, and asks where the registry stands.
    async fn after_failure(
        &self,
        session: &Session,
        error: RegistryError,
        asked: Option<std::time::Duration>,
        backoff: &mut Backoff,
    ) -> Result<Resume> {
        let Some(wait) = backoff.next(asked) else { return Err(error) };
        self.client.pause(Some(self.task), error.to_string(), wait).await;
        Ok(match self.status(session).await {
            Some((session, offset)) => Resume::At(session, offset),
            None => Resume::Lost(Try::Again { reason: error.to_string(), asked: None, error }),
        })
    }

    /// Where an upload stands; `None`: the registry does not say, and it must start again.
    pub(super) async fn status(&self, session: &Session) -> Option<(Session, u64)> {
        let call = self.call(Method::GET, session.url.clone()).once();
        let answer = self.client.send(&call).await.ok()?;
        if !matches!(answer.status(), StatusCode::NO_CONTENT | StatusCode::ACCEPTED) {
            return None;
        }
        let offset = received(&answer)?;
        let next = if answer.headers().contains_key(LOCATION) {
            Session { least: session.least, ..session_of(self.at, &answer).ok()? }
        } else {
            session.clone()
        };
        (offset <= self.blob.size).then_some((next, offset))
    }
}

enum Resume {
    At(Session, u64),
    Lost(Try),
}

/// How many bytes the registry has: `Range: 0-<last>`.
fn received(answer: &Answer) -> Option<u64> {
    parse_range(answer.header(RANGE.as_str())?)
}

/// `0-0` is what registries say that have nothing; those that have one byte say it too, and get it again.
fn parse_range(text: &str) -> Option<u64> {
    let text = text.trim();
    let (first, last) = text.strip_prefix("bytes=").unwrap_or(text).split_once('-')?;
    let last: u64 = last.trim().parse().ok()?;
    if first.trim() != "0" {
        return None;
    }
    if last == 0 { Some(0) } else { last.checked_add(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_uploads() {
        for (text, expected) in [
            ("0-0", Some(0)),
            ("0-99", Some(100)),
            ("bytes=0-99", Some(100)),
            ("5-9", None),
            ("0--1", None),
            ("0-18446744073709551615", None),
            ("", None),
        ] {
            assert_eq!(parse_range(text), expected, "{text}");
        }
    }
}
