//! The program's side: starting a worker, and giving it jobs.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream as Socket,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use rustix::pipe::{PipeFlags, pipe_with};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixStream, unix::pipe::Receiver},
};

use super::{
    Captured, Emulator, Execution, Exit, Fault, Mode, SandboxError, Stream,
    ground::Ground,
    pages,
    probe::Examined,
    protocol::{self, Done, Hello, Job, List, Reply, Unpack, Welcome},
};
use crate::layer::Entry;

/// The argument that makes the program a worker: see [`super::work`].
pub const WORKER: &str = "sandbox-worker";

/// How to get a sandbox.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The rung; the best one that the host allows if not given.
    pub mode: Option<Mode>,
    /// A directory on the file system where trees are, for what a step needs while it runs. It is made if missing.
    pub scratch: PathBuf,
    /// The program that [`WORKER`] makes a worker; this one if not given.
    pub program: Option<PathBuf>,
}

/// A worker, ready for steps. Clones share it. It ends with the last of them, and with this process.
#[derive(Debug, Clone)]
pub struct Sandbox(Arc<Worker>);

#[derive(Debug)]
struct Worker {
    socket: Mutex<Socket>,
    child: Mutex<Child>,
    ground: Ground,
    notes: Vec<String>,
    no_emulation: Option<Fault>,
    /// Emulators that were read into memory, where all steps find them.
    emulators: Mutex<BTreeMap<Emulator, Arc<File>>>,
}

/// How a command ended, and what it changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// How it ended.
    pub exit: Exit,
    /// What it changed: only of a command that ended with status 0.
    pub captured: Option<Captured>,
    /// What could not be done as it was asked for.
    pub warnings: Vec<String>,
}

impl Sandbox {
    /// Starts a worker on the best rung that the host allows, or on the one that is asked for.
    ///
    /// # Errors
    /// [`SandboxError::Refused`] if there is none.
    pub async fn start(settings: &Settings) -> Result<Self, SandboxError> {
        let (child, socket, welcome) = hello(settings, false).await?;
        let Welcome { examined, ground: Some(ground) } = welcome else {
            reap(child);
            return Err(SandboxError::Refused { tried: welcome.examined });
        };
        let rung = examined.last();
        let notes = rung.map(|rung| rung.notes.clone()).unwrap_or_default();
        let no_emulation = rung.and_then(|rung| rung.no_emulation.clone());
        let (socket, child) = (Mutex::new(socket), Mutex::new(child));
        let emulators = Mutex::default();
        Ok(Self(Arc::new(Worker { socket, child, ground, notes, no_emulation, emulators })))
    }

    /// Tries all rungs, best first, and tells what came of it.
    ///
    /// # Errors
    /// If no worker could be started.
    pub async fn examine(settings: &Settings) -> Result<Vec<Examined>, SandboxError> {
        let (child, _, welcome) = hello(settings, true).await?;
        reap(child);
        Ok(welcome.examined)
    }

    /// The rung.
    pub fn mode(&self) -> Mode {
        self.0.ground.mode
    }

    /// What this rung lacks here.
    pub fn notes(&self) -> &[String] {
        &self.0.notes
    }

    /// Why steps cannot have emulators of their own, if they cannot. The host may still run programs of other platforms.
    pub fn no_emulation(&self) -> Option<&Fault> {
        self.0.no_emulation.as_ref()
    }

    /// A short name, fit for a directory: trees that were made by a sandbox of another name must not be used.
    pub fn flavour(&self) -> String {
        self.0.ground.name()
    }

