//! The command line: one file for each command, with its arguments, whose comments are its help, and one short
//! function.
//!
//! This room does not know how anything works: it resolves settings, calls one function of a lower room, and shows
//! what came of it.

mod arguments;
mod build;
mod cache;
mod cache_key;
mod cache_text;
mod check;
mod command;
mod convert;
mod doctor;
mod engine;
mod images;
mod index;
mod inspect;
mod inspect_text;
mod lock;
mod lock_text;
mod login;
mod logs;
mod open;
mod outputs;
mod printer;
mod promote;
mod prompt;
mod publishing;
mod push;
mod release;
mod release_ls;
mod release_notes;
mod release_notes_text;
mod rm;
mod schema;
mod step_output;
mod tags;
mod tags_text;
mod validate;
mod watch;
mod why;
mod why_text;

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::{arguments::with_command, command::Cli, printer::Printer};
use crate::{
    error::Failure,
    report::{Annotations, render_failure, without_commands},
    sandbox,
    settings::{ColorChoice, Environment},
};

/// How a command that did not fail ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ExitStatus {
    /// All is well: status 0.
    Success,
    /// The command did its work, and what it looked at is not well: status 1.
    Findings,
}

/// A signal that ends the program: what is said, and the status, as shells tell it: 128 and the signal's number.
const INTERRUPTED: (&str, u8) = ("interrupted", 130);
const TERMINATED: (&str, u8) = ("terminated", 143);

/// Runs the program with the process's arguments.
pub fn main() -> ExitCode {
    // Before anything else: a worker must never have a second thread.
    if std::env::args_os().nth(1).is_some_and(|first| first == sandbox::WORKER) {
        return sandbox::work();
    }
    sandbox::keep_pages_small();
    let environment = Environment::of_process();
    let annotations = watch::annotations(&environment);
    let arguments = match with_command(std::env::args_os().collect(), &environment) {
        Ok(arguments) => arguments,
        Err(error) => return fail(&error.into(), annotations.as_ref()),
    };
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to standard output, mistakes to standard error. Nobody reads it: nothing to tell.
            let _ = error.print();
            if let Some(annotations) = annotations.filter(|_| error.use_stderr()) {
                Printer::stderr(&annotations.mistake(&error.to_string()));
            }
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match cli.global.color {
        ColorChoice::Auto => {}
        ColorChoice::Always => anstream::ColorChoice::Always.write_global(),
        ColorChoice::Never => anstream::ColorChoice::Never.write_global(),
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return fail(&printer::HostError::new("start the threads", error).into(), annotations.as_ref());
        }
    };
    // The command runs on another thread: the signals are heard whatever it does.
    let ended = runtime.block_on(async {
        let signals = signals();
        let command = tokio::spawn(cli.run(environment));
        tokio::select! {
            ended = command => Ok(ended),
            signal = signals => Err(signal),
        }
    });
    // Threads that are busy with a file are not waited for: what they write has no final name yet.
    runtime.shutdown_timeout(Duration::from_millis(200));
    match ended {
        Ok(Ok(Ok(ExitStatus::Success))) => ExitCode::SUCCESS,
        Ok(Ok(Ok(ExitStatus::Findings))) => ExitCode::from(1),
        Ok(Ok(Err(failure))) => fail(&failure, annotations.as_ref()),
        // The command panicked, and the panic said why.
        Ok(Err(_)) => ExitCode::from(crate::error::Kind::Internal.exit_code()),
        Err((said, status)) => {
            Printer::stderr(&format!("{said}\n"));
            ExitCode::from(status)
        }
    }
}

fn fail(failure: &Failure, annotations: Option<&Annotations>) -> ExitCode {
    let text = render_failure(failure.as_ref());
    match annotations {
        None => Printer::stderr(&text),
        Some(annotations) => {
            Printer::stderr(&without_commands(&text));
            Printer::stderr(&annotations.failure(failure.as_ref()));
        }
    }
    ExitCode::from(failure.kind().exit_code())
}

/// Begins to listen for the signals that end the program; what it gives waits for one.
fn signals() -> impl Future<Output = (&'static str, u8)> {
    // A signal that cannot be listened for ends the process as it always did.
    let interrupt = signal(SignalKind::interrupt()).ok();
    let terminate = signal(SignalKind::terminate()).ok();
    async {
        tokio::select! {
            () = received(interrupt) => INTERRUPTED,
            () = received(terminate) => TERMINATED,
        }
    }
}

async fn received(signal: Option<Signal>) {
    match signal {
        Some(mut signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}
