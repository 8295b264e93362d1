//! The records of the last builds, on disk and in files of their own.

use std::{
    collections::BTreeMap,
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::{BuildRecord, explain::MOUNTED, list::FileList};
use crate::{
    event::Value,
    oci::{Digest, canonical},
    store::{Store, StoreError},
};

/// How many builds are remembered.
const BUILDS: usize = 50;
/// The shortest beginning of an id that is taken for one.
const SHORTEST_ID: usize = 4;

/// A build that was recorded: here, or elsewhere and brought here in a file.
#[derive(Debug, Clone, Default)]
pub struct KeptBuild {
    /// The record.
    pub record: BuildRecord,
    /// The lists of files that came with it.
    pub(super) lists: BTreeMap<Digest, FileList>,
}

/// A record with the lists that it needs: a file of its own.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Exported {
    imgbuild_record: u32,
    build: BuildRecord,
    files: BTreeMap<Digest, String>,
}

const FORMAT: u32 = 1;

fn folder(store: &Store) -> PathBuf {
    store.root().join("logs/builds")
}

/// What makes two builds comparable: the file, the target and the main context.
pub(super) fn identity(record: &BuildRecord) -> String {
    let main = record.contexts.iter().find(|context| context.name.is_empty());
    let parts = (&record.file, &record.target, main.map(|context| &context.root));
    Digest::of(&canonical(&parts)).short()
}

/// Keeps a record, under an id that it gives it, and forgets those of long ago.
pub(super) fn keep(store: &Store, record: &mut BuildRecord, now: Duration) -> Result<(), StoreError> {
    let unique = format!("{}-{}", now.as_nanos(), std::process::id());
    record.id = Digest::of(unique.as_bytes()).hex()[..8].to_owned();
    let name = format!("{:020}-{}-{}.json", now.as_nanos(), record.id, identity(record));
    let mut temporary = store.temporary()?;
    let path = temporary.path().to_owned();
    temporary.file().write_all(&canonical(record)).map_err(StoreError::io("write", path))?;
    temporary.keep(&folder(store).join(name), false)?;
    for old in paths(store)?.iter().skip(BUILDS) {
        // Another build may have done it.
        let _ = fs::remove_file(old);
    }
    Ok(())
}

/// The files of the records, the latest first.
fn paths(store: &Store) -> Result<Vec<PathBuf>, StoreError> {
    let folder = folder(store);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::io("list", folder)(error)),
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort_unstable_by(|a, b| b.cmp(a));
    Ok(paths)
}

/// A record that cannot be read is none: another version wrote it, or it is damaged.
fn read(path: &Path) -> Option<KeptBuild> {
    let record = serde_json::from_slice::<BuildRecord>(&fs::read(path).ok()?).ok()?;
    (!record.id.is_empty() && record.is_sound()).then(|| KeptBuild { record, lists: BTreeMap::new() })
}

/// The last builds, the latest first.
///
/// # Errors
/// The folder of the records cannot be read.
pub fn builds(store: &Store) -> Result<Vec<KeptBuild>, StoreError> {
    Ok(paths(store)?.iter().filter_map(|path| read(path)).collect())
}

/// The latest build before this one of the same file, target and context: one that ended well and has the same platforms,
/// else what comes nearest to that. (What a build that failed did is known by those that were well, too, but not the
/// other way round.)
///
/// # Errors
/// The folder of the records cannot be read.
pub fn earlier_of(store: &Store, record: &BuildRecord) -> Result<Option<KeptBuild>, StoreError> {
    let end = format!("-{}.json", identity(record));
    let same = |path: &&PathBuf| path.to_str().is_some_and(|path| path.ends_with(&end));
    let mut near: Option<((bool, bool), KeptBuild)> = None;
    for path in paths(store)?.iter().filter(same) {
        let Some(found) = read(path) else { continue };
        let other = &found.record;
        if other.id == record.id || !record.id.is_empty() && other.ended >= record.ended {
            continue;
        }
        let fits = (other.platforms == record.platforms, other.well);
        let shares = fits.0 || other.platforms.iter().any(|platform| record.platforms.contains(platform));
        if shares && near.as_ref().is_none_or(|(known, _)| fits > *known) {
            near = Some((fits, found));
        }
        if fits == (true, true) {
            break;
        }
    }
    Ok(near.map(|(_, found)| found))
}

/// The build that a user names: by the beginning of its id, or by a file that [`export`] wrote. `None`: there is none.
///
/// # Errors
/// What cannot be read.
pub fn open_build(store: &Store, asked: &str) -> Result<Option<KeptBuild>, StoreError> {
    if asked.len() >= SHORTEST_ID && asked.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let found = builds(store)?.into_iter().find(|build| build.record.id.starts_with(asked));
        if found.is_some() {
            return Ok(found);
        }
    }
    match fs::read(asked) {
        Ok(bytes) => Ok(import(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io("read", asked)(error)),
    }
}

/// A record as a file of its own, to be compared on another machine.
pub fn export(store: &Store, build: &KeptBuild) -> Vec<u8> {
    let mut files = BTreeMap::new();
    for step in &build.record.steps {
        let mounted = step.parts.iter().filter_map(|part| match &part.value {
            Value::Digest(digest) if part.name.starts_with(MOUNTED) => Some(digest),
            _ => None,
        });
        for key in step.content.iter().chain(mounted) {
            if let Some(list) = build.list(key).or_else(|| FileList::load(store, key)) {
                files.insert(*key, STANDARD.encode(list.encode()));
            }
        }
    }
    canonical(&Exported { imgbuild_record: FORMAT, build: build.record.clone(), files })
}

/// Reads what [`export`] gave; `None`: it is none.
pub(super) fn import(bytes: &[u8]) -> Option<KeptBuild> {
    let Exported { imgbuild_record: FORMAT, build, files } = serde_json::from_slice(bytes).ok()? else {
        return None;
    };
    if !build.is_sound() {
        return None;
    }
    let list = |(key, text): (Digest, String)| Some((key, FileList::decode(&STANDARD.decode(text).ok()?)?));
    Some(KeptBuild { record: build, lists: files.into_iter().filter_map(list).collect() })
}

impl KeptBuild {
    pub(super) fn list(&self, key: &Digest) -> Option<FileList> {
        self.lists.get(key).cloned()
    }
}

impl BuildRecord {
    /// Whether each step stands on steps that there are: a file may say anything.
    fn is_sound(&self) -> bool {
        self.steps.iter().all(|step| {
            let origins = step.origins.iter().flat_map(|origin| &origin.steps);
            step.below.iter().chain(origins).all(|at| *at < self.steps.len())
        })
    }
}
