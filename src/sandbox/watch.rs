//! A step from the start of its first process to the end of its last: the clock, the program's socket, what init says,
//! and the system calls that are answered here.

use std::{
    fs::File,
    io::{self, Read},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::Instant,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    pipe::{PipeFlags, pipe_with},
    process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, set_child_subreaper, waitpid},
    thread::UnshareFlags,
};

use super::{
    Exit, User,
    command::{NotStarted, Outputs, say},
    fakeroot::{self, Notifier},
    fault::Fault,
    ground::Proc,
    init::{self, Report, Step},
    protocol, sys,
    tree::{BareOwners, Owners},
};

/// Starts init and waits until it has ended, by itself or by force. Tells too who owns what can have no attributes.
pub(super) fn watch(step: &Step<'_>, mut outputs: Outputs, socket: &UnixStream) -> Result<Watched, Fault> {
    let own_pids = step.ground.facts.proc == Proc::Own;
    let (from, to) = pipe_with(PipeFlags::CLOEXEC).map_err(Fault::of("make a pipe"))?;
    let (mut from, to) = (File::from(from), File::from(to));
    if own_pids {
        sys::unshare(UnshareFlags::NEWPID).map_err(Fault::of("make a pid namespace"))?;
    } else {
        set_child_subreaper(Some(rustix::process::getpid())).map_err(Fault::of("adopt stray processes"))?;
    }
    let mut calls = Calls::None;
    if step.ground.flavour.owners == Owners::Recorded {
        let (ours, theirs) = UnixStream::pair().map_err(Fault::of("make a socket"))?;
        (calls, outputs.calls) = (Calls::Expected(ours), Some(theirs));
    }
    let init = sys::fork(|| init::run(step, &outputs, &to)).map_err(Fault::of("fork"))?;
    drop(to);
    let Outputs { err, .. } = outputs;

    let deadline = step.execution.limits.timeout.map(|timeout| Instant::now() + timeout);
    let mut said = Reports::default();
    let ending = follow(&mut from, socket, deadline, &mut said, (&mut calls, &step.execution.user));
    if !matches!(ending, Ok(Ending::Init | Ending::Command)) {
        let _ = kill_process(init, Signal::KILL);
    }
    let (pid, mut init) = (init, Init(Some(init)));
    // With a pid namespace, nothing is left of the step when init has told of the end but init itself. It takes the
    // mounts with it, and what the command changed can be read meanwhile.
    let status = match ending {
        Ok(Ending::Command) if own_pids => {
            let _ = kill_process(pid, Signal::KILL);
            None
        }
        _ => init.reap()?,
    };
    if !own_pids {
        init::end_descendants();
    }
    match ending? {
        Ending::Cancelled => Err(Fault::new("", "the step was cancelled")),
        Ending::TimedOut => Ok(Watched { exit: Exit::TimedOut, owners: BareOwners::new(), init }),
        Ending::Init | Ending::Command => {
            let signal = status.and_then(WaitStatus::terminating_signal);
            Ok(Watched { exit: outcome(said.reports, signal, &err)?, owners: calls.into_owners(), init })
        }
    }
}

/// A step whose command has ended.
pub(super) struct Watched {
    pub(super) exit: Exit,
    /// Who owns what can have no attributes.
    pub(super) owners: BareOwners,
    /// Waited for at last.
    pub(super) init: Init,
}

/// The first process of a step, which is waited for once.
pub(super) struct Init(Option<Pid>);

impl Init {
    fn reap(&mut self) -> Result<Option<WaitStatus>, Fault> {
        self.0.take().map(reap).transpose()
    }
}

impl Drop for Init {
    fn drop(&mut self) {
        let _ = self.reap();
    }
}

/// What init and the command have said.
#[derive(Default)]
struct Reports {
    bytes: Vec<u8>,
    reports: Vec<Report>,
}

impl Reports {
    /// Takes in what was read, and tells whether the command has ended.
    fn add(&mut self, bytes: &[u8]) -> Result<bool, Fault> {
        self.bytes.extend_from_slice(bytes);
        while let Some(report) =
            protocol::decode(&mut self.bytes).map_err(Fault::of("hear from the command"))?
        {
            self.reports.push(report);
        }
        Ok(self.reports.iter().any(|report| matches!(report, Report::Ended(_))))
    }
}

