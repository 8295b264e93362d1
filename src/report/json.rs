//! One JSON object a line, for machines.

use std::{io::Write, time::Duration};

use serde::Serialize;

use super::Render;
use crate::{event::Event, oci::canonical};

/// Writes each event as a JSON object on a line of its own: the event's fields behind `time`, the seconds since the
/// start. New fields and new events may come; none changes its meaning.
///
/// ```json
/// {"time":0.012,"event":"started","id":1,"task":{"kind":"resolve","reference":"alpine:3"},"total":null}
/// {"time":0.418,"event":"finished","id":1,"outcome":"done","digest":"sha256:…","size":1022}
/// ```
#[derive(Debug)]
pub struct JsonLines<W> {
    out: W,
}

#[derive(Serialize)]
struct Timed<'a> {
    time: f64,
    #[serde(flatten)]
    event: &'a Event,
}

impl<W: Write> JsonLines<W> {
    /// Lines go to `out`.
    pub fn new(out: W) -> Self {
        Self { out }
    }
}

impl<W: Write + Send> Render for JsonLines<W> {
    fn event(&mut self, at: Duration, event: &Event) {
        let mut line = canonical(&Timed { time: at.as_millis() as f64 / 1000.0, event });
        line.push(b'\n');
        // See the room's page: a closed standard error is not an error.
        let _ = self.out.write_all(&line);
    }

    fn finish(&mut self) {
        let _ = self.out.flush();
    }
}
