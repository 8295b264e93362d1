//! Which failures may pass, and how long to wait for that.

use std::{
    hash::{BuildHasher, RandomState},
    time::{Duration, SystemTime},
};

use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::{
    StatusCode,
    header::{HeaderMap, RETRY_AFTER},
};

use super::Patience;

/// Whether a status says that the same request may succeed later. 499 is nginx's word for a client that went away, 522
/// Cloudflare's for an origin that did not answer.
pub(crate) fn may_pass(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 499 | 500 | 502 | 503 | 504 | 522)
}

/// How often a registry that has not answered yet may refuse the connection. One that is just starting listens within
/// seconds; behind a wrong name or port nobody ever will. A registry that has answered, if only that it is busy, is
/// waited for as always: it restarts.
pub(super) const REFUSALS: u32 = 4;

/// What `Retry-After` asks for: seconds, or an HTTP date (RFC 9110 §10.2.3).
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let when = DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(SystemTime::from(when).duration_since(now).unwrap_or_default())
}

/// The waits between the attempts of one request.
#[derive(Debug)]
pub(crate) struct Backoff {
    patience: Patience,
    failures: u32,
    waited: Duration,
}

impl Backoff {
    pub(crate) fn new(patience: Patience) -> Self {
        Self { patience, failures: 0, waited: Duration::ZERO }
    }

    /// How long to wait after one more failure; `None`: it is enough. Where the registry says how long, only the budget
    /// counts: it is well, and asks for nothing but that.
    pub(crate) fn next(&mut self, asked: Option<Duration>) -> Option<Duration> {
        if asked.is_none_or(|asked| asked.is_zero()) {
            self.failures += 1;
        }
        if self.failures >= self.patience.attempts {
            return None;
        }
        let doubled = self.patience.first.saturating_mul(1 << self.failures.saturating_sub(1).min(16));
        let own = jittered(doubled.min(self.patience.longest));
        let wait = asked.map_or(own, |asked| asked.max(own));
        if self.waited + wait > self.patience.budget {
            return None;
        }
        self.waited += wait;
        Some(wait)
    }

    /// Forgets the failures in a row, because something got through in between. The waits stay counted.
    pub(super) fn progressed(&mut self) {
        self.failures = 0;
    }
}

/// Between half of it and all of it, so that many clients do not come back at once.
fn jittered(wait: Duration) -> Duration {
    // A fresh hasher's keys are random: no need for a generator.
    let random = RandomState::new().hash_one(0u8) % 1024;
    wait / 2 + (wait / 2).mul_f64(random as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, value.parse().unwrap());
        headers
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        // 1994-11-06 08:49:37 UTC is RFC 9110's own example.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777 - 90);
        for (value, expected) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(90)),
            ("Sun, 06 Nov 1994 08:40:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            assert_eq!(retry_after(&headers(value), now), expected.map(Duration::from_secs), "{value}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn waits_double_and_end() {
        let patience = Patience {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(4),
            budget: Duration::from_secs(100),
            attempts: 6,
            ..Patience::default()
        };
        let mut backoff = Backoff::new(patience);
        for longest in [1, 2, 4, 4, 4] {
            let wait = backoff.next(None).unwrap();
            let longest = Duration::from_secs(longest);
            assert!(wait >= longest / 2 && wait <= longest, "{wait:?}");
        }
        assert_eq!(backoff.next(None), None);
        let mut backoff = Backoff::new(patience);
        let asked = |seconds| Some(Duration::from_secs(seconds));
        let waits: Vec<_> = std::iter::from_fn(|| backoff.next(asked(12))).collect();
        assert_eq!(waits, [Duration::from_secs(12); 8], "the budget, whatever the attempts");
        assert_eq!(Backoff::new(patience).next(Some(Duration::from_secs(50))), Some(Duration::from_secs(50)));
        assert_eq!(Backoff::new(patience).next(Some(Duration::from_secs(101))), None);
    }

    #[test]
    fn statuses_that_may_pass() {
        for (status, expected) in
            [(200, false), (401, false), (404, false), (408, true), (429, true), (501, false), (522, true)]
        {
            assert_eq!(may_pass(StatusCode::from_u16(status).unwrap()), expected, "{status}");
        }
    }
}
