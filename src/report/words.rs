//! Numbers and tasks in words.

use std::time::Duration;

use crate::event::{Change, FileChange, Outcome, ParentChange, Reason, Task};

/// A number of bytes for people: `512 B`, `1.4 kB`, `73.0 MB`; powers of 1000, as registries and disks count.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    // 999.95 would be printed as 1000.0.
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A rate for people; `None` where there is too little to tell.
pub fn rate(moved: u64, took: Duration) -> Option<String> {
    let seconds = took.as_secs_f64();
    (seconds >= 0.05 && moved > 0).then(|| format!("{}/s", bytes((moved as f64 / seconds) as u64)))
}

/// A duration for people: `0.4s`, `12.3s`, `2m05s`.
pub fn seconds(duration: Duration) -> String {
    let tenths = (duration.as_millis() + 50) / 100;
    match tenths {
        0..600 => format!("{}.{}s", tenths / 10, tenths % 10),
        _ => format!("{}m{:02}s", tenths / 600, tenths % 600 / 10),
    }
}

/// A task in one line.
pub(super) fn task(task: &Task) -> String {
    match task {
        Task::Step { stage, platform, number, of, name } => match platform {
            Some(platform) => format!("[{platform} {stage} {number}/{of}] {}", one_line(name)),
            None => format!("[{stage} {number}/{of}] {}", one_line(name)),
        },
        Task::Resolve { reference } => format!("resolve {reference}"),
        Task::Fetch { from, digest: Some(digest) } => format!("fetch {from}@{}", digest.short()),
        Task::Fetch { from, digest: None } => format!("fetch {from}"),
        Task::Unpack { image } => format!("unpack {image}"),
        Task::Push { to, digest } => format!("push {to}@{}", digest.short()),
        Task::Publish { reference } => format!("publish {reference}"),
        Task::Export { output } => format!("export {output}"),
    }
}

/// How a task ended, in one word.
pub(super) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "DONE",
        Outcome::Cached => "CACHED",
        Outcome::Exists => "EXISTS",
        Outcome::Mounted => "MOUNTED",
        Outcome::Needed => "NEEDED",
    }
}

/// Why a step was not in the cache, in a few words: `changed: src/a.py`.
pub(super) fn reason(reason: &Reason) -> String {
    one_line(&match reason {
        Reason::NoCache => "--no-cache".to_owned(),
        Reason::FirstBuild => "first build".to_owned(),
        Reason::NewStep => "new step".to_owned(),
        Reason::Unfinished => "did not end before".to_owned(),
        Reason::Forgotten => "not in the cache".to_owned(),
        Reason::Moved { before } => format!("was step {before}"),
        Reason::Base { name, .. } => format!("base {name}"),
        Reason::Argument { name, .. } => format!("argument {name}"),
        Reason::Part { name, .. } => format!("changed: {name}"),
        Reason::Parent { stage, number, change } => {
            let of = stage.as_ref().map(|stage| format!(" of {stage}")).unwrap_or_default();
            let change = match change {
                ParentChange::Result => "changed",
                ParentChange::New => "is new",
                ParentChange::Gone => "is gone",
                ParentChange::Order => "moved",
            };
            format!("step {number}{of} {change}")
        }
        Reason::Files { first: FileChange { path, change }, more, .. } => {
            let how = match change {
                Change::Added => "added",
                Change::Removed => "removed",
                Change::Mode { .. } => "mode",
                Change::Owner { .. } => "owner",
                Change::Kind { .. } | Change::Content { .. } | Change::Time | Change::Attributes => "changed",
            };
            let more = if *more > 0 { format!(" and {more} more") } else { String::new() };
            format!("{how}: {path}{more}")
        }
    })
}

/// Text of others without what would break a line or drive the terminal.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// A line that a command wrote, without what would drive the terminal; blanks stay as they are.
pub(super) fn printable(line: &str) -> String {
    let plain = anstream::adapter::strip_str(line).to_string();
    plain.trim_end().replace('\t', "        ").chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
