//! Programs that are run to see whether they do: they have some seconds, and are then ended.

use std::{
    io::{self, Read},
    os::{fd::AsFd, unix::process::CommandExt},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::{
    fs::{OFlags, fcntl_setfl},
    io::Errno,
    process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid},
};

/// How long such a program may take: they take milliseconds, and more on a machine that does much else.
pub(super) const LIMIT: Duration = Duration::from_secs(5);
/// How much of what it says is read.
const READ: usize = 4096;
/// The longest pause between two looks at it.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs a program that must end with status 0, and gives the beginning of what it wrote.
pub(super) fn run(command: &mut Command, limit: Duration) -> io::Result<Vec<u8>> {
    let (mut said, out) = io::pipe()?;
    // A group of its own, so that what it started ends with it. What it writes beyond a pipe's size stops it.
    let mut child = command.stdout(out).stderr(Stdio::null()).process_group(0).spawn()?;
    let id = Pid::from_child(&child);
    let ended = wait(id, limit);
    // Nobody else gets its number until it is reaped. Where it is no child any more, somebody else has done that.
    if ended != Err(Errno::CHILD) {
        let _ = kill_process_group(id, Signal::KILL);
    }
    let status = child.wait()?;
    if !ended? {
        return Err(io::Error::other(format!("it did not end within {} s", limit.as_secs_f32())));
    }
    if !status.success() {
        return Err(io::Error::other(format!("it ended with {status}")));
    }
    // Nobody waits for what others, who still have the pipe, may write.
    fcntl_setfl(said.as_fd(), OFlags::NONBLOCK)?;
    let mut bytes = vec![0; READ];
    let count = match said.read(&mut bytes) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        count => count?,
    };
    bytes.truncate(count);
    Ok(bytes)
}

/// Waits for the end of a child, and leaves it to be reaped. Whether it ended in time.
///
/// Looks again and again: a descriptor that tells of the end of a process is not everywhere to be had, and a thread that
/// waits is not for processes that fork.
fn wait(child: Pid, limit: Duration) -> Result<bool, Errno> {
    let begun = Instant::now();
    let mut pause = Duration::from_micros(100);
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    while waitid(WaitId::Pid(child), options)?.is_none() {
        if begun.elapsed() >= limit {
            return Ok(false);
        }
        sleep(pause);
        pause = (pause * 2).min(PAUSE);
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hangs() {
        let shell = |script: &str, limit| run(Command::new("/bin/sh").args(["-c", script]), limit);
        let short = Duration::from_millis(50);
        assert_eq!(shell("echo one; echo two >&2", LIMIT).unwrap(), b"one\n");
        assert_eq!(shell("exit 3", LIMIT).unwrap_err().to_string(), "it ended with exit status: 3");
        // It sleeps; it has closed its output, too; it writes for ever; another writes when it has ended.
        for script in ["sleep 1000", "exec >&-; sleep 1000", "while :; do echo x; done"] {
            let error = shell(script, short).unwrap_err().to_string();
            assert_eq!(error, "it did not end within 0.05 s", "{script}");
        }
        assert_eq!(shell("{ sleep 2; echo late; } & exit 0", LIMIT).unwrap(), b"");
    }

    #[test]
    fn what_a_program_started_ends_with_it() {
        for (status, limit) in [("exit 0", LIMIT), ("exit 3", LIMIT), ("wait", Duration::from_millis(50))] {
            let (mut said, out) = io::pipe().unwrap();
            let script = format!("exec 3>&0; {{ sleep 1; echo late >&3; }} & {status}");
            let result = run(Command::new("/bin/sh").args(["-c", &script]).stdin(out), limit);
            assert_eq!(result.is_ok(), status == "exit 0", "{result:?}");
            // Its end is when nobody has the pipe any more.
            let mut late = String::new();
            said.read_to_string(&mut late).unwrap();
            assert_eq!(late, "", "{status}");
        }
    }
}
