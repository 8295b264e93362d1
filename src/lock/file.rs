//! Locks on disk.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::{Lock, LockError};
use crate::{
    error::Failure,
    source::{Diagnostic, SourceFile},
};

/// The name of a lock.
pub const NAME: &str = "imgbuild.lock";

/// The largest lock that is read, in bytes.
const LARGEST: u64 = 16 << 20;

/// Where the lock of a spec or a Dockerfile is: beside it.
pub fn beside(file: &Path) -> PathBuf {
    file.with_file_name(NAME)
}

impl Lock {
    /// Reads a lock; `None` if there is none. `shown` is its path as the user knows it.
    ///
    /// # Errors
    /// It cannot be read, or its text is wrong: then the error shows the line.
    pub fn open(path: &Path, shown: &str) -> Result<Option<Self>, Failure> {
        let stat = match fs::metadata(path) {
            Ok(stat) => stat,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(LockError::io("look at", path)(error).into()),
        };
        if !stat.is_file() || stat.len() > LARGEST {
            let error = io::Error::other("it is no file of 16 MiB at the most");
            return Err(LockError::io("read", path)(error).into());
        }
        let bytes = fs::read(path).map_err(LockError::io("read", path))?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Diagnostic::new(format!("{shown} is not UTF-8 text")).hint("run `imgbuild lock`"))?;
        Ok(Some(Self::parse(&SourceFile::new(shown, text))?))
    }

    /// Writes a lock, all of it or nothing.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), LockError> {
        // Beside it: a rename stays on one file system.
        let work = path.with_file_name(format!(".{NAME}.{}", std::process::id()));
        let write = || {
            let mut file = fs::File::create(&work)?;
            file.write_all(self.to_string().as_bytes())?;
            file.sync_all()?;
            fs::rename(&work, path)
        };
        write().map_err(|error| {
            // What is left is of no use; that it cannot be removed says no more than the error.
            let _ = fs::remove_file(&work);
            LockError::io("write", path)(error)
        })
    }
}
