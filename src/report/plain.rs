//! Numbered lines, for logs.

use std::{collections::HashMap, io::Write, time::Duration};

use super::{Render, words};
use crate::event::{Event, Task, TaskId};

/// At most one line of progress for each task in this time.
const INTERVAL: Duration = Duration::from_secs(5);

/// Writes events as numbered lines: `#3 [app 2/5] copy src -> /app/src`, then `#3 DONE 0.4s`.
#[derive(Debug)]
pub struct Plain<W> {
    out: W,
    tasks: HashMap<TaskId, Line>,
}

#[derive(Debug)]
struct Line {
    started: Duration,
    last: Duration,
    total: Option<u64>,
    done: u64,
    transfer: bool,
}

impl<W: Write> Plain<W> {
    /// Lines go to `out`.
    pub fn new(out: W) -> Self {
        Self { out, tasks: HashMap::new() }
    }

    fn line(&mut self, id: Option<TaskId>, text: &str) {
        let line = match id {
            Some(id) => format!("#{} {text}\n", id.0),
            None => format!("{text}\n"),
        };
        // In one piece, since others may write there. See the room's page: a closed standard error is not an error.
        let _ = self.out.write_all(line.as_bytes());
    }
}

impl<W: Write + Send> Render for Plain<W> {
    fn event(&mut self, at: Duration, event: &Event) {
        match event {
            Event::Started { id, task, total } => {
                let transfer = matches!(task, Task::Fetch { .. } | Task::Push { .. });
                let line = Line { started: at, last: at, total: *total, done: 0, transfer };
                self.tasks.insert(*id, line);
                let size = total.filter(|_| transfer).map(|total| format!(" ({})", words::bytes(total)));
                self.line(Some(*id), &format!("{}{}", words::task(task), size.unwrap_or_default()));
            }
            Event::Sized { id, total } => {
                if let Some(line) = self.tasks.get_mut(id) {
                    line.total = Some(*total);
                }
            }
            Event::Progress { id, done } => {
                let Some(line) = self.tasks.get_mut(id) else { return };
                line.done = *done;
                if at.saturating_sub(line.last) < INTERVAL {
                    return;
                }
                line.last = at;
                let mut text = words::bytes(*done);
                // A total that was only a guess says nothing once it is passed.
                if let Some(total) = line.total.filter(|total| *total >= *done) {
                    text = format!("{text} / {}", words::bytes(total));
                }
                if let Some(rate) = words::rate(*done, at.saturating_sub(line.started)) {
                    text = format!("{text} {rate}");
                }
                self.line(Some(*id), &text);
            }
            Event::Missed { id, reason } => {
                self.line(Some(*id), &format!("MISS {}", words::reason(reason)));
            }
            Event::Retry { id, reason, after } => {
                let text = format!("RETRY in {}: {}", words::seconds(*after), words::one_line(reason));
                self.line(*id, &text);
            }
            Event::Output { id, line, .. } => {
                let since = self.tasks.get(id).map(|task| at.saturating_sub(task.started));
                let seconds = since.unwrap_or_default().as_secs_f64();
                self.line(Some(*id), format!("{seconds:.2} {}", words::printable(line)).trim_end());
            }
            Event::Finished { id, outcome, digest, size } => {
                let Some(line) = self.tasks.remove(id) else { return };
                let took = at.saturating_sub(line.started);
                let mut text = words::outcome(*outcome).to_owned();
                if *outcome == crate::event::Outcome::Done {
                    text = format!("{text} {}", words::seconds(took));
                    let moved = size.or((line.done > 0).then_some(line.done));
                    if let Some(size) = moved {
                        text = format!("{text} {}", words::bytes(size));
                    }
                    if let Some(rate) = words::rate(moved.unwrap_or(0), took).filter(|_| line.transfer) {
                        text = format!("{text} {rate}");
                    }
                    if let Some(digest) = digest.filter(|_| !line.transfer) {
                        text = format!("{text} {}:{}", digest.algorithm(), digest.short());
                    }
                }
                self.line(Some(*id), &text);
            }
            Event::Failed { id } | Event::Cancelled { id } => {
                let Some(line) = self.tasks.remove(id) else { return };
                let took = words::seconds(at.saturating_sub(line.started));
                let how = if matches!(event, Event::Failed { .. }) { "FAILED" } else { "CANCELLED" };
                self.line(Some(*id), &format!("{how} {took}"));
            }
            Event::Note { message } => {
                self.line(None, &format!("note: {}", words::one_line(message)));
            }
            Event::Warning { message, .. } => {
                self.line(None, &format!("warning: {}", words::one_line(message)));
            }
        }
    }

    fn finish(&mut self) {
        let _ = self.out.flush();
    }
}
