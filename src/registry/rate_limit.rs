//! What a registry says of its limits: `RateLimit-Limit` and `RateLimit-Remaining`
//! (draft-polli-ratelimit-headers, as Docker Hub and GitLab send them).

use std::{fmt, time::Duration};

use reqwest::header::HeaderMap;

/// A limit, and what is left of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// How many requests it allows.
    pub limit: u64,
    /// How many of them are left.
    pub remaining: u64,
    /// The time that it is for, if that is said.
    pub window: Option<Duration>,
}

impl RateLimit {
    /// What an answer's headers say: `100;w=21600` is a hundred requests in six hours.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let text = |name: &str| headers.get(name)?.to_str().ok();
        let (limit, window) = quantity(text("ratelimit-limit")?)?;
        let (remaining, _) = quantity(text("ratelimit-remaining")?)?;
        Some(Self { limit, remaining, window })
    }

    /// Whether a build or two may use it up.
    pub(super) fn is_low(&self) -> bool {
        self.remaining <= (self.limit / 10).max(1)
    }
}

/// The first of a list, and the time behind it.
fn quantity(text: &str) -> Option<(u64, Option<Duration>)> {
    let mut parts = text.split(',').next()?.split(';').map(str::trim);
    let number = parts.next()?.parse().ok()?;
    let window = parts.find_map(|part| part.strip_prefix("w=")?.parse().ok()).map(Duration::from_secs);
    Some((number, window))
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} requests", self.remaining, self.limit)?;
        match self.window.map(|window| window.as_secs()) {
            Some(seconds) if seconds >= 3600 && seconds % 3600 == 0 => write!(f, " in {} h", seconds / 3600)?,
            Some(seconds) if seconds >= 60 && seconds % 60 == 0 => write!(f, " in {} min", seconds / 60)?,
            Some(seconds) => write!(f, " in {seconds} s")?,
            None => {}
        }
        f.write_str(" are left")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_as_registries_tell_them() {
        for (limit, remaining, words, low) in [
            ("100;w=21600", "76;w=21600", "76 of 100 requests in 6 h are left", false),
            ("200;w=21600", "20;w=21600", "20 of 200 requests in 6 h are left", true),
            ("5000", "4999", "4999 of 5000 requests are left", false),
            ("10, 100;w=60", "0;w=60", "0 of 10 requests are left", true),
            ("60;w=60", "1;w=60", "1 of 60 requests in 1 min are left", true),
            ("60;w=5", "60", "60 of 60 requests in 5 s are left", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("ratelimit-limit", limit.parse().unwrap());
            headers.insert("ratelimit-remaining", remaining.parse().unwrap());
            let found = RateLimit::of(&headers).unwrap();
            assert_eq!((found.to_string().as_str(), found.is_low()), (words, low), "{limit}");
        }
        let mut headers = HeaderMap::new();
        headers.insert("ratelimit-limit", "many".parse().unwrap());
        headers.insert("ratelimit-remaining", "1".parse().unwrap());
        assert_eq!(RateLimit::of(&headers), None);
    }
}
