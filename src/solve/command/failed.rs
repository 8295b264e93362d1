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
    /// The platform, where its programs are emulated.
    pub foreign: Option<String>,
    /// Whether it had no network.
    pub offline: bool,
    /// Secrets that it mounts, could do without, and was not given: their ids.
    pub secrets: Vec<String>,
    /// What `imgbuild logs` knows its output by.
    pub log: String,
}

/// What programs say, in lower case, where no name and no address can be reached.
const UNREACHABLE: [&str; 7] = [
    "could not resolve",
    "bad address",
    "temporary failure",
    "name or service not known",
    "name resolution",
    "network is unreachable",
    "getaddrinfo",
];

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

    /// Whether a program ended as one does that was not understood: a shell tells its signal by a status above 128.
    fn crashed(&self, exit: Exit) -> bool {
        let signal = match exit {
            Exit::Signal(signal) => Some(signal),
            Exit::Code(code) => code.checked_sub(128),
            Exit::OutOfMemory | Exit::TimedOut => None,
        };
        // SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGSEGV, SIGSYS.
        signal.is_some_and(|signal| matches!(signal, 4..=7 | 11 | 31))
            || self.wrote("qemu: uncaught target signal")
    }

    fn wrote(&self, words: &str) -> bool {
        self.tail.iter().any(|line| line.to_ascii_lowercase().contains(words))
    }

    /// What its end, and what it wrote last, say of why it failed.
    fn reason(&self) -> Option<String> {
        match &self.foreign {
            Some(platform)
                if matches!(self.exit, Exit::Code(126 | 127 | 255 | 1 | 2))
                    && self.wrote("exec format error") =>
            {
                return Some(format!(
                    "the step is for {platform}, and started a program that is neither for that nor for this machine"
                ));
            }
            Some(platform) if self.crashed(self.exit) => {
                return Some(format!(
                    "programs for {platform} are emulated here, and a crash may be the emulator's: try a newer one \
                     with --emulator FILE or --emulator docker-image://REF, cross-compile in a stage that is FROM \
                     --platform=$BUILDPLATFORM, or build on a machine of that platform"
                ));
            }
            _ => {}
        }
        // As `env` and bash show a carriage return; and what is left of dash's line once it has moved the cursor back.
        let carriage_return = self.wrote("\\r'")
            || self
                .tail
                .iter()
                .any(|line| line.starts_with(": not found") || line.contains("^M:") || line.ends_with("^M"));
        let words = match self.exit {
            Exit::OutOfMemory => "give it more with --memory, or let it do less at once",
            Exit::TimedOut => "give it more time with --step-timeout",
            _ if self.wrote("no space left on device") => {
                "the disk is full: free some space, or set IMGBUILD_HOME to a larger one; or what the step filled is \
                 in memory and has a size: /dev/shm (--shm-size), or a tmpfs that it mounts (size=)"
            }
            _ if self.offline && UNREACHABLE.iter().any(|words| self.wrote(words)) => {
                "the step has no network, as `--network` says of it or of the build: leave that away if it needs one"
            }
            Exit::Code(126 | 127) if carriage_return => {
                "a script has Windows line endings: save it with LF alone (`dos2unix`, or `* text=auto eol=lf` in \
                 .gitattributes)"
            }
            Exit::Code(127) => {
                "127: there is no such command in the image, nor in its PATH; of a script that is there, the \
                 interpreter in its first line is missing, or that line ends in a carriage return (Windows line \
                 endings)"
            }
            Exit::Code(126) => {
                "126: the command is there and cannot be executed: `chmod +x` it (COPY --chmod=755), or start it with \
                 its interpreter (`sh script`)"
            }
            Exit::Code(137) | Exit::Signal(9) => {
                "something killed the command (SIGKILL), most often because memory ran out: look at the machine's \
                 memory, raise --memory where it is set, or let the step do less at once"
            }
            _ => return None,
        };
        Some(words.to_owned())
    }
}

