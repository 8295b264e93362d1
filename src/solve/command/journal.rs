//! What commands wrote, kept for later: a file for the output of each, and one for each of the last builds.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    sync::Mutex,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use super::{
    super::run::lock,
    output::{Line, write_log_line},
};
use crate::{
    event::Outcome,
    graph::Node,
    oci::{Digest, canonical},
    store::{Store, StoreError, Temporary},
};

/// How many builds with commands are remembered.
const BUILDS: usize = 20;
/// How the journals end in which there are no commands. Only the last of these is of use.
const EMPTY: &str = ".none.json";
/// How many bytes of a command's output are kept.
const LONGEST_LOG: usize = 64 << 20;

/// What a build did with its commands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// When the build ended, in seconds since the epoch.
    pub ended: u64,
    /// Its commands, in the order in which they ended.
    pub steps: Vec<JournalStep>,
}

/// What a build did with one command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalStep {
    /// The stage.
    pub stage: String,
    /// The step's number in it, from 1.
    pub number: usize,
    /// How many steps the stage has.
    pub of: usize,
    /// What it ran on.
    pub platform: String,
    /// The step in a few words.
    pub name: String,
    /// Its key, which its output is kept under.
    pub key: Digest,
    /// `done`, `cached` or `failed`.
    pub outcome: String,
}

/// The journal of the build under way.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    steps: Mutex<Vec<JournalStep>>,
}

impl Keeper {
    /// Notes how a command ended; `None` is badly.
    pub(super) fn note(&self, node: &Node, key: &Digest, outcome: Option<Outcome>) {
        let (number, of) = node.number;
        let outcome = match outcome {
            None => "failed",
            Some(Outcome::Cached) => "cached",
            Some(_) => "done",
        };
        lock(&self.steps).push(JournalStep {
            stage: node.stage.clone(),
            number,
            of,
            platform: node.runs_on.to_string(),
            name: node.name.clone(),
            key: *key,
            outcome: outcome.to_owned(),
        });
    }

    /// Keeps the journal, and forgets those of long ago.
    pub(super) fn keep(&self, store: &Store) -> Result<(), StoreError> {
        let steps = std::mem::take(&mut *lock(&self.steps));
        let ending = if steps.is_empty() { EMPTY } else { ".json" };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let journal = Journal { ended: now.as_secs(), steps };
        let mut temporary = store.temporary()?;
        let path = temporary.path().to_owned();
        temporary.file().write_all(&canonical(&journal)).map_err(StoreError::io("write", path))?;
        let name = format!("{:020}-{}{ending}", now.as_nanos(), std::process::id());
        temporary.keep(&folder(store).join(name), false)?;
        let (empty, full): (Vec<_>, Vec<_>) = paths(store)?.into_iter().partition(|path| is_empty(path));
        for old in full.iter().rev().skip(BUILDS).chain(empty.iter().rev().skip(1)) {
            // Another build may have done it.
            let _ = fs::remove_file(old);
        }
        Ok(())
    }
}

fn is_empty(journal: &Path) -> bool {
    journal.to_string_lossy().ends_with(EMPTY)
}

fn folder(store: &Store) -> PathBuf {
    store.root().join("logs/builds")
}

fn log_path(store: &Store, key: &Digest) -> PathBuf {
    store.root().join("logs").join(format!("{}.log", key.hex()))
}

/// The journals, the oldest first.
fn paths(store: &Store) -> Result<Vec<PathBuf>, StoreError> {
    let folder = folder(store);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::io("list", folder)(error)),
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths)
}

/// The journals of the last builds that had commands, the latest first; and that of the last build even if it had none.
pub fn journals(store: &Store) -> Result<Vec<Journal>, StoreError> {
    let read = |path: &PathBuf| serde_json::from_slice(&fs::read(path).ok()?).ok();
    Ok(paths(store)?.iter().rev().filter_map(read).collect())
}

/// The output of the command with this key, line by line, each with the seconds since its start and whether it went to
/// standard error. `None`: it wrote nothing.
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
