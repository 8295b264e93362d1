//! A build as a page in Markdown, as CI shows it beside the log.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{Render, failure::render_failure, words};
use crate::{
    error::Explain,
    event::{Event, Outcome, Task, TaskId},
    oci::Digest,
};

/// How many steps have a line of their own: the slowest. GitHub takes a page of 1 MiB.
const MOST_STEPS: usize = 100;
/// How many warnings are told.
const MOST_WARNINGS: usize = 20;
/// How much of an error is told, in bytes: its end is what counts.
const MOST_ERROR: usize = 16_000;

/// Collects what a page tells. Clones share it: one is handed the events, and another one writes the page.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    steps: Vec<Step>,
    warnings: Vec<String>,
}

#[derive(Debug)]
struct Step {
    id: TaskId,
    task: Task,
    begun: Duration,
    miss: Option<String>,
    end: End,
    took: Duration,
    size: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    None,
    Well(Outcome),
    Failed,
    Cancelled,
}

/// An image that was built.
#[derive(Debug, Clone)]
pub struct SummaryImage {
    /// Its names.
    pub names: Vec<String>,
    /// The digest that its names mean.
    pub digest: Digest,
    /// The images that it is made of.
    pub platforms: Vec<SummaryPlatform>,
    /// Where it went, in words: `pushed to ghcr.io/me/app:1.0`.
    pub went: Vec<String>,
}

/// The image of one platform.
#[derive(Debug, Clone)]
pub struct SummaryPlatform {
    /// The platform.
    pub platform: String,
    /// The digest of its manifest.
    pub digest: Digest,
    /// How many layers it has.
    pub layers: usize,
    /// How many bytes they are, as they are sent.
    pub size: u64,
}

impl Summary {
    /// A page that nothing is on yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The page of a build that ended well.
    pub fn built(&self, images: &[SummaryImage], took: Duration) -> String {
        let seen = self.lock();
        let mut page = String::new();
        for image in images {
            page.push_str(&built(image));
        }
        page.push_str(&seen.cache(took));
        page.push_str(&seen.rest());
        page
    }

