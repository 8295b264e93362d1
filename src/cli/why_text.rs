//! The comparison of two builds in words.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    cache::SharedBuild,
    oci::canonical,
    report::{bytes, seconds},
    solve::{BuildRecord, Comparison, Explained, KeptBuild, Verdict},
};

/// How many files are listed of a step that is asked for.
const MOST_FILES: usize = 50;

/// Each step in two or three lines; in full, all that differs.
pub(super) fn comparison_text(
    comparison: &Comparison,
    build: &BuildRecord,
    against: Option<&BuildRecord>,
    full: bool,
) -> String {
    let mut text = format!("build {} {}\n", build.id, when(build));
    match against {
        Some(against) => text.push_str(&format!("against {} {}\n", against.id, when(against))),
        None => text.push_str("no earlier build of this file, target and context is known\n"),
    }
    for base in &comparison.bases {
        let short = |digest: &crate::oci::Digest| format!("{}:{}", digest.algorithm(), digest.short());
        let (old, new) = (short(&base.old), short(&base.new));
        text.push_str(&format!("base {} for {}: {old} → {new}\n", base.name, base.platform));
    }
    for step in &comparison.steps {
        text.push('\n');
        text.push_str(&step_text(step, full));
    }
    if !full {
        for gone in &comparison.gone {
            text.push_str(&format!("\ngone: {gone}\n"));
        }
        text.push_str(&format!("\n{}\n", summary(&comparison.steps)));
    }
    printable(&text)
}

fn step_text(step: &Explained, full: bool) -> String {
    let Explained { stage, number, of, platform, name, line, .. } = step;
    let platform = platform.as_ref().map(|platform| format!("{platform} ")).unwrap_or_default();
    let line = line.as_ref().map(|line| format!("  ({line})")).unwrap_or_default();
    let mut text = format!("[{platform}{stage} {number}/{of}] {name}{line}\n");
    let cost = cost(step);
    match &step.verdict {
        Verdict::Hit { although: None } => text.push_str("  hit\n"),
        Verdict::Hit { although: Some(ran) } => {
            text.push_str(&format!("  hit, although {ran} ran again: its result is the same\n"));
        }
        Verdict::NotReached => text.push_str("  the build ended before it\n"),
        Verdict::Miss { reasons, files, hints } => {
            let shown = if full { reasons.len() } else { 1 };
            for (place, reason) in reasons.iter().take(shown).enumerate() {
                let lead = if place == 0 { "miss: " } else { "also: " };
                text.push_str(&format!("  {lead}{reason}\n"));
            }
            if full && files.len() > 1 {
                files.iter().take(MOST_FILES).for_each(|file| text.push_str(&format!("    {file}\n")));
                if files.len() > MOST_FILES {
                    text.push_str(&format!("    and {} more; --json has all\n", files.len() - MOST_FILES));
                }
            }
            if let Some(cost) = cost {
                text.push_str(&format!("  cost: {cost}\n"));
            }
            if step.failed {
                text.push_str("  it failed\n");
            }
            hints.iter().for_each(|hint| text.push_str(&format!("  hint: {hint}\n")));
        }
    }
    text
}

fn cost(step: &Explained) -> Option<String> {
    let took = seconds(Duration::from_millis(step.milliseconds?));
    Some(match step.bytes {
        Some(size) => format!("{took}, a layer of {}", bytes(size)),
        None => took,
    })
}

/// How many hits there were, and what the misses took.
fn summary(steps: &[Explained]) -> String {
    let misses: Vec<_> = steps.iter().filter(|step| matches!(step.verdict, Verdict::Miss { .. })).collect();
    let hits = steps.iter().filter(|step| matches!(step.verdict, Verdict::Hit { .. })).count();
    let took = misses.iter().filter_map(|step| step.milliseconds).sum();
    let size: u64 = misses.iter().filter_map(|step| step.bytes).sum();
    let cost = match misses.len() {
        0 => String::new(),
        _ => format!("; the others took {} and made {}", seconds(Duration::from_millis(took)), bytes(size)),
    };
    format!("{hits} of {} steps were hits{cost}", steps.len())
}

fn when(build: &BuildRecord) -> String {
    let what = what(build.file.as_deref(), build.target.as_deref(), &build.platforms, build.started);
    let end = if build.well { "" } else { ", which failed" };
    format!("{what}{end}")
}

/// What was built, and when.
fn what(file: Option<&str>, target: Option<&str>, platforms: &[String], milliseconds: u64) -> String {
    let time = i64::try_from(milliseconds).ok().and_then(|time| Timestamp::from_millisecond(time).ok());
    let time = time.map(|time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()).unwrap_or_default();
    let file = file.unwrap_or("standard input");
    let target = target.map(|target| format!(" to {target}")).unwrap_or_default();
    format!("of {file}{target} for {} at {time}", platforms.join(","))
}

/// One line for each build, the latest first; or a JSON array.
pub(super) fn list_text(builds: &[KeptBuild], shared: &[SharedBuild], json: bool) -> String {
    if json {
        let here = builds.iter().map(|build| serde_json::to_value(&build.record));
        let there = shared.iter().map(serde_json::to_value);
        // What cannot be JSON is no record.
        let all: Vec<_> = here.chain(there).flatten().collect();
        return format!("{}\n", String::from_utf8_lossy(&canonical(&all)));
    }
    let line = |build: &KeptBuild| format!("{} {}\n", build.record.id, when(&build.record));
    let lines = builds.iter().map(line).chain(shared.iter().map(shared_line));
    printable(&lines.collect::<String>())
}

/// A build of a cache in a line.
fn shared_line(build: &SharedBuild) -> String {
    let what = what(build.file.as_deref(), build.target.as_deref(), &build.platforms, build.ended);
    let commit = build.commit.iter().map(|commit| commit.chars().take(12).collect::<String>());
    let commit: String = commit.map(|commit| format!(", commit {commit}")).collect();
    let end = if build.well { "" } else { ", which failed" };
    let line = format!("cache:{} {what} in {}{commit}{end}", build.id, build.context);
    line.replace('\n', "?") + "\n"
}

/// Without what would drive a terminal: names come from files.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '?' } else { c }).collect()
}
