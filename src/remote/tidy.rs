//! A checkout as everybody's git would have made it.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::RemoteError;

/// Gives files and directories the modes that git knows, whatever the umask was, and removes `.git` wherever it is:
/// git takes in nothing of that name, so that all of them are its own.
pub(super) fn tidy(folder: &Path, keep_git_dir: bool) -> Result<(), RemoteError> {
    let listing = fs::read_dir(folder).map_err(RemoteError::io("read", folder))?;
    for entry in listing {
        let entry = entry.map_err(RemoteError::io("read", folder))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(RemoteError::io("look at", &path))?;
        if entry.file_name() == ".git" && !keep_git_dir {
            let removed = if kind.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(RemoteError::io("remove", &path))?;
            continue;
        }
        if kind.is_dir() {
            tidy(&path, keep_git_dir)?;
        } else if kind.is_file() {
            let mode = entry.metadata().map_err(RemoteError::io("look at", &path))?.permissions().mode();
            let mode = if mode & 0o100 != 0 { 0o755 } else { 0o644 };
            set_mode(&path, mode)?;
        }
    }
    set_mode(folder, 0o755)
}

fn set_mode(path: &Path, mode: u32) -> Result<(), RemoteError> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(RemoteError::io("set the mode of", path))
}