    /// The page of a build that failed.
    pub fn failed(&self, failure: &dyn Explain, took: Duration) -> String {
        let seen = self.lock();
        let text = anstream::adapter::strip_str(&render_failure(failure)).to_string();
        let mut from = text.len().saturating_sub(MOST_ERROR);
        while !text.is_char_boundary(from) {
            from += 1;
        }
        let mut page = format!("### The build failed\n\n{}\n", fenced(&text[from..]));
        page.push_str(&seen.cache(took));
        page.push_str(&seen.rest());
        page
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Render for Summary {
    fn event(&mut self, at: Duration, event: &Event) {
        let mut seen = self.lock();
        match event {
            Event::Started { id, task: task @ Task::Step { .. }, .. } => {
                // A step that is done again counts once.
                seen.steps.retain(|step| step.task != *task);
                let (task, took) = (task.clone(), Duration::ZERO);
                let step = Step { id: *id, task, begun: at, miss: None, end: End::None, took, size: None };
                seen.steps.push(step);
            }
            Event::Missed { id, reason } => {
                if let Some(step) = seen.step(*id) {
                    step.miss = Some(words::reason(reason));
                }
            }
            Event::Finished { id, outcome, size, .. } => {
                if let Some(step) = seen.ended(*id, at, End::Well(*outcome)) {
                    step.size = *size;
                }
            }
            Event::Failed { id } => _ = seen.ended(*id, at, End::Failed),
            Event::Cancelled { id } => _ = seen.ended(*id, at, End::Cancelled),
            Event::Warning { message, .. } => seen.warnings.push(words::one_line(message)),
            _ => {}
        }
    }

    fn finish(&mut self) {}
}

impl Seen {
    fn step(&mut self, id: TaskId) -> Option<&mut Step> {
        self.steps.iter_mut().rev().find(|step| step.id == id)
    }

    fn ended(&mut self, id: TaskId, at: Duration, end: End) -> Option<&mut Step> {
        let step = self.step(id)?;
        step.end = end;
        step.took = at.saturating_sub(step.begun);
        Some(step)
    }

    /// How many steps came from the cache, and how long all took.
    fn cache(&self, took: Duration) -> String {
        let cached = self.steps.iter().filter(|step| step.is_cached()).count();
        match self.steps.len() {
            0 => format!("{}\n\n", words::seconds(took)),
            all => format!("{}, {cached} of {all} steps from the cache\n\n", words::seconds(took)),
        }
    }

    fn rest(&self) -> String {
        format!("{}{}", self.warned(), self.table())
    }

    fn warned(&self) -> String {
        if self.warnings.is_empty() {
            return String::new();
        }
        let mut text = String::new();
        for warning in self.warnings.iter().take(MOST_WARNINGS) {
            text.push_str(&format!("- {}\n", plain(warning)));
        }
        if let Some(more) = self.warnings.len().checked_sub(MOST_WARNINGS).filter(|more| *more > 0) {
            text.push_str(&format!("- {more} more in the log\n"));
        }
        format!("**Warnings**\n\n{text}\n")
    }

    /// The steps, the slowest first.
    fn table(&self) -> String {
        if self.steps.is_empty() {
            return String::new();
        }
        let mut steps: Vec<&Step> = self.steps.iter().collect();
        steps.sort_by_key(|step| (step.end != End::Failed, std::cmp::Reverse(step.took), step.id));
        let mut text = String::from("| step | time | size | cache |\n|---|--:|--:|---|\n");
        for step in steps.iter().take(MOST_STEPS) {
            text.push_str(&step.row());
        }
        let more = match steps.len().checked_sub(MOST_STEPS) {
            None | Some(0) => String::new(),
            Some(more) => format!("\n{more} quicker steps are left out.\n"),
        };
        format!("<details><summary>Steps, slowest first</summary>\n\n{text}{more}\n</details>\n\n")
    }
}

impl Step {
    fn is_cached(&self) -> bool {
        matches!(self.end, End::Well(outcome) if outcome != Outcome::Done)
    }

    fn row(&self) -> String {
        let cache = match self.end {
            End::Failed => "failed".to_owned(),
            End::Cancelled | End::None => "cancelled".to_owned(),
            End::Well(Outcome::Done) => match &self.miss {
                Some(why) => format!("miss: {}", plain(why)),
                None => "miss".to_owned(),
            },
            End::Well(_) => "hit".to_owned(),
        };
        let size = self.size.filter(|size| *size > 0).map(words::bytes).unwrap_or_default();
        format!("| {} | {} | {size} | {cache} |\n", code(&words::task(&self.task)), words::seconds(self.took))
    }
}

/// What is told of an image.
fn built(image: &SummaryImage) -> String {
    let name = image.names.first().map(|name| format!(" {}", code(name))).unwrap_or_default();
    let mut text = format!("### Built{name}\n\n");
    if image.names.len() > 1 {
        let names: Vec<_> = image.names.iter().map(|name| code(name)).collect();
        text.push_str(&format!("Tags: {}\n\n", names.join(", ")));
    }
    text.push_str("| platform | digest | layers | size |\n|---|---|--:|--:|\n");
    for one in &image.platforms {
        let (platform, digest) = (code(&one.platform), code(&one.digest.to_string()));
        let size = words::bytes(one.size);
        text.push_str(&format!("| {platform} | {digest} | {} | {size} |\n", one.layers));
    }
    if image.platforms.iter().all(|one| one.digest != image.digest) {
        text.push_str(&format!("| all | {} | | |\n", code(&image.digest.to_string())));
    }
    text.push('\n');
    for place in &image.went {
        text.push_str(&format!("- {}\n", plain(place)));
    }
    if !image.went.is_empty() {
        text.push('\n');
    }
    text
}

/// A text of others as code within a line, also of a table.
fn code(text: &str) -> String {
    let text = words::one_line(text);
    let fence = "`".repeat(longest_run(&text) + 1);
    // A blank keeps a backtick of the text apart from the fence.
    let pad = if text.contains('`') { " " } else { "" };
    format!("{fence}{pad}{}{pad}{fence}", text.replace('|', "\\|"))
}

/// A text of others in which nothing means anything to Markdown.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in words::one_line(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            // A name behind an at sign is told of it.
            '@' => out.push_str("&#64;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' => out.extend(['\\', c]),
            _ => out.push(c),
        }
    }
    out
}

