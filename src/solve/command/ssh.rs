//! The user's SSH agents, lent to a command.

use std::{
    fs,
    os::{
        fd::AsRawFd,
        unix::fs::{DirBuilderExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use tokio::{
    io::copy_bidirectional,
    net::{UnixListener, UnixStream},
    task::JoinHandle,
};

use super::super::StepError;
use crate::store::{Store, StoreError};

/// A socket that stands for an agent as long as this lives. The agent's own socket is not mounted: it is its owner's
/// alone, and a command may have another id.
#[derive(Debug)]
pub(super) struct Lent {
    /// The socket to mount.
    pub(super) socket: PathBuf,
    folder: PathBuf,
    task: JoinHandle<()>,
}

/// Lends the agent at `agent`.
pub(super) fn lend(store: &Store, agent: &Path) -> Result<Lent, StepError> {
    let folder = store.temporary_path();
    // Nobody gets at the socket but through the mount.
    let private = fs::DirBuilder::new().mode(0o700).create(&folder);
    private.map_err(StoreError::io("create", &folder))?;
    let socket = folder.join("s");
    // An address has room for 107 bytes, and the store may lie deeper.
    let opened = fs::File::open(&folder).map_err(StoreError::io("open", &folder))?;
    let short = format!("/proc/self/fd/{}/s", opened.as_raw_fd());
    let listener = UnixListener::bind(short).map_err(StoreError::io("listen at", &socket))?;
    let open = fs::Permissions::from_mode(0o666);
    fs::set_permissions(&socket, open).map_err(StoreError::io("set the mode of", &socket))?;
    let agent = agent.to_owned();
    let task = tokio::spawn(async move {
        // Either side's end ends a connection; an agent that is gone is what the command is told.
        while let Ok((mut from, _)) = listener.accept().await {
            let agent = agent.clone();
            tokio::spawn(async move {
                if let Ok(mut to) = UnixStream::connect(&agent).await {
                    let _ = copy_bidirectional(&mut from, &mut to).await;
                }
            });
        }
    });
    Ok(Lent { socket, folder, task })
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.task.abort();
        // What cannot be removed goes with the process's folder.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
