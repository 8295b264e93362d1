//! The command itself: from a fork of init to the program.

use std::{
    ffi::{CStr, CString},
    fs, io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{ffi::OsStrExt, net::UnixStream},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FileType, Mode as FileMode, OFlags, fstat},
    io::Errno,
    process::{Gid, Uid, fchdir, getcwd, setsid},
    stdio::{dup2_stderr, dup2_stdin, dup2_stdout},
    thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};
use serde::{Deserialize, Serialize};

use super::{
    Execution, Mode, User, architecture::program_for, binfmt, fakeroot, fault::Fault, ground::Ground,
    init::Step, inside, limits, pages, sys,
};

/// What becomes of a command that could not be started.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum NotStarted {
    /// As a shell would have it: the status, and what to say on standard error.
    Status(i32, String),
    /// The sandbox, or the image, is at fault.
    Fault(Fault),
}

impl From<Fault> for NotStarted {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// The command's standard output and standard error, and what else connects it.
#[derive(Debug)]
pub(super) struct Outputs {
    pub(super) out: OwnedFd,
    pub(super) err: OwnedFd,
    /// Where the descriptor goes on which calls arrive that the supervisor answers.
    pub(super) calls: Option<UnixStream>,
}

/// Finds the working directory, or makes it where the image has none.
pub(super) fn make_workdir(execution: &Execution) -> Result<OwnedFd, Fault> {
    let path = workdir(execution);
    inside::make(path, true, &mut |_, _| ())
        .map_err(Fault::of(format!("make the working directory {}", path.display())))
}

fn workdir(execution: &Execution) -> &Path {
    if execution.workdir.is_empty() { Path::new("/") } else { Path::new(&execution.workdir) }
}

/// Enters the working directory, and makes sure that it is in the root.
fn enter(directory: BorrowedFd<'_>) -> io::Result<()> {
    fchdir(directory)?;
    match getcwd(Vec::new())?.as_bytes() {
        // The kernel says `(unreachable)` of others.
        [b'/', ..] => Ok(()),
        _ => Err(io::Error::other("it is not in the root of the step")),
    }
}

/// Becomes the command. Returns only if that fails.
///
/// The registration of its emulator goes to `keeper`.
pub(super) fn start(
    step: &Step<'_>,
    outputs: &Outputs,
    workdir: BorrowedFd<'_>,
    keeper: &UnixStream,
) -> NotStarted {
    match prepare(step, outputs, workdir, keeper) {
        Err(fault) => NotStarted::Fault(fault),
        Ok(()) => replace(step.execution),
    }
}

fn prepare(
    step: &Step<'_>,
    outputs: &Outputs,
    directory: BorrowedFd<'_>,
    keeper: &UnixStream,
) -> Result<(), Fault> {
    let execution = step.execution;
    sys::reset_signals();
    setsid().map_err(Fault::of("start a session"))?;
    let null = null().map_err(Fault::of("open /dev/null"))?;
    dup2_stdin(null).map_err(Fault::of("connect standard input"))?;
    dup2_stdout(outputs.out.as_fd()).map_err(Fault::of("connect standard output"))?;
    dup2_stderr(outputs.err.as_fd()).map_err(Fault::of("connect standard error"))?;
    rustix::process::umask(FileMode::from_raw_mode(0o022));
    limits::apply(&execution.limits, step.cgroup.is_some());
    pages::restore();
    if execution.of_32_bits {
        sys::of_32_bits().map_err(Fault::of("become a program of 32 bits"))?;
    }
    let path = workdir(execution).display();
    enter(directory).map_err(Fault::of(format!("enter the working directory {path}")))?;
    if let Some(emulator) = step.emulator {
        let registration = binfmt::enter()?;
        registration.add(emulator)?;
        fakeroot::send(keeper.as_fd(), registration.0.as_fd())
            .map_err(Fault::of("hand over the emulator"))?;
    }
    let listener = step.confinement.apply().map_err(|error| Fault::new("", error.to_string()))?;
    if let (Some(listener), Some(calls)) = (listener, &outputs.calls) {
        fakeroot::send(calls.as_fd(), listener.as_fd()).map_err(Fault::of("hand over its system calls"))?;
    }
    become_user(step.ground, &execution.user)
}

fn null() -> io::Result<OwnedFd> {
    Ok(rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, FileMode::empty())?)
}

/// Takes on the ids. With one id there is nothing to take on: others are made believe.
fn become_user(ground: &Ground, user: &User) -> Result<(), Fault> {
    if ground.mode == Mode::SingleId {
        return Ok(());
    }
    let action = || format!("become user {} of group {}", user.uid, user.gid);
    let groups: Vec<Gid> = user.groups.iter().map(|group| Gid::from_raw(*group)).collect();
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    set_thread_groups(&groups)
        .and_then(|()| set_thread_res_gid(gid, gid, gid))
        .and_then(|()| set_thread_res_uid(uid, uid, uid))
        .map_err(Fault::of(action()))
}

