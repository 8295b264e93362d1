//! The renderers, on recorded events.

use std::time::Duration;

use indicatif::{InMemoryTerm, ProgressDrawTarget};

use super::*;
use crate::{
    error::{Explain, Kind},
    event::{Event, Outcome, Task, TaskId},
    oci::Digest,
    source::{Diagnostic, SourceFile},
};

fn recorded() -> Vec<(u64, Event)> {
    let digest = Digest::of(b"layer");
    let step = |number, name: &str, platform: Option<&str>| Task::Step {
        stage: "app".into(),
        platform: platform.map(|text| text.parse().expect("platform")),
        number,
        of: 3,
        name: name.into(),
    };
    let started = |id, task, total| Event::Started { id: TaskId(id), task, total };
    let finished =
        |id, outcome, size| Event::Finished { id: TaskId(id), outcome, digest: Some(digest), size };
    vec![
        (0, started(1, Task::Resolve { reference: "alpine:3".into() }, None)),
        (120, finished(1, Outcome::Done, Some(1022))),
        (130, started(2, step(1, "copy src ->\n/app/src", None), None)),
        (140, started(3, step(2, "run make", Some("linux/arm64")), None)),
        (150, finished(3, Outcome::Cached, None)),
        (900, Event::Progress { id: TaskId(2), done: 40_000_000 }),
        (5_200, Event::Progress { id: TaskId(2), done: 90_000_000 }),
        (5_300, Event::Progress { id: TaskId(2), done: 91_000_000 }),
        (6_000, finished(2, Outcome::Done, Some(33_000_000))),
        (6_000, Event::Warning { message: "socket /run/x \u{1b}[31mskipped".into(), place: None }),
        (6_100, started(4, Task::Push { to: "ghcr.io/me/app".into(), digest }, Some(33_000_000))),
        (
            7_000,
            Event::Retry {
                id: Some(TaskId(4)),
                reason: "connection reset".into(),
                after: Duration::from_millis(1500),
            },
        ),
        (12_000, Event::Progress { id: TaskId(4), done: 16_500_000 }),
        (14_100, finished(4, Outcome::Done, Some(33_000_000))),
        (14_200, started(5, Task::Push { to: "ghcr.io/me/app".into(), digest }, Some(5))),
        (14_300, finished(5, Outcome::Mounted, None)),
        (14_310, started(7, Task::Unpack { image: "alpine:3".into() }, None)),
        (14_390, Event::Finished { id: TaskId(7), outcome: Outcome::Done, digest: None, size: None }),
        (14_400, started(6, Task::Publish { reference: "ghcr.io/me/app:1".into() }, None)),
        (14_500, Event::Failed { id: TaskId(6) }),
        (14_500, started(8, step(3, "run sleep 9", None), None)),
        (14_600, Event::Cancelled { id: TaskId(8) }),
        (14_600, started(9, Task::Push { to: "ghcr.io/me/app".into(), digest }, Some(5))),
        (14_610, Event::Finished { id: TaskId(9), outcome: Outcome::Needed, digest: None, size: None }),
    ]
}

fn play(render: &mut dyn Render) {
    for (at, event) in recorded() {
        render.event(Duration::from_millis(at), &event);
    }
    render.finish();
}

#[test]
fn plain_lines() {
    let mut out = Vec::new();
    play(&mut Plain::new(&mut out));
    insta::assert_snapshot!(String::from_utf8(out).unwrap());
}

