//! Trees to where they stay.

use std::{fs, io, path::Path};

use super::{error::TreeError, remove};

/// Gives a tree its final name. Where there is one with this name already, it stays, and this one goes.
pub fn settle(from: &Path, to: &Path) -> Result<(), TreeError> {
    match fs::rename(from, to) {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) =>
        {
            remove(from)
        }
        renamed => renamed.map_err(TreeError::io("rename a directory to", to)),
    }
}
