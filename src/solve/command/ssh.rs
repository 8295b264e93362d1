//! The user's SSH agents, lent to a command.

use std::{
    fs, io,
    os::{fd::AsRawFd, unix::fs::DirBuilderExt},
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::{Stream, StreamExt, stream};
use rustix::io::Errno;
use tokio::{
    io::copy_bidirectional,
    net::{UnixListener, UnixStream},
    task::JoinHandle,
};

use super::super::StepError;
use crate::{
    event::Sink,
    store::{Store, StoreError},
};

/// A socket that stands for an agent as long as this lives. The agent's own socket is not mounted: it is its owner's
/// alone, and a command may have another id.
#[derive(Debug)]
pub(super) struct Lent {
    /// The socket to mount.
    pub(super) socket: PathBuf,
    folder: PathBuf,
    task: JoinHandle<()>,
}

/// Lends the agent at `agent`. The sandbox gives the socket its mode and owner.
pub(super) fn lend(store: &Store, agent: &Path, sink: Sink) -> Result<Lent, StepError> {
    let folder = store.temporary_path();
    // Nobody gets at the socket but through the mount.
    let private = fs::DirBuilder::new().mode(0o700).create(&folder);
    private.map_err(StoreError::io("create", &folder))?;
    let socket = folder.join("s");
    // An address has room for 107 bytes, and the store may lie deeper.
    let opened = fs::File::open(&folder).map_err(StoreError::io("open", &folder))?;
    let short = format!("/proc/self/fd/{}/s", opened.as_raw_fd());
    let listener = UnixListener::bind(short).map_err(StoreError::io("listen at", &socket))?;
    let agent = agent.to_owned();
    let task = tokio::spawn(async move {
        let accept =
            stream::poll_fn(|context| listener.poll_accept(context).map_ok(|(peer, _)| peer).map(Some));
        serve(accept, agent, sink).await;
    });
    Ok(Lent { socket, folder, task })
}

/// Hands on connections to the agent as long as there can be any.
async fn serve(mut peers: impl Stream<Item = io::Result<UnixStream>> + Unpin, agent: PathBuf, sink: Sink) {
    while let Some(peer) = peers.next().await {
        match peer {
            Ok(from) => {
                let (agent, sink) = (agent.clone(), sink.clone());
                tokio::spawn(async move { connect(from, &agent, &sink).await });
            }
            Err(error) => match after(&error) {
                After::GoOn => {}
                After::Pause => tokio::time::sleep(PAUSE).await,
                After::Stop => {
                    sink.warn(format!("the SSH agent is lent to a command no longer: {error}"));
                    return;
                }
            },
        }
    }
}

/// Either side's end ends a connection.
async fn connect(mut from: UnixStream, agent: &Path, sink: &Sink) {
    match UnixStream::connect(agent).await {
        // What goes wrong from here on is for the two to tell.
        Ok(mut to) => drop(copy_bidirectional(&mut from, &mut to).await),
        Err(error) => sink.warn(format!("failed to reach the SSH agent at {}: {error}", agent.display())),
    }
}

/// What to do when a connection could not be accepted.
#[derive(Debug, PartialEq, Eq)]
enum After {
    GoOn,
    /// Something is used up that others may give back.
    Pause,
    Stop,
}

const PAUSE: Duration = Duration::from_millis(50);

/// The errors of `accept(2)` that concern one connection, or this moment.
fn after(error: &io::Error) -> After {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::CONNABORTED | Errno::INTR | Errno::AGAIN | Errno::PROTO | Errno::PERM) => After::GoOn,
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => After::Pause,
        _ => After::Stop,
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.task.abort();
        // What cannot be removed goes with the process's folder.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::event::Event;

    #[tokio::test]
    async fn one_connection_that_fails_is_not_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let agent = folder.path().join("agent");
        let listener = UnixListener::bind(&agent).unwrap();
        let (mut command, theirs) = UnixStream::pair().unwrap();
        let failure = |errno: Errno| Err(io::Error::from(errno));
        let coming = [
            failure(Errno::CONNABORTED),
            failure(Errno::MFILE),
            failure(Errno::NOMEM),
            Ok(theirs),
            failure(Errno::BADF),
            failure(Errno::MFILE),
        ];
        let told = Arc::new(Mutex::new(Vec::new()));
        let words = Arc::clone(&told);
        let sink = Sink::new(move |event| {
            if let Event::Warning { message, .. } = event {
                words.lock().unwrap().push(message);
            }
        });
        let served = tokio::spawn(serve(stream::iter(coming), agent.clone(), sink.clone()));
        command.write_all(b"hello").await.unwrap();
        let (mut asked, _) = listener.accept().await.unwrap();
        let mut said = [0; 5];
        asked.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"hello");
        served.await.unwrap();
        assert_eq!(
            *told.lock().unwrap(),
            ["the SSH agent is lent to a command no longer: Bad file descriptor (os error 9)"]
        );
        fs::remove_file(&agent).unwrap();
        connect(UnixStream::pair().unwrap().0, &agent, &sink).await;
        let told = told.lock().unwrap();
        assert!(told[1].starts_with("failed to reach the SSH agent at /"), "{told:?}");
    }

    #[test]
    fn errors_of_the_moment_are_told_from_others() {
        for (errno, expected) in [
            (Errno::CONNABORTED, After::GoOn),
            (Errno::INTR, After::GoOn),
            (Errno::MFILE, After::Pause),
            (Errno::NFILE, After::Pause),
            (Errno::INVAL, After::Stop),
        ] {
            assert_eq!(after(&io::Error::from(errno)), expected, "{errno}");
        }
    }
}