fn replace(execution: &Execution) -> NotStarted {
    let Some(program) = execution.argv.first() else {
        return Fault::new("", "there is no command to run").into();
    };
    let path = match look_up(program, search_path(execution)) {
        Ok(path) => path,
        Err(not_started) => return not_started,
    };
    let environment = execution.env.iter().map(|(name, value)| format!("{name}={value}"));
    let texts = (
        CString::new(path.as_os_str().as_bytes()),
        strings(execution.argv.iter().cloned()),
        strings(environment),
    );
    let (Ok(path), Ok(arguments), Ok(environment)) = texts else {
        return Fault::new(format!("run {program}"), "an argument or variable has a zero byte").into();
    };
    failure(program, &path, &sys::exec(&path, &arguments, &environment))
}

fn strings(texts: impl Iterator<Item = String>) -> Result<Vec<CString>, std::ffi::NulError> {
    texts.map(CString::new).collect()
}

fn search_path(execution: &Execution) -> &str {
    let set = execution.env.iter().rev().find(|(name, _)| name == "PATH");
    set.map_or("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", |(_, value)| value.as_str())
}

/// Finds a program as a shell does.
fn look_up(program: &str, path: &str) -> Result<PathBuf, NotStarted> {
    if program.contains('/') {
        let path = PathBuf::from(program);
        return match inside::find(&path) {
            Err(error) if is_loop(&error) => Err(NotStarted::Status(
                126,
                format!("{program} leads through too many links, or one of /proc"),
            )),
            // What else is wrong with it shows when it is run.
            _ => Ok(path),
        };
    }
    let mut denied = None;
    for directory in path.split(':') {
        let directory = if directory.is_empty() { "." } else { directory };
        let candidate = Path::new(directory).join(program);
        let found = inside::find(&candidate).and_then(|found| Ok(fstat(found)?));
        match found.map(|found| found.st_mode) {
            Ok(mode) if !FileType::from_raw_mode(mode).is_file() => {}
            Ok(mode) if mode & 0o111 != 0 => return Ok(candidate),
            Ok(_) => denied = Some(candidate),
            Err(_) => {}
        }
    }
    Err(match denied {
        Some(candidate) => NotStarted::Status(126, format!("{} is not executable", candidate.display())),
        None => NotStarted::Status(127, format!("{program} is not in the PATH of the image ({path})")),
    })
}

fn is_loop(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}

/// What it means that a program was not executed.
fn failure(program: &str, path: &CStr, error: &io::Error) -> NotStarted {
    let file = Path::new(std::ffi::OsStr::from_bytes(path.to_bytes()));
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOENT) if fs::metadata(file).is_ok() => {
            NotStarted::Status(127, format!("{program} {}", without_interpreter(&first_line(file))))
        }
        Some(Errno::NOENT | Errno::NOTDIR) => {
            NotStarted::Status(127, format!("{program} is not in the image"))
        }
        Some(Errno::ACCESS) => NotStarted::Status(126, format!("{program} is not executable")),
        Some(Errno::NOEXEC) => match fs::File::open(file).ok().and_then(program_for) {
            Some(machine) => Fault::new(
                format!("run {program}"),
                format!("it is built for another platform ({machine}), and nothing here runs its programs"),
            )
            .hint("say for which platform the stage is, with --platform: an emulator is then found for it")
            .into(),
            None => {
                NotStarted::Status(126, format!("{program} is neither a program nor does it begin with #!"))
            }
        },
        _ => NotStarted::Status(126, format!("cannot run {program}: {error}")),
    }
}

/// The beginning of a file, up to the end of its first line: what the kernel reads of a script.
fn first_line(file: &Path) -> Vec<u8> {
    use std::io::{BufRead, BufReader, Read};
    let mut line = Vec::new();
    // What cannot be read is no script that we could tell something of.
    if let Ok(file) = fs::File::open(file) {
        let _ = BufReader::new(file.take(256)).read_until(b'\n', &mut line);
    }
    line
}

/// Why a program that is there is not found all the same, from its first line.
fn without_interpreter(line: &[u8]) -> String {
    let Some(rest) = line.strip_prefix(b"#!") else {
        return "needs a dynamic loader that the image does not have (it was built for another libc, perhaps)".into();
    };
    let rest = String::from_utf8_lossy(rest);
    let interpreter = rest.trim().split([' ', '\t']).next().unwrap_or_default();
    match rest.trim_end_matches('\n').ends_with('\r') {
        true => format!(
            "has Windows line endings: its first line ends in a carriage return, so that it asks for \
             {interpreter:?} with one at its end; save it with LF alone"
        ),
        false => format!("needs the interpreter {interpreter}, which the image does not have"),
    }
}

/// Writes a line to a descriptor that somebody may have closed.
pub(super) fn say(to: BorrowedFd<'_>, text: &str) {
    let _ = rustix::io::write(to, format!("imgbuild: {text}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_whose_interpreter_is_missing_is_told_why() {
        for (line, words) in [
            (&b"#!/bin/sh\r\n"[..], "Windows line endings"),
            (b"#!/bin/sh\r", "Windows line endings"),
            (b"#! /usr/bin/python3 -u\n", "needs the interpreter /usr/bin/python3, which"),
            (b"\x7fELF\x02", "dynamic loader"),
            (b"", "dynamic loader"),
        ] {
            let told = without_interpreter(line);
            assert!(told.contains(words), "{told}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), b"#!/bin/sh\r\necho hello\r\n").unwrap();
        assert_eq!(first_line(file.path()), b"#!/bin/sh\r\n");
    }
}
