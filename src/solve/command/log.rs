//! What commands wrote, kept for later: a file for the output of each.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, BufWriter, Write},
    path::PathBuf,
};

use super::output::{Line, write_log_line};
use crate::{
    oci::Digest,
    store::{Store, StoreError, Temporary},
};

/// How many bytes of a command's output are kept.
const LONGEST_LOG: usize = 64 << 20;

fn log_path(store: &Store, key: &Digest) -> PathBuf {
    store.root().join("logs").join(format!("{}.log", key.hex()))
}

/// The output of the command with this key, line by line, each with the seconds since its start and whether it went to
/// standard error. `None`: there is none.
pub fn log_lines(
    store: &Store,
    key: &Digest,
) -> Result<Option<impl Iterator<Item = (String, bool, String)> + use<>>, StoreError> {
    let path = log_path(store, key);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("open", path)(error)),
    };
    let parse = |line: String| {
        let (at, rest) = line.split_once(' ')?;
        let (stream, text) = rest.split_once(' ')?;
        Some((at.to_owned(), stream == "e", text.to_owned()))
    };
    Ok(Some(BufReader::new(file).lines().map_while(Result::ok).filter_map(parse)))
}

/// A log that is being written. It has its name when it is finished, whatever the command's end.
/// Most commands of many say nothing: there is no file before the first line.
pub(super) struct Log<'a> {
    store: &'a Store,
    file: Option<(Temporary, BufWriter<File>)>,
    room: usize,
}

impl<'a> Log<'a> {
    pub(super) fn new(store: &'a Store) -> Self {
        Self { store, file: None, room: LONGEST_LOG }
    }

    /// Adds a line; the one that there is no room for, and all after it, are left out, and the log says so.
    pub(super) fn add(&mut self, line: &Line<'_>) -> Result<(), StoreError> {
        let (temporary, out) = match &mut self.file {
            Some(file) => file,
            None => {
                let mut temporary = self.store.temporary()?;
                let path = temporary.path().to_owned();
                let file = temporary.file().try_clone().map_err(StoreError::io("open", path))?;
                self.file.insert((temporary, BufWriter::new(file)))
            }
        };
        let written = match self.room.checked_sub(line.text.len() + 1) {
            Some(room) => {
                self.room = room;
                write_log_line(out, line)
            }
            None if self.room > 0 => {
                self.room = 0;
                let text = format!("[the rest is not kept: a log has {} MiB at most]", LONGEST_LOG >> 20);
                write_log_line(out, &Line { text: &text, ..line.clone() })
            }
            None => Ok(()),
        };
        written.map_err(StoreError::io("write", temporary.path()))
    }

    pub(super) fn keep(self, key: &Digest) -> Result<(), StoreError> {
        let path = log_path(self.store, key);
        match self.file {
            Some((temporary, mut out)) => {
                out.flush().map_err(StoreError::io("write", temporary.path()))?;
                temporary.keep(&path, false)
            }
            // What it said when it ran before is not what it says.
            None => match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(StoreError::io("remove", path)(error))
                }
                _ => Ok(()),
            },
        }
    }
}
