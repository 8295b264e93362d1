//! One line for each running task, redrawn; finished ones scroll up.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use anstyle::{AnsiColor, Style};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Render, words};
use crate::event::{Event, Outcome, Task, TaskId};

const MOVING: &str = "{spinner} {msg} {bar:24} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec}";
const COUNTING: &str = "{spinner} {msg} {decimal_bytes} {decimal_bytes_per_sec}";
const RUNNING: &str = "{spinner} {msg} {elapsed}{prefix}";
/// How many lines of a command are seen while it runs, and how much of each.
const TAIL: usize = 4;
const WIDEST: usize = 110;
const WAITING: &str = "{spinner} {msg} {elapsed}";

/// Draws running tasks on a terminal.
#[derive(Debug)]
pub struct Terminal {
    bars: MultiProgress,
    tasks: HashMap<TaskId, Line>,
    colors: bool,
}

#[derive(Debug)]
struct Line {
    bar: ProgressBar,
    text: String,
    started: Duration,
    quiet: bool,
    /// The last lines that its command wrote.
    tail: VecDeque<String>,
}

impl Line {
    /// Shows a line of the task's command under its own.
    fn output(&mut self, line: &str) {
        let line = words::printable(line);
        if line.trim().is_empty() {
            return;
        }
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(line.chars().take(WIDEST).collect());
        let tail: String = self.tail.iter().map(|line| format!("\n    {line}")).collect();
        self.bar.set_style(style(RUNNING));
        self.bar.set_prefix(tail);
    }
}

impl Terminal {
    /// Draws on `target`, with or without colours.
    pub fn new(target: ProgressDrawTarget, colors: bool) -> Self {
        Self { bars: MultiProgress::with_draw_target(target), tasks: HashMap::new(), colors }
    }

    fn paint(&self, color: AnsiColor, text: &str) -> String {
        if !self.colors {
            return text.to_owned();
        }
        let style = Style::new().fg_color(Some(color.into()));
        format!("{style}{text}{style:#}")
    }

    fn above(&self, text: &str) {
        // See the room's page: a closed standard error is not an error.
        let _ = self.bars.println(text);
    }

    fn end(&mut self, id: TaskId) -> Option<Line> {
        let line = self.tasks.remove(&id)?;
        line.bar.finish_and_clear();
        self.bars.remove(&line.bar);
        Some(line)
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are the constants above; a test draws with each.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
        .tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
        .progress_chars("━╸─")
}

impl Render for Terminal {
    fn event(&mut self, at: Duration, event: &Event) {
        match event {
            Event::Started { id, task, total } => {
                let bar = match total {
                    Some(total) => ProgressBar::new(*total).with_style(style(MOVING)),
                    None => ProgressBar::new_spinner().with_style(style(WAITING)),
                };
                let bar = self.bars.add(bar);
                let text = words::task(task);
                bar.set_message(text.clone());
                // Looking up what a name means is news only while it lasts.
                let quiet = matches!(task, Task::Resolve { .. });
                self.tasks.insert(*id, Line { bar, text, started: at, quiet, tail: VecDeque::new() });
            }
            Event::Sized { id, total } => {
                let Some(line) = self.tasks.get(id) else { return };
                line.bar.set_length(*total);
                line.bar.set_style(style(MOVING));
            }
            Event::Progress { id, done } => {
                let Some(line) = self.tasks.get(id) else { return };
                // A total that was only a guess says nothing once it is passed.
                let passed = line.bar.length().is_some_and(|total| *done > total);
                if passed {
                    line.bar.unset_length();
                }
                if passed || line.bar.length().is_none() && line.bar.position() == 0 {
                    line.bar.set_style(style(COUNTING));
                }
                line.bar.set_position(*done);
            }
            Event::Missed { id, reason } => {
                if let Some(line) = self.tasks.get_mut(id) {
                    line.text = format!("{} ({})", line.text, words::reason(reason));
                    line.bar.set_message(line.text.clone());
                }
            }
            Event::Retry { id, reason, after } => {
                let what = id.and_then(|id| self.tasks.get(&id)).map(|line| format!("{}: ", line.text));
                let text = format!(
                    "{}{}, trying again in {}",
                    what.unwrap_or_default(),
                    words::one_line(reason),
                    words::seconds(*after)
                );
                self.above(&format!("{} {text}", self.paint(AnsiColor::Yellow, "retry:")));
            }
            Event::Output { id, line, .. } => {
                if let Some(task) = self.tasks.get_mut(id) {
                    task.output(line);
                }
            }
            Event::Finished { id, outcome, size, .. } => {
                let Some(line) = self.end(*id) else { return };
                // The tasks that follow tell what became of what was needed.
                if line.quiet || *outcome == Outcome::Needed {
                    return;
                }
                let note = match outcome {
                    Outcome::Done => words::seconds(at.saturating_sub(line.started)),
                    other => words::outcome(*other).to_lowercase(),
                };
                let size = size.map(|size| format!(" {}", words::bytes(size))).unwrap_or_default();
                let mark = self.paint(AnsiColor::Green, "✓");
                self.above(&format!("{mark} {}{size} {note}", line.text));
            }
            Event::Failed { id } => {
                if let Some(line) = self.end(*id) {
                    self.above(&format!("{} {}", self.paint(AnsiColor::Red, "✗"), line.text));
                }
            }
            Event::Cancelled { id } => {
                if let Some(line) = self.end(*id).filter(|line| !line.quiet) {
                    self.above(&format!("{} {} cancelled", self.paint(AnsiColor::Yellow, "-"), line.text));
                }
            }
            Event::Note { message } => self.above(&format!("note: {}", words::one_line(message))),
            Event::Warning { message, .. } => {
                let label = self.paint(AnsiColor::Yellow, "warning:");
                self.above(&format!("{label} {}", words::one_line(message)));
            }
        }
    }

    fn tick(&mut self) {
        self.tasks.values().for_each(|line| line.bar.tick());
    }

    fn finish(&mut self) {
        self.tasks.clear();
        let _ = self.bars.clear();
    }
}