    /// Runs a command. What it writes is given to `output` as it comes, in pieces of any size. Dropping the future kills
    /// it with all that it started.
    ///
    /// # Errors
    /// If it could not be run at all. That it failed is told by [`Ran::exit`].
    pub async fn run(
        &self,
        execution: &Execution,
        mut output: impl FnMut(Stream, &[u8]) + Send,
    ) -> Result<Ran, SandboxError> {
        let job = Job::Run(Box::new(execution.clone()));
        let emulator = match protocol::emulator(execution, &self.0.ground) {
            Some(emulator) => Some(self.emulator(emulator).await?),
            None => None,
        };
        let kept: Vec<_> = emulator.into_iter().chain(execution.locks.iter().cloned()).collect();
        let done = self.job(&job, &kept, &mut output).await?;
        Ok(Ran { exit: done.exit, captured: done.captured, warnings: done.warnings })
    }

    /// An emulator in memory: read once, and written to by nobody.
    async fn emulator(&self, emulator: &Emulator) -> Result<Arc<File>, SandboxError> {
        let known = || self.0.emulators.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = known().get(emulator) {
            return Ok(file.clone());
        }
        let wanted = emulator.clone();
        let read = tokio::task::spawn_blocking(move || wanted.open()).await;
        let opened = read.map_err(|error| SandboxError::Start(io::Error::other(error)))?;
        let file = Arc::new(File::from(opened.map_err(SandboxError::Step)?.file));
        known().insert(emulator.clone(), file.clone());
        Ok(file)
    }

    /// Unpacks a layer's entries into `dir`, a new directory, that will lie on `lowers`, lowest first. Returns what had to
    /// be left out.
    ///
    /// # Errors
    /// Entries that no tree can have; what the file system refuses.
    pub async fn unpack(
        &self,
        entries: Vec<Entry>,
        dir: &Path,
        lowers: &[PathBuf],
    ) -> Result<Vec<String>, SandboxError> {
        let (dir, lowers, flavour) = (dir.to_owned(), lowers.to_owned(), self.0.ground.flavour);
        let job = Job::Unpack(Unpack { entries, dir, lowers, flavour });
        Ok(self.job(&job, &[], &mut |_, _| {}).await?.warnings)
    }

    /// Gives a tree its final name, where only root of the sandbox may do so. Where there is one with this name, it
    /// stays, and this one goes.
    ///
    /// # Errors
    /// What the file system refuses.
    pub async fn settle(&self, from: &Path, to: &Path) -> Result<(), SandboxError> {
        self.job(&Job::Settle(from.to_owned(), to.to_owned()), &[], &mut |_, _| {}).await.map(drop)
    }

    /// Removes a tree: its files may belong to ids that only the sandbox has. It is well to rename it first, and not to
    /// wait for this.
    ///
    /// # Errors
    /// What the file system refuses.
    pub async fn remove(&self, path: &Path) -> Result<(), SandboxError> {
        self.job(&Job::Remove(path.to_owned()), &[], &mut |_, _| {}).await.map(drop)
    }

    /// What a directory that steps write to holds, as a layer of its own would have it, with what had to be left out.
    /// `owner` has what nobody has recorded an owner of.
    ///
    /// # Errors
    /// A directory that cannot be read.
    pub async fn list(
        &self,
        dir: &Path,
        owner: (u32, u32),
    ) -> Result<(Vec<Entry>, Vec<String>), SandboxError> {
        let job = Job::List(List { dir: dir.to_owned(), owner, flavour: self.0.ground.flavour });
        let done = self.job(&job, &[], &mut |_, _| {}).await?;
        Ok((done.entries, done.warnings))
    }

    /// Writes entries that [`Self::list`] told of as a tar to `out`, a new file.
    ///
    /// # Errors
    /// A file that has changed since; what the file system refuses.
    pub async fn pack(&self, entries: Vec<Entry>, out: &Path) -> Result<Captured, SandboxError> {
        let done = self.job(&Job::Pack(entries, out.to_owned()), &[], &mut |_, _| {}).await?;
        done.captured.ok_or(SandboxError::Ended)
    }

