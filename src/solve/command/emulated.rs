//! How long commands of other platforms took.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use super::super::run::lock;

/// Less is no time to speak of.
const WORTH_A_WORD: Duration = Duration::from_secs(30);

/// From when to when, since the build began.
type Span = (Duration, Duration);

/// When a build's emulated commands ran.
#[derive(Debug)]
pub(super) struct Emulated {
    begun: Instant,
    ran: Mutex<(Vec<Span>, Vec<String>)>,
}

impl Emulated {
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), ran: Mutex::default() }
    }

    /// Takes a command into account that has just ended.
    pub(super) fn add(&self, platform: &str, took: Duration) {
        let end = self.begun.elapsed();
        let mut all = lock(&self.ran);
        all.0.push((end.saturating_sub(took), end));
        if !all.1.iter().any(|known| known == platform) {
            all.1.push(platform.to_owned());
        }
    }

    /// What to say of it at the end of the build, if anything.
    pub(super) fn advice(&self) -> Option<String> {
        let mut ran = lock(&self.ran);
        let (spans, platforms) = &mut *ran;
        advice(covered(spans), self.begun.elapsed(), &platforms.join(", "))
    }
}

/// The time in which at least one of them ran.
fn covered(spans: &mut [Span]) -> Duration {
    spans.sort_unstable();
    let (mut sum, mut until) = (Duration::ZERO, Duration::ZERO);
    for (begin, end) in spans {
        sum += end.saturating_sub((*begin).max(until));
        until = until.max(*end);
    }
    sum
}

fn advice(emulated: Duration, all: Duration, platforms: &str) -> Option<String> {
    (emulated > WORTH_A_WORD && emulated > all / 2).then(|| {
        format!(
            "emulated steps ({platforms}) took {} s of the build's {} s; where a compiler can build for another \
             platform, a stage that is FROM --platform=$BUILDPLATFORM does so natively, with TARGETPLATFORM and \
             TARGETARCH to say for which",
            emulated.as_secs(),
            all.as_secs()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_at_once_takes_its_time_once() {
        for (spans, expected) in [
            (vec![], 0),
            (vec![(1, 4), (6, 7)], 4),
            (vec![(5, 9), (0, 6), (1, 2)], 9),
            (vec![(2, 8), (2, 8), (8, 9)], 7),
        ] {
            let seconds = |(begin, end)| (Duration::from_secs(begin), Duration::from_secs(end));
            let mut spans: Vec<Span> = spans.into_iter().map(seconds).collect();
            assert_eq!(covered(&mut spans), Duration::from_secs(expected), "{spans:?}");
        }
    }

    #[test]
    fn only_what_dominates_is_worth_a_word() {
        let advice =
            |emulated, all| advice(Duration::from_secs(emulated), Duration::from_secs(all), "linux/arm64");
        assert_eq!(advice(20, 21), None);
        assert_eq!(advice(40, 100), None);
        assert!(advice(60, 100).is_some_and(|text| text.contains("took 60 s of the build's 100 s")));
    }
}
