//! The process that all steps are forked from: it has one thread and little memory, so that forks are cheap and safe, and
//! stands in the user namespace, if the rung has one.

use std::{io, os::unix::net::UnixStream, process::ExitCode};

use rustix::{
    fs::{Mode as FileMode, OFlags},
    process::{WaitOptions, chdir, setsid, wait},
    stdio::{dup2_stdin, stdin},
};

use super::{
    confinement,
    ground::Ground,
    pages, probe,
    protocol::{self, Descriptors, Hello, Welcome},
    supervisor, sys, userns,
};

/// Runs a worker: the whole life of the process, whose standard input is the socket to the program that started it.
pub fn work() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        // The other side has ended, or sees that this one does.
        Err(_) => ExitCode::from(crate::error::Kind::Host.exit_code()),
    }
}

fn serve() -> io::Result<()> {
    sys::close_from(3);
    pages::keep_pages_small();
    let socket = rustix::io::fcntl_dupfd_cloexec(stdin(), 3)?;
    let null = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, FileMode::empty())?;
    dup2_stdin(null)?;
    // Signals from the terminal are for the program, which ends steps properly.
    let _ = setsid();
    chdir("/")?;
    rustix::process::umask(FileMode::from_raw_mode(0o022));
    let mut socket = UnixStream::from(socket);
    let Some(hello) = protocol::receive::<Hello>(&mut socket)? else { return Ok(()) };
    pages::inherited(hello.small_pages);
    let mut welcome = probe::examine(&hello);
    if let (Some(ground), false) = (&welcome.ground, hello.examine)
        && let Err(fault) = userns::enter(&ground.map)
    {
        probe::disappoint(&mut welcome, fault);
    }
    protocol::send(&mut socket, &welcome)?;
    let Welcome { ground: Some(ground), .. } = welcome else { return Ok(()) };
    if hello.examine {
        return Ok(());
    }
    confinement::prepare(ground.mode);
    std::fs::create_dir_all(supervisor::stage(&hello.scratch))?;
    let mut socket = Some(socket);
    sys::fork(|| {
        drop(socket.take());
        supervisor::sweep(&hello.scratch)
    })?;
    while let Some(open) = &socket
        && let Some(descriptors) = protocol::receive_descriptors(open)?
    {
        // Where no process can be had, this job fails, whose socket closes; a later one may do better.
        let _ = start(&ground, &hello, &mut socket, descriptors);
        // What has ended meanwhile is reaped: there is no better time for it, and it costs nothing to wait.
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
    }
    Ok(())
}

fn start(
    ground: &Ground,
    hello: &Hello,
    socket: &mut Option<UnixStream>,
    descriptors: Descriptors,
) -> io::Result<()> {
    sys::fork(|| {
        // The child's copy of it: the worker's end is to be seen when the worker ends.
        drop(socket.take());
        supervisor::serve(ground, &hello.scratch, descriptors)
    })?;
    Ok(())
}