    async fn job(
        &self,
        job: &Job,
        kept: &[Arc<File>],
        output: &mut (dyn FnMut(Stream, &[u8]) + Send),
    ) -> Result<Done, SandboxError> {
        let message = protocol::encode(job).map_err(SandboxError::Talk)?;
        let (socket, mut outputs) = self.begin(kept)?;
        let mut socket = UnixStream::from_std(socket).map_err(SandboxError::Talk)?;
        socket.write_all(&message).await.map_err(|_| SandboxError::Ended)?;
        let mut said = Vec::new();
        loop {
            tokio::select! {
                read = outputs.read() => {
                    output(read.0, outputs.bytes(read));
                    // Tokio lets a task that always has something to read go on for megabytes: for half a minute of
                    // short lines, and as long it would not be cancelled.
                    tokio::task::yield_now().await;
                }
                read = socket.read_buf(&mut said) => {
                    match read {
                        Ok(1..) => {}
                        Ok(0) => return Err(SandboxError::Ended),
                        // It ended before it had read the job.
                        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                            return Err(SandboxError::Ended);
                        }
                        Err(error) => return Err(SandboxError::Talk(error)),
                    }
                    while let Some(reply) = protocol::decode(&mut said).map_err(SandboxError::Talk)? {
                        // All that the command wrote is in the pipes by now. What strays hold open is not waited for.
                        outputs.drain(output);
                        match reply {
                            Reply::Ended => {}
                            Reply::Done(done) => return done.map_err(SandboxError::Step),
                        }
                    }
                }
            }
        }
    }

    /// Makes the worker fork a process for a job.
    fn begin(&self, kept: &[Arc<File>]) -> Result<(Socket, Outputs), SandboxError> {
        let (ours, theirs) = Socket::pair().map_err(SandboxError::Talk)?;
        ours.set_nonblocking(true).map_err(SandboxError::Talk)?;
        let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(|error| SandboxError::Talk(error.into()));
        let ((out, their_out), (err, their_err)) = (pipe()?, pipe()?);
        let socket = self.0.socket.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = distinct(kept)?;
        let kept = kept.iter().map(|file| file.as_fd());
        let descriptors: Vec<_> =
            [theirs.as_fd(), their_out.as_fd(), their_err.as_fd()].into_iter().chain(kept).collect();
        protocol::send_descriptors(&*socket, &descriptors).map_err(|_| SandboxError::Ended)?;
        Ok((ours, Outputs::new(out, err).map_err(SandboxError::Talk)?))
    }
}

/// Each open file once. An error if there are more than a message can hold.
fn distinct(locks: &[Arc<File>]) -> Result<Vec<&Arc<File>>, SandboxError> {
    let mut kept: Vec<&Arc<File>> = Vec::with_capacity(locks.len());
    for lock in locks {
        if !kept.iter().any(|known| Arc::ptr_eq(known, lock)) {
            kept.push(lock);
        }
    }
    if kept.len() <= protocol::LOCKS {
        return Ok(kept);
    }
    let reason = format!("{} caches; {} are the most", kept.len(), protocol::LOCKS);
    let fault = Fault::new("mount so many caches for one command", reason);
    Err(SandboxError::Step(fault.hint("let several paths share a cache, or split the command")))
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The worker ends when nobody holds the socket any more, and so do steps when their own are gone.
        let socket = self.socket.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = socket.shutdown(std::net::Shutdown::Both);
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = child.wait();
    }
}

fn reap(mut child: Child) {
    // It has said what it had to say and ends.
    let _ = child.wait();
}

