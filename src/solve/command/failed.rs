//! A command that failed, in words.

use std::fmt;

use crate::{
    error::{Explain, Kind},
    sandbox::Exit,
};

/// A command that did not end well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedCommand {
    /// The step in a few words.
    pub step: String,
    /// How it ended.
    pub exit: Exit,
    /// The last lines that it wrote.
    pub tail: Vec<String>,
    /// The platform, where it is not this machine's.
    pub foreign: Option<String>,
    /// What `imgbuild logs` knows its output by.
    pub log: String,
}

impl fmt::Display for FailedCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: {}", self.step, how(self.exit))
    }
}

impl std::error::Error for FailedCommand {}

impl FailedCommand {
    /// The last lines, one below the other.
    pub(in super::super) fn output(&self) -> Option<String> {
        (!self.tail.is_empty()).then(|| self.tail.join("\n"))
    }

    fn wrote(&self, words: &str) -> bool {
        self.tail.iter().any(|line| line.to_ascii_lowercase().contains(words))
    }
}

impl Explain for FailedCommand {
    fn kind(&self) -> Kind {
        Kind::Build
    }

    fn hints(&self) -> Vec<String> {
        let mut hints = Vec::new();
        match (&self.foreign, self.exit) {
            (Some(platform), Exit::Code(126 | 127 | 255 | 1 | 2)) if self.wrote("exec format error") => {
                hints.push(format!(
                    "the step is for {platform}, whose programs this machine cannot run, and there is no emulation \
                     yet; start the stage with --platform=$BUILDPLATFORM and cross-compile, or build on such a machine"
                ));
            }
            (_, Exit::OutOfMemory) => {
                hints.push("give it more with --memory, or let it do less at once".into())
            }
            (_, Exit::TimedOut) => hints.push("give it more time with --step-timeout".into()),
            (_, Exit::Code(127)) => {
                hints.push("127 means that the command was not found in the image".into())
            }
            (_, Exit::Code(126)) => hints.push("126 means that the command may not be executed".into()),
            _ if self.wrote("no space left on device") => {
                hints.push("the disk is full: free some space, or set IMGBUILD_HOME to a larger one".into());
            }
            _ => {}
        }
        hints.push(format!("all of its output: imgbuild logs {}", self.log));
        hints
    }
}

fn how(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exit status {code}"),
        Exit::Signal(number) => match signal(number) {
            Some(name) => format!("ended by {name}"),
            None => format!("ended by signal {number}"),
        },
        Exit::OutOfMemory => "ran out of memory".to_owned(),
        Exit::TimedOut => "took longer than it may".to_owned(),
    }
}

fn signal(number: i32) -> Option<&'static str> {
    Some(match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_has_its_words() {
        let failed = |exit| FailedCommand {
            step: "run false".into(),
            exit,
            tail: Vec::new(),
            foreign: None,
            log: "ab".into(),
        };
        for (exit, words) in [
            (Exit::Code(3), "run false failed: exit status 3"),
            (Exit::Signal(11), "run false failed: ended by SIGSEGV"),
            (Exit::Signal(64), "run false failed: ended by signal 64"),
            (Exit::OutOfMemory, "run false failed: ran out of memory"),
            (Exit::TimedOut, "run false failed: took longer than it may"),
        ] {
            assert_eq!(failed(exit).to_string(), words);
        }
        let foreign = FailedCommand {
            tail: vec!["exec /bin/sh: Exec format error".into()],
            foreign: Some("linux/arm64".into()),
            ..failed(Exit::Code(255))
        };
        assert!(foreign.hints()[0].contains("no emulation yet"));
    }
}
