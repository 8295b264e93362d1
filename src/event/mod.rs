//! The typed events that the engine's rooms emit and the reporters consume: engine rooms never print.
//!
//! An event says what happened; how it looks is the reporters' business.

mod reason;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Serialize;

pub use reason::{Change, FileChange, ParentChange, Reason, Value};

use crate::{
    oci::{Digest, Platform},
    source::Location,
};

/// The number of a step or a transfer: unique within one run of the program, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct TaskId(pub u64);

/// What a task does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Task {
    /// A step of a stage.
    Step {
        /// The stage's name.
        stage: String,
        /// The platform it is for; `None` where the step serves every platform.
        platform: Option<Platform>,
        /// The step's number within the stage, from 1.
        number: usize,
        /// How many steps the stage has.
        of: usize,
        /// The step in words, as the front end writes it.
        name: String,
    },
    /// Finding out what a reference means.
    Resolve {
        /// The reference.
        reference: String,
    },
    /// Fetching a blob, or a file from the web.
    Fetch {
        /// The repository, or the URL.
        from: String,
        /// The blob, where it is known before.
        digest: Option<Digest>,
    },
    /// Unpacking the layers of an image, for commands to run in.
    Unpack {
        /// The image.
        image: String,
    },
    /// Sending a blob.
    Push {
        /// The repository.
        to: String,
        /// The blob.
        digest: Digest,
    },
    /// Writing a manifest or an index, under a tag or a digest.
    Publish {
        /// The reference.
        reference: String,
    },
    /// Writing an output.
    Export {
        /// The output in words, for example `oci layout out/`.
        output: String,
    },
}

/// How a task ended without a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The work was done.
    Done,
    /// The result was in the cache.
    Cached,
    /// The other side has it already.
    Exists,
    /// The registry linked it from another repository.
    Mounted,
    /// The other side needs it, and it is not on this machine: it is fetched, then tried again as a task of its own.
    Needed,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A task began.
    Started {
        /// Its number, used by all later events about it.
        id: TaskId,
        /// What it does.
        task: Task,
        /// How many bytes it will move or compress, if known.
        total: Option<u64>,
    },
    /// It is known now how many bytes a task will move or compress.
    Sized {
        /// The task.
        id: TaskId,
        /// Bytes in all.
        total: u64,
    },
    /// A task moved on to this many bytes. May go down when a transfer is retried.
    Progress {
        /// The task.
        id: TaskId,
        /// Bytes so far.
        done: u64,
    },
    /// A step could not be taken from the cache, and it is known why.
    Missed {
        /// The step's task.
        id: TaskId,
        /// Why.
        reason: Reason,
    },
    /// A task will be tried again.
    Retry {
        /// The task, or `None` for a request of no task.
        id: Option<TaskId>,
        /// What failed.
        reason: String,
        /// How long it waits before. In JSON: seconds.
        #[serde(serialize_with = "in_seconds")]
        after: Duration,
    },
    /// A command of a task wrote something.
    Output {
        /// The task.
        id: TaskId,
        /// Whether to standard error.
        stderr: bool,
        /// One line, without its end; what is no UTF-8 is replaced.
        line: String,
    },
    /// A task ended well.
    Finished {
        /// The task.
        id: TaskId,
        /// How.
        outcome: Outcome,
        /// The digest of what it made, if it made something.
        digest: Option<Digest>,
        /// The size of what it made, in bytes.
        size: Option<u64>,
    },
    /// A task failed. The error itself is the result of the run; this only ends the task's line.
    Failed {
        /// The task.
        id: TaskId,
    },
    /// A task was given up since something else failed.
    Cancelled {
        /// The task.
        id: TaskId,
    },
    /// Something the user may want to know.
    Note {
        /// In words.
        message: String,
    },
    /// Something the user should know.
    Warning {
        /// In words.
        message: String,
        /// Where in an input file, if it is about one. The message has it, too.
        #[serde(skip_serializing_if = "Option::is_none")]
        place: Option<Location>,
    },
}