impl Explain for FailedCommand {
    fn kind(&self) -> Kind {
        Kind::Build
    }

    fn hints(&self) -> Vec<String> {
        let mut hints: Vec<String> = self.secrets.iter().map(|id| missing_secret(id)).collect();
        hints.extend(self.reason());
        if !self.tail.is_empty() {
            hints.push(format!("all of its output: imgbuild logs {}", self.log));
        }
        hints
    }
}

/// What to do about a secret that the build was not given.
fn missing_secret(id: &str) -> String {
    format!(
        "the secret `{id}`, which the step mounts, was not given: --secret id={id},src=FILE or \
         --secret id={id},env=NAME"
    )
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
            offline: false,
            secrets: Vec::new(),
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
        let hints = |exit, tail: &[&str]| {
            let tail = tail.iter().map(|line| (*line).to_owned()).collect();
            FailedCommand { tail, ..failed(exit) }.hints()
        };
        let log = "all of its output: imgbuild logs ab";
        // Where there is no output, there is none to show.
        assert_eq!(hints(Exit::Code(1), &[]), Vec::<String>::new());
        assert_eq!(hints(Exit::Code(1), &["no"]), [log]);
        for (exit, tail, words) in [
            (Exit::Code(127), "sh: 1: nope: not found", "no such command"),
            (Exit::Code(127), "env: 'python3\\r': No such file or directory", "Windows line endings: save"),
            (Exit::Code(127), ": not found", "Windows line endings: save"),
            (Exit::Code(126), "bash: ./x: /bin/sh^M: bad interpreter", "Windows line endings: save"),
            (Exit::Code(127), "exec: /bin/sh^M", "Windows line endings: save"),
            (Exit::Code(127), "grep: ^main: not found", "no such command"),
            (Exit::Code(126), "sh: 1: ./x: Permission denied", "chmod +x"),
            (Exit::Code(137), "Killed", "memory ran out"),
            (Exit::Signal(9), "", "memory ran out"),
            (Exit::OutOfMemory, "Killed", "--memory"),
            (Exit::Code(127), "cp: No space left on device", "the disk is full"),
            (Exit::Code(1), "dd: No space left on device", "--shm-size"),
        ] {
            let hints = hints(exit, &[tail]);
            assert!(hints.len() == 2 && hints[0].contains(words) && hints[1] == log, "{hints:?}");
        }
        let secret = FailedCommand { secrets: vec!["npm".into()], ..failed(Exit::Code(1)) };
        assert!(
            secret.hints()[0].contains("`npm`") && secret.hints()[0].contains("--secret id=npm,src=FILE")
        );
        for (offline, line, advised) in [
            (true, "wget: bad address 'x'", true),
            (true, "curl: (6) Could not resolve host: x", true),
            (true, "no such file", false),
            (false, "wget: bad address 'x'", false),
        ] {
            let failed = FailedCommand { tail: vec![line.into()], offline, ..failed(Exit::Code(1)) };
            assert_eq!(failed.hints()[0].contains("has no network"), advised, "{offline} {line}");
        }
        let foreign = FailedCommand {
            tail: vec!["exec /bin/sh: Exec format error".into()],
            foreign: Some("linux/arm64".into()),
            ..failed(Exit::Code(255))
        };
        assert!(foreign.hints()[0].contains("neither for that"));
        for (exit, line, advised) in [
            (Exit::Signal(11), "", true),
            (Exit::Code(132), "Illegal instruction", true),
            (Exit::Code(1), "qemu: uncaught target signal 11 (Segmentation fault) - core dumped", true),
            (Exit::Code(1), "make: failed", false),
            (Exit::Signal(9), "", false),
        ] {
            let failed = FailedCommand {
                tail: vec![line.into()],
                foreign: Some("linux/arm64".into()),
                ..failed(exit)
            };
            assert_eq!(failed.hints()[0].contains("--emulator"), advised, "{exit:?}");
            assert!(!FailedCommand { foreign: None, ..failed }.hints()[0].contains("--emulator"));
        }
    }
}