/// The command's system calls that are answered here.
enum Calls {
    None,
    /// The descriptor on which they arrive is yet to come.
    Expected(UnixStream),
    Arriving(Box<Notifier>),
    /// Nobody is left to call.
    Ended(BareOwners),
}

impl Calls {
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::None | Self::Ended(_) => None,
            Self::Expected(socket) => Some(socket.as_fd()),
            Self::Arriving(notifier) => Some(notifier.fd()),
        }
    }

    fn handle(&mut self, events: PollFlags, user: &User) {
        match self {
            Self::None | Self::Ended(_) => {}
            Self::Expected(socket) => {
                *self = match fakeroot::receive(socket.as_fd()) {
                    Ok(Some(listener)) => Self::Arriving(Box::new(Notifier::new(listener, user))),
                    // It was not started, and says so elsewhere.
                    Ok(None) | Err(_) => Self::None,
                };
            }
            Self::Arriving(notifier) => {
                if !events.contains(PollFlags::IN) || notifier.handle().is_err() {
                    *self = Self::Ended(std::mem::replace(self, Self::None).into_owners());
                }
            }
        }
    }

    fn into_owners(self) -> BareOwners {
        match self {
            Self::None | Self::Expected(_) => BareOwners::new(),
            Self::Arriving(notifier) => notifier.into_owners(),
            Self::Ended(owners) => owners,
        }
    }
}

/// Why the wait for init is over.
enum Ending {
    /// Init has ended.
    Init,
    /// The command has, and all that it started.
    Command,
    Cancelled,
    TimedOut,
}

/// Gathers what init says until it has ended, the program lets go of the socket, or time is up.
fn follow(
    from: &mut File,
    socket: &UnixStream,
    deadline: Option<Instant>,
    said: &mut Reports,
    (calls, user): (&mut Calls, &User),
) -> Result<Ending, Fault> {
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Ok(Ending::TimedOut);
        }
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        let from_fd = from.as_fd();
        let mut polled =
            vec![PollFd::new(&from_fd, PollFlags::IN), PollFd::new(socket, PollFlags::IN | PollFlags::RDHUP)];
        polled.extend(calls.fd().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Fault::of("wait for the command")(error)),
        }
        let events: Vec<PollFlags> = polled.iter().map(PollFd::revents).collect();
        // The program says nothing while a command runs: this is its end.
        if !events[1].is_empty() {
            return Ok(Ending::Cancelled);
        }
        if let Some(events) = events.get(2).filter(|events| !events.is_empty()) {
            calls.handle(*events, user);
        }
        if !events[0].is_empty() {
            let mut bytes = [0; 4096];
            match from.read(&mut bytes) {
                Ok(0) => return Ok(Ending::Init),
                Ok(count) if said.add(&bytes[..count])? => return Ok(Ending::Command),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Fault::of("hear from the command")(error)),
            }
        }
    }
}

fn reap(init: Pid) -> Result<WaitStatus, Fault> {
    loop {
        match waitpid(Some(init), WaitOptions::empty()) {
            Ok(Some((_, status))) => return Ok(status),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Fault::of("wait for the step")(error)),
        }
    }
}

fn outcome(said: Vec<Report>, init: Option<i32>, err: &OwnedFd) -> Result<Exit, Fault> {
    let mut exit = None;
    for report in said {
        match report {
            Report::NotStarted(NotStarted::Fault(fault)) => return Err(fault),
            Report::NotStarted(NotStarted::Status(status, text)) => {
                say(err.as_fd(), &text);
                return Ok(Exit::Code(status));
            }
            Report::Ended(status) => exit = Some(exit_of(status)),
        }
    }
    match (exit, init) {
        (Some(exit), _) => Ok(exit),
        // Somebody outside killed the whole step.
        (None, Some(signal)) => Ok(Exit::Signal(signal)),
        (None, None) => Err(Fault::new("run the step", "its first process ended without a word")),
    }
}

/// A status as `wait` has it (wait(2)): the lowest seven bits are the signal, the next byte is the code.
fn exit_of(status: i32) -> Exit {
    match status & 0x7f {
        0 => Exit::Code(status >> 8 & 0xff),
        signal => Exit::Signal(signal),
    }
}