/// A text of others as a block.
fn fenced(text: &str) -> String {
    let fence = "`".repeat(longest_run(text).max(2) + 1);
    format!("{fence}text\n{}\n{fence}\n", text.trim_end())
}

/// The length of the longest run of backticks.
fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::Reason,
        source::{Diagnostic, SourceFile},
    };

    fn step(number: usize, name: &str) -> Task {
        Task::Step { stage: "app".into(), platform: None, number, of: 4, name: name.into() }
    }

    fn recorded() -> Summary {
        let mut summary = Summary::new();
        let started = |id, task| Event::Started { id: TaskId(id), task, total: None };
        let finished = |id, outcome, size| Event::Finished { id: TaskId(id), outcome, digest: None, size };
        let part = Reason::Part { name: "command".into(), old: None, new: None };
        for (at, event) in [
            (0, started(1, Task::Resolve { reference: "alpine:3".into() })),
            (100, finished(1, Outcome::Done, Some(1022))),
            (100, started(2, step(1, "COPY a|b /"))),
            (150, finished(2, Outcome::Cached, Some(2_000))),
            (150, started(3, step(2, "RUN echo `id` | tee ``"))),
            (160, Event::Missed { id: TaskId(3), reason: part }),
            (2_350, finished(3, Outcome::Done, Some(33_000_000))),
            (2_350, Event::Warning { message: "<b>@me</b> has_no [effect]\u{1b}".into(), place: None }),
            (2_400, started(4, step(3, "RUN make"))),
            (3_000, Event::Failed { id: TaskId(4) }),
            (2_500, started(5, step(4, "RUN sleep 9"))),
            (3_001, Event::Cancelled { id: TaskId(5) }),
        ] {
            summary.event(Duration::from_millis(at), &event);
        }
        summary
    }

    #[test]
    fn a_failed_build() {
        let file = SourceFile::new("Dockerfile", "FROM a\nRUN make\n");
        let failure = Diagnostic::new("run make failed: exit status 2")
            .at(file.at(7..15), "")
            .detail("cc -c main.c\nmain.c:1: ```oops```")
            .hint("all of its output: imgbuild logs 1");
        insta::assert_snapshot!(recorded().failed(&failure, Duration::from_secs(3)));
    }

    #[test]
    fn a_build_of_two_platforms() {
        let platform = |platform: &str, size| SummaryPlatform {
            platform: platform.into(),
            digest: Digest::of(platform.as_bytes()),
            layers: 3,
            size,
        };
        let image = SummaryImage {
            names: vec!["ghcr.io/me/app:1.4.2".into(), "ghcr.io/me/app:latest".into()],
            digest: Digest::of(b"index"),
            platforms: vec![platform("linux/amd64", 31_000_000), platform("linux/arm64", 30_000_000)],
            went: vec!["pushed to ghcr.io/me/app:1.4.2".into(), "pushed to ghcr.io/me/app:latest".into()],
        };
        insta::assert_snapshot!(recorded().built(&[image], Duration::from_secs(65)));
    }

    #[test]
    fn pages_have_an_end() {
        let mut summary = Summary::new();
        for number in 1..=1_000 {
            let (id, task) = (TaskId(number), step(number as usize, &"RUN x ".repeat(20)));
            summary.event(Duration::ZERO, &Event::Started { id, task, total: None });
            let warning = Event::Warning { message: format!("number {number}"), place: None };
            summary.event(Duration::ZERO, &warning);
        }
        let failure = Diagnostic::new("x").detail("ö".repeat(200_000));
        let page = summary.failed(&failure, Duration::ZERO);
        assert!(page.len() < 60_000, "{}", page.len());
        assert!(
            page.contains("- 980 more in the log\n") && page.contains("\n900 quicker steps are left out.\n")
        );
    }

    #[test]
    fn a_step_that_is_done_again_counts_once() {
        let mut summary = Summary::new();
        for id in [1, 2] {
            let id = TaskId(id);
            summary.event(Duration::ZERO, &Event::Started { id, task: step(1, "RUN x"), total: None });
            let outcome = Outcome::Cached;
            summary.event(Duration::ZERO, &Event::Finished { id, outcome, digest: None, size: None });
        }
        assert!(summary.built(&[], Duration::ZERO).starts_with("0.0s, 1 of 1 steps from the cache\n"));
    }
}
