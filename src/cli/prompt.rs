//! Questions to whoever sits at the terminal.

use std::io::{BufRead, stdin};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::printer::{HostError, Printer};

/// Asks, and reads a line.
pub(super) async fn ask(question: &str) -> Result<String, HostError> {
    Printer::stderr(question);
    // On a thread that is not waited for when the program is interrupted.
    let read = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        stdin().lock().read_line(&mut line).map(|_| line)
    });
    let failed = |error| HostError::new("read from the terminal", error);
    let line = read.await.map_err(|error| failed(std::io::Error::other(error)))?.map_err(failed)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// The same without showing what is typed.
pub(super) async fn ask_secretly(question: &str) -> Result<String, HostError> {
    let _silence = Silence::begin();
    let line = ask(question).await;
    // The line's end was not shown either.
    Printer::stderr("\n");
    line
}

/// While it lives, the terminal shows nothing that is typed. It is dropped with the command, also when that is
/// interrupted.
struct Silence(Option<Termios>);

impl Silence {
    fn begin() -> Self {
        // What is no terminal shows nothing anyway.
        let Ok(before) = tcgetattr(stdin()) else { return Self(None) };
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        let _ = tcsetattr(stdin(), OptionalActions::Flush, &silent);
        Self(Some(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(stdin(), OptionalActions::Now, before);
        }
    }
}
