//! Choosing a renderer, and getting events to it.

use std::{
    fmt,
    io::Write,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use indicatif::ProgressDrawTarget;

use super::{JsonLines, Plain, Terminal, annotations::WithoutCommands, words};
use crate::event::{Event, Sink};

/// How events are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// [`Terminal`].
    Terminal {
        /// With colours.
        colors: bool,
    },
    /// [`Plain`].
    Plain,
    /// [`JsonLines`].
    Json,
    /// Warnings only.
    Quiet,
}

/// A consumer of events.
pub trait Render: Send {
    /// Takes an event that happened `at` this time after the start.
    fn event(&mut self, at: Duration, event: &Event);

    /// Redraws what moves by itself.
    fn tick(&mut self) {}

    /// Ends: nothing that was drawn for the time being stays.
    fn finish(&mut self);
}

/// Shows warnings and nothing else.
struct Warnings<W>(W);

impl<W: Write + Send> Render for Warnings<W> {
    fn event(&mut self, _: Duration, event: &Event) {
        if let Event::Warning { message, .. } = event {
            let _ = writeln!(self.0, "warning: {}", words::one_line(message));
        }
    }

    fn finish(&mut self) {}
}

/// All that take the events. They are few, and each is quick.
type Renders = Arc<Mutex<Vec<Box<dyn Render>>>>;

/// Gets events to a renderer on standard error, and to others.
pub struct Reporter {
    renders: Renders,
    start: Instant,
    ticker: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Reporter {
    /// A reporter that shows events on standard error.
    pub fn new(style: Style) -> Self {
        Self::on(style, anstream::stderr())
    }

    /// The same in a job of GitHub Actions, whose runner looks for commands in all that it reads: it finds none in what
    /// is shown.
    pub fn in_actions(style: Style) -> Self {
        Self::on(style, WithoutCommands(anstream::stderr()))
    }

    fn on(style: Style, stderr: impl Write + Send + 'static) -> Self {
        match style {
            Style::Terminal { colors } => {
                let mut reporter = Self::with(Terminal::new(ProgressDrawTarget::stderr(), colors));
                reporter.ticker = Some(ticker(reporter.renders.clone()));
                reporter
            }
            Style::Plain => Self::with(Plain::new(stderr)),
            Style::Json => Self::with(JsonLines::new(stderr)),
            Style::Quiet => Self::with(Warnings(stderr)),
        }
    }

    fn with(render: impl Render + 'static) -> Self {
        let renders: Vec<Box<dyn Render>> = vec![Box::new(render)];
        Self { renders: Arc::new(Mutex::new(renders)), start: Instant::now(), ticker: None }
    }

    /// Hands the events to this one, too.
    pub fn also(&self, render: impl Render + 'static) {
        lock(&self.renders).push(Box::new(render));
    }

    /// The sink for the engine.
    pub fn sink(&self) -> Sink {
        let renders = self.renders.clone();
        let start = self.start;
        Sink::new(move |event| {
            let mut renders = lock(&renders);
            let at = start.elapsed();
            renders.iter_mut().for_each(|render| render.event(at, &event));
        })
    }

    /// How long it has been since the start.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Ends the show, so that other text can be written.
    pub fn finish(self) {}
}

impl Drop for Reporter {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.ticker.take() {
            drop(stop);
            // The ticker does not panic; if it did, there is nothing left to draw.
            let _ = thread.join();
        }
        lock(&self.renders).iter_mut().for_each(|render| render.finish());
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reporter(..)")
    }
}

/// A renderer that panicked in one thread still draws for the others.
fn lock(renders: &Mutex<Vec<Box<dyn Render>>>) -> MutexGuard<'_, Vec<Box<dyn Render>>> {
    renders.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Redraws some times a second, until the sender is dropped.
fn ticker(renders: Renders) -> (Sender<()>, JoinHandle<()>) {
    let (stop, stopped) = channel::<()>();
    let thread = std::thread::spawn(move || {
        while stopped.recv_timeout(Duration::from_millis(120)) == Err(RecvTimeoutError::Timeout) {
            lock(&renders).iter_mut().for_each(|render| render.tick());
        }
    });
    (stop, thread)
}