async fn hello(settings: &Settings, examine: bool) -> Result<(Child, Socket, Welcome), SandboxError> {
    let program = match &settings.program {
        Some(program) => program.clone(),
        None => PathBuf::from("/proc/self/exe"),
    };
    let scratch = std::path::absolute(&settings.scratch).map_err(SandboxError::Start)?;
    let hello = Hello { mode: settings.mode, scratch, examine, small_pages: pages::switched_off() };
    let started = tokio::task::spawn_blocking(move || {
        let (mut ours, theirs) = Socket::pair()?;
        // What the environment tells, credentials and secrets among it, is nothing that the processes of steps should
        // have in theirs: a privileged command can read it. `PATH` is for the programs that map ids.
        let child = Command::new(program)
            .arg(WORKER)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .spawn()?;
        protocol::send(&mut ours, &hello)?;
        let welcome = protocol::receive::<Welcome>(&mut ours)?;
        Ok::<_, io::Error>((child, ours, welcome))
    });
    let started = started.await.map_err(|error| SandboxError::Start(io::Error::other(error)))?;
    match started.map_err(SandboxError::Start)? {
        (child, socket, Some(welcome)) => Ok((child, socket, welcome)),
        (child, _, None) => {
            reap(child);
            Err(SandboxError::Ended)
        }
    }
}

/// A command's standard output and standard error, as they come.
struct Outputs {
    out: Option<Receiver>,
    err: Option<Receiver>,
    out_bytes: Box<[u8]>,
    err_bytes: Box<[u8]>,
}

/// How much is read of a pipe at a time: all that it holds.
const PIECE: usize = 64 << 10;

impl Outputs {
    fn new(out: OwnedFd, err: OwnedFd) -> io::Result<Self> {
        let bytes = || vec![0; PIECE].into_boxed_slice();
        Ok(Self {
            out: Some(Receiver::from_owned_fd(out)?),
            err: Some(Receiver::from_owned_fd(err)?),
            out_bytes: bytes(),
            err_bytes: bytes(),
        })
    }

    /// Waits for bytes, and tells of which stream and how many; for ever once both streams have ended.
    async fn read(&mut self) -> (Stream, usize) {
        loop {
            let (stream, count) = tokio::select! {
                count = read(&mut self.out, &mut self.out_bytes) => (Stream::Stdout, count),
                count = read(&mut self.err, &mut self.err_bytes) => (Stream::Stderr, count),
            };
            match (stream, count) {
                (_, count @ 1..) => return (stream, count),
                (Stream::Stdout, 0) => self.out = None,
                (Stream::Stderr, 0) => self.err = None,
            }
        }
    }

    /// The bytes that [`Self::read`] told of.
    fn bytes(&self, (stream, count): (Stream, usize)) -> &[u8] {
        match stream {
            Stream::Stdout => &self.out_bytes[..count],
            Stream::Stderr => &self.err_bytes[..count],
        }
    }

    /// Gives away what is there now.
    fn drain(&mut self, output: &mut (dyn FnMut(Stream, &[u8]) + Send)) {
        let streams = [
            (Stream::Stdout, &self.out, &mut self.out_bytes),
            (Stream::Stderr, &self.err, &mut self.err_bytes),
        ];
        for (stream, pipe, bytes) in streams {
            let Some(pipe) = pipe else { continue };
            // A reader of tokio's would not see what came since it last looked.
            while let Ok(count @ 1..) = rustix::io::read(pipe, &mut **bytes) {
                output(stream, &bytes[..count]);
            }
        }
    }
}

/// Reads from a pipe; a failure is its end.
async fn read(pipe: &mut Option<Receiver>, bytes: &mut [u8]) -> usize {
    match pipe {
        Some(pipe) => pipe.read(bytes).await.unwrap_or(0),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lock_counts_once_and_none_is_left_out() {
        let lock = || Arc::new(tempfile::tempfile().unwrap());
        let mut locks: Vec<_> = (0..protocol::LOCKS).map(|_| lock()).collect();
        locks.push(Arc::clone(&locks[0]));
        assert_eq!(distinct(&locks).unwrap().len(), protocol::LOCKS);
        locks.push(lock());
        let error = distinct(&locks).unwrap_err().to_string();
        assert!(error.contains("65 caches; 64 are the most"), "{error}");
    }
}