fn in_seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

/// Where events go. Cheap to clone; may be called from any thread; must not block for long.
#[derive(Clone)]
pub struct Sink {
    emit: Arc<dyn Fn(Event) + Send + Sync>,
    next: Arc<std::sync::atomic::AtomicU64>,
    cancelled: Arc<std::sync::atomic::AtomicBool>,
}

impl Sink {
    /// A sink that hands each event to `emit`.
    pub fn new(emit: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self { emit: Arc::new(emit), next: Arc::default(), cancelled: Arc::default() }
    }

    /// A sink that drops everything.
    pub fn silent() -> Self {
        Self::new(|_| {})
    }

    /// Emits one event.
    pub fn emit(&self, event: Event) {
        (self.emit)(event);
    }

    /// Emits a warning.
    pub fn warn(&self, message: impl Into<String>) {
        self.emit(Event::Warning { message: message.into(), place: None });
    }

    /// Emits a warning of a place in an input file.
    pub fn warn_at(&self, place: Location, message: impl Into<String>) {
        self.emit(Event::Warning { message: message.into(), place: Some(place) });
    }

    /// Emits a note.
    pub fn note(&self, message: impl Into<String>) {
        self.emit(Event::Note { message: message.into() });
    }

    /// Says that something has failed, and the rest is given up: tasks that end without a result from now on have not
    /// failed.
    pub fn cancel(&self) {
        self.cancelled.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    /// Starts a task. It ends as failed, or as [cancelled](Sink::cancel), if the guard is dropped before
    /// [`Running::finish`].
    pub fn start(&self, task: Task, total: Option<u64>) -> Running {
        let id = TaskId(self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1);
        self.emit(Event::Started { id, task, total });
        Running {
            id,
            sink: self.clone(),
            done: std::sync::atomic::AtomicU64::new(0),
            begun: Instant::now(),
            ended: false,
        }
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sink(..)")
    }
}

/// A task under way.
#[derive(Debug)]
pub struct Running {
    id: TaskId,
    sink: Sink,
    done: std::sync::atomic::AtomicU64,
    begun: Instant,
    ended: bool,
}

impl Running {
    /// The task's number.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// How long it has been running.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Says why the step could not be taken from the cache.
    pub fn missed(&self, reason: Reason) {
        self.sink.emit(Event::Missed { id: self.id, reason });
    }

    /// Says how many bytes it will be, once that is known.
    pub fn expect(&self, total: u64) {
        self.sink.emit(Event::Sized { id: self.id, total });
    }

    /// Adds to the bytes done. Call it for some hundred KiB at a time, not for each read.
    pub fn advance(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed) + bytes;
        self.sink.emit(Event::Progress { id: self.id, done });
    }

    /// Sets the bytes done, also backwards.
    pub fn set(&self, done: u64) {
        self.done.store(done, std::sync::atomic::Ordering::Relaxed);
        self.sink.emit(Event::Progress { id: self.id, done });
    }

    /// Says that the task will be tried again.
    pub fn retry(&self, reason: impl Into<String>, after: Duration) {
        self.sink.emit(Event::Retry { id: Some(self.id), reason: reason.into(), after });
    }

    /// Hands on a line that the task's command wrote.
    pub fn output(&self, stderr: bool, line: impl Into<String>) {
        self.sink.emit(Event::Output { id: self.id, stderr, line: line.into() });
    }

    /// Ends the task well.
    pub fn finish(mut self, outcome: Outcome, made: Option<(Digest, u64)>) {
        self.ended = true;
        let (digest, size) = made.unzip();
        self.sink.emit(Event::Finished { id: self.id, outcome, digest, size });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            let cancelled = self.sink.cancelled.load(std::sync::atomic::Ordering::Relaxed);
            self.sink.emit(match cancelled {
                true => Event::Cancelled { id: self.id },
                false => Event::Failed { id: self.id },
            });
        }
    }
}