#[test]
fn json_lines() {
    let mut out = Vec::new();
    play(&mut JsonLines::new(&mut out));
    let text = String::from_utf8(out).unwrap();
    for line in text.lines() {
        serde_json::from_str::<serde_json::Value>(line).expect(line);
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_terminal_when_all_is_over() {
    let term = InMemoryTerm::new(30, 80);
    let target = ProgressDrawTarget::term_like(Box::new(term.clone()));
    play(&mut Terminal::new(target, false));
    insta::assert_snapshot!(term.contents());
}

#[test]
fn a_terminal_in_the_middle_has_a_line_for_each_task_that_runs() {
    let term = InMemoryTerm::new(30, 80);
    let target = ProgressDrawTarget::term_like_with_hz(Box::new(term.clone()), 255);
    let mut terminal = Terminal::new(target, false);
    for (at, event) in recorded().into_iter().take_while(|(at, _)| *at < 12_500) {
        terminal.event(Duration::from_millis(at), &event);
    }
    terminal.tick();
    let shown = term.contents();
    assert!(shown.contains("push ghcr.io/me/app@"), "{shown}");
    assert!(shown.contains("16.50 MB/33.00 MB"), "{shown}");
    terminal.finish();
    assert!(!term.contents().contains('━'));
}

#[test]
fn a_running_command_shows_its_last_lines() {
    let term = InMemoryTerm::new(30, 80);
    let target = ProgressDrawTarget::term_like_with_hz(Box::new(term.clone()), 255);
    let mut terminal = Terminal::new(target, false);
    let task = Task::Step { stage: "s".into(), platform: None, number: 1, of: 1, name: "run make".into() };
    let id = TaskId(1);
    terminal.event(Duration::ZERO, &Event::Started { id, task, total: None });
    for number in 0..9 {
        let line = format!("\x1b[32m  line\t{number}\x1b[0m");
        terminal.event(Duration::from_secs(1), &Event::Output { id, stderr: false, line });
    }
    terminal.tick();
    let shown = term.contents();
    assert!(shown.contains("run make"), "{shown}");
    assert!(!shown.contains("line        4") && shown.contains("\n      line        5\n"), "{shown}");
    assert!(shown.contains("line        8") && !shown.contains("[32m"), "{shown}");
    terminal.event(Duration::from_secs(2), &Event::Failed { id });
    terminal.finish();
    assert!(!term.contents().contains("line"), "{}", term.contents());
}

#[test]
fn a_total_that_was_passed_is_not_shown() {
    let mut out = Vec::new();
    let mut plain = Plain::new(&mut out);
    let id = TaskId(1);
    plain.event(
        Duration::ZERO,
        &Event::Started { id, task: Task::Unpack { image: "alpine:3".into() }, total: None },
    );
    plain.event(Duration::ZERO, &Event::Sized { id, total: 1000 });
    for (at, done) in [(6, 1000), (12, 1500)] {
        plain.event(Duration::from_secs(at), &Event::Progress { id, done });
    }
    let told = String::from_utf8(out).unwrap();
    assert_eq!(told, "#1 unpack alpine:3\n#1 1.0 kB / 1.0 kB 166 B/s\n#1 1.5 kB 125 B/s\n");

    let term = InMemoryTerm::new(30, 80);
    let target = ProgressDrawTarget::term_like_with_hz(Box::new(term.clone()), 255);
    let mut terminal = Terminal::new(target, false);
    terminal
        .event(Duration::ZERO, &Event::Started { id, task: Task::Unpack { image: "a".into() }, total: None });
    terminal.event(Duration::ZERO, &Event::Sized { id, total: 1000 });
    for (done, shown) in [(1000, "1.00 kB/1.00 kB"), (1500, "unpack a 1.50 kB")] {
        terminal.event(Duration::from_secs(1), &Event::Progress { id, done });
        terminal.tick();
        assert!(term.contents().contains(shown), "{}", term.contents());
    }
    assert!(!term.contents().contains("1.50 kB/"), "{}", term.contents());
}

#[test]
fn numbers_in_words() {
    for (number, text) in [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_999, "1.0 MB"),
        (73_000_000, "73.0 MB"),
        (u64::MAX, "18446.7 PB"),
    ] {
        assert_eq!(bytes(number), text);
    }
    for (millis, text) in [(0, "0.0s"), (449, "0.4s"), (450, "0.5s"), (59_949, "59.9s"), (125_000, "2m05s")] {
        assert_eq!(seconds(Duration::from_millis(millis)), text);
    }
    assert_eq!(rate(10_000_000, Duration::from_secs(2)).as_deref(), Some("5.0 MB/s"));
    assert_eq!(rate(10, Duration::ZERO), None);
}

#[derive(Debug, thiserror::Error)]
#[error("failed to push app: {source}")]
struct Outer {
    source: Middle,
}

#[derive(Debug, thiserror::Error)]
#[error("connection to ghcr.io was lost")]
struct Middle(#[source] std::io::Error);

impl Explain for Outer {
    fn kind(&self) -> Kind {
        Kind::Network
    }

    fn hints(&self) -> Vec<String> {
        vec!["try again".into(), "check the proxy".into()]
    }
}

fn without_colors(failure: &dyn Explain) -> String {
    anstream::adapter::strip_str(&render_failure(failure)).to_string()
}

#[test]
fn causes_are_told_once() {
    let failure = Outer { source: Middle(std::io::Error::other("broken pipe")) };
    insta::assert_snapshot!(without_colors(&failure), @r"
    error: failed to push app: connection to ghcr.io was lost
      caused by: broken pipe
    hint: try again
    hint: check the proxy
    ");
}

#[test]
fn a_place_in_a_file_is_shown() {
    let file = SourceFile::new("imgbuild.yaml", "stages:\n  app:\n    form: alpine\n");
    let failure =
        Diagnostic::new("unknown field `form`").at(file.at(19..23), "").hint("did you mean `from`?");
    insta::assert_snapshot!(without_colors(&failure), @r"
    error: unknown field `form`
     --> imgbuild.yaml:3:5
      |
    3 |     form: alpine
      |     ^^^^
    hint: did you mean `from`?
    ");
}
