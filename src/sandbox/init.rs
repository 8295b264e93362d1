//! The first process of a step: builds the root, starts the command, waits for it, and takes everything that it left
//! running with it when it ends.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
};

use rustix::{
    process::{Pid, Signal, WaitOptions, getpid, kill_process, set_parent_process_death_signal, wait},
    stdio::{dup2_stderr, dup2_stdout},
    thread::UnshareFlags,
};
use serde::{Deserialize, Serialize};

use super::{
    Execution, Mode,
    cgroup::Cgroup,
    chroot,
    command::{self, NotStarted, Outputs},
    confinement::Confinement,
    emulator::Opened,
    fakeroot,
    fault::Fault,
    ground::{Ground, Proc},
    inside::MountPoints,
    protocol,
    root::{self, Places},
    sys,
};

/// What init and the command tell the supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// The command could not be started.
    NotStarted(NotStarted),
    /// The command has ended, with this status as `wait` has it.
    Ended(i32),
}

/// What a step runs on.
#[derive(Debug)]
pub(super) struct Step<'a> {
    pub(super) ground: &'a Ground,
    pub(super) execution: &'a Execution,
    pub(super) places: Places<'a>,
    pub(super) confinement: &'a Confinement,
    /// What runs its programs, where the processor does not.
    pub(super) emulator: Option<&'a Opened>,
    /// Files that are locked as long as a process of the step lives.
    pub(super) locks: &'a [OwnedFd],
    /// Limits for all processes together, where they can be had.
    pub(super) cgroup: Option<&'a Cgroup>,
}

/// Runs the command to its end. Its outcome goes to `reports`.
pub(super) fn run(step: &Step<'_>, outputs: &Outputs, mut reports: &File) -> u8 {
    let report = match run_command(step, outputs, reports) {
        Ok(status) => Report::Ended(status),
        Err(fault) => Report::NotStarted(fault.into()),
    };
    u8::from(protocol::send(&mut reports, &report).is_err())
}

fn run_command(step: &Step<'_>, outputs: &Outputs, mut reports: &File) -> Result<i32, Fault> {
    // The supervisor has one thread, so this fires only when it ends as a whole.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(Fault::of("watch the supervisor"))?;
    if let Some(cgroup) = step.cgroup {
        cgroup.join()?;
    }
    keep_only(step, outputs, reports).map_err(Fault::of("let go of what the supervisor has open"))?;
    let points = match step.ground.mode {
        Mode::Chroot => chroot::enter(step.places.upper).map(|()| MountPoints::default()),
        Mode::Root | Mode::UserNamespace | Mode::SingleId => enter(step),
    }?;
    let workdir = command::make_workdir(step.execution)?;
    let (ours, theirs) = UnixStream::pair().map_err(Fault::of("make a socket"))?;
    let child = sys::fork_to_exec(|| {
        let not_started = command::start(step, outputs, workdir.as_fd(), &theirs);
        u8::from(protocol::send(&mut reports, &Report::NotStarted(not_started)).is_err())
    })
    .map_err(Fault::of("fork"))?;
    drop(theirs);
    // The kernel knows the emulator as long as somebody holds this, and the command cannot be trusted to.
    let registration = match step.emulator {
        Some(_) => fakeroot::receive(ours.as_fd()).map_err(Fault::of("hold on to the emulator"))?,
        None => None,
    };
    let status = wait_for(child)?;
    end_strays(step.ground);
    drop(registration);
    points.remove();
    Ok(status)
}

/// Lets go of all else that is open: a directory of the host among it would be a way out of the root.
fn keep_only(step: &Step<'_>, outputs: &Outputs, reports: &File) -> io::Result<()> {
    // What a panic says is seen in the step's output.
    dup2_stdout(&outputs.err)?;
    dup2_stderr(&outputs.err)?;
    let mut kept = vec![outputs.out.as_fd(), outputs.err.as_fd(), reports.as_fd()];
    kept.extend(outputs.calls.as_ref().map(AsFd::as_fd));
    kept.extend(step.emulator.map(|emulator| emulator.file.as_fd()));
    kept.extend(step.locks.iter().map(AsFd::as_fd));
    sys::close_all_but(&kept);
    Ok(())
}

fn enter(step: &Step<'_>) -> Result<MountPoints, Fault> {
    let mut flags = UnshareFlags::NEWNS | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    let own_network = root::own_network(step.ground, step.execution.network);
    if own_network {
        flags |= UnshareFlags::NEWNET;
    }
    sys::unshare(flags).map_err(Fault::of("make namespaces"))?;
    rustix::system::sethostname(root::HOSTNAME.as_bytes()).map_err(Fault::of("set the host name"))?;
    if own_network {
        sys::loopback_up().map_err(Fault::of("switch the loopback interface on"))?;
        if step.emulator.is_some() {
            // In the user namespace with the emulator in it, root is nobody to this network. Where settings of the kernel
            // cannot be written, the first ports are as far away as those of the host's network.
            let _ = std::fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
        }
    }
    root::enter(step.ground, step.execution, &step.places)
}

/// Reaps whatever ends until the command has.
fn wait_for(command: Pid) -> Result<i32, Fault> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == command => return Ok(status.as_raw()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Fault::of("wait for the command")(error)),
        }
    }
}

/// Kills all processes that the command left, and waits until they are gone.
fn end_strays(ground: &Ground) {
    if ground.facts.proc != Proc::Own || !getpid().is_init() {
        return;
    }
    // The first process of a pid namespace reaches with this all others of it, and nothing else.
    let _ = sys::kill_all_others();
    while wait(WaitOptions::empty()).is_ok() {}
}

/// Kills the descendants of this process, which must be a subreaper, where no pid namespace does that.
pub(super) fn end_descendants() {
    loop {
        let mut found = false;
        for pid in children() {
            found = true;
            let _ = kill_process(pid, Signal::KILL);
        }
        // What was killed is reaped; what it leaves is this process's child then.
        if !found || wait(WaitOptions::empty()).is_err() {
            return;
        }
    }
}

fn children() -> Vec<Pid> {
    let list = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    let text =
        list(Path::new("/proc/self/task").join(getpid().as_raw_pid().to_string()).join("children").as_path());
    text.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
}
