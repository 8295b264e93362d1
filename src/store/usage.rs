//! What is on disk: every file below the store's home, counted once, by what it is for.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{Bucket, NamedImage, Store, StoreError, mark::stamp_of};
use crate::oci::Digest;

/// What something in the store is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StoreKind {
    /// Names of images, and the blobs that these consist of. They are no cache.
    Images,
    /// Layers, manifests and files from the web that no named image consists of.
    Blobs,
    /// What computations gave.
    Records,
    /// Layers and archives, uncompressed.
    Tars,
    /// Layers unpacked for commands.
    Trees,
    /// The directories of cache mounts.
    Mounts,
    /// Build contexts out of archives, unpacked.
    Contexts,
    /// Git repositories, with what was checked out.
    Git,
    /// What is known of the files of build contexts.
    Stat,
    /// What commands wrote.
    Logs,
    /// Files of processes that work, and what those left that are gone.
    Temporary,
    /// Directories and lock files of the store itself, and what it does not know.
    Other,
}

impl StoreKind {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 12] = [
        Self::Images,
        Self::Blobs,
        Self::Records,
        Self::Tars,
        Self::Trees,
        Self::Mounts,
        Self::Contexts,
        Self::Git,
        Self::Stat,
        Self::Logs,
        Self::Temporary,
        Self::Other,
    ];

    /// Its name: one lower-case word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Blobs => "blobs",
            Self::Records => "records",
            Self::Tars => "tars",
            Self::Trees => "trees",
            Self::Mounts => "mounts",
            Self::Contexts => "contexts",
            Self::Git => "git",
            Self::Stat => "stat",
            Self::Logs => "logs",
            Self::Temporary => "temporary",
            Self::Other => "other",
        }
    }

    /// Whether it can be made again, so that eviction may take it.
    pub fn is_cache(self) -> bool {
        !matches!(self, Self::Images | Self::Temporary | Self::Other)
    }
}

/// The blobs that named images consist of, each with words for people that tell whose it is.
pub type Pinned = BTreeMap<Digest, String>;

/// Something that is kept, used and evicted as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreEntry {
    /// What it is for.
    pub kind: StoreKind,
    /// Its name among those of its kind.
    pub id: String,
    /// What people call it, where that is known.
    pub label: Option<String>,
    /// Allocated bytes.
    pub size: u64,
    /// When it was used last.
    pub used: SystemTime,
    pub(super) path: PathBuf,
    /// The file whose modification time is the last use.
    pub(super) clock: PathBuf,
    /// It goes when this goes, and not before.
    pub(super) owner: Option<PathBuf>,
}

/// What is on disk.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    /// All of it.
    pub entries: Vec<StoreEntry>,
    /// Directories that could not be read: what is in them is not counted.
    pub unread: usize,
}

impl Usage {
    /// Allocated bytes of all.
    pub fn total(&self) -> u64 {
        self.entries.iter().map(|entry| entry.size).sum()
    }
}

impl Store {
    /// Measures all that is on disk below the store's home: allocated bytes, hard links once. Blocks, for as long as it
    /// takes to look at every file. What comes or goes meanwhile may be counted or not.
    pub fn usage(&self, pinned: &Pinned) -> Result<Usage, StoreError> {
        let mut survey = Survey { pinned, usage: Usage::default(), seen: HashSet::new(), rest: 0 };
        survey.home(self)?;
        survey.dependents(self);
        Ok(survey.usage)
    }
}

/// When what this file or directory stands for was used last.
pub(super) fn last_use(path: &Path, clock: &Path) -> io::Result<SystemTime> {
    match fs::metadata(clock) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && clock != path => {
            // Its name is as old as this. Its modification time may be part of an image.
            let stat = fs::metadata(path)?;
            let since = Duration::new(stat.ctime().max(0).cast_unsigned(), nanoseconds(&stat));
            Ok(SystemTime::UNIX_EPOCH + since)
        }
        other => other?.modified(),
    }
}

fn nanoseconds(stat: &Metadata) -> u32 {
    u32::try_from(stat.ctime_nsec()).unwrap_or(0)
}

struct Survey<'a> {
    pinned: &'a Pinned,
    usage: Usage,
    /// Files with several links that were counted.
    seen: HashSet<(u64, u64)>,
    /// Bytes of what is no entry.
    rest: u64,
}

impl Survey<'_> {
    fn home(&mut self, store: &Store) -> Result<(), StoreError> {
        let root = store.root().to_owned();
        let home = root.parent().unwrap_or(&root).to_owned();
        for path in self.list(&home) {
            if path != root {
                self.rest += self.measure(&path);
            }
        }
        for path in self.list(&root) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match name.as_str() {
                "blobs" => self.two(&path, |survey, path, parent, name| survey.blob(path, parent, name)),
                "records" => self.two(&path, |survey, path, bucket, name| {
                    survey.file(StoreKind::Records, path, format!("{bucket}/{name}"));
                }),
                "names" => self.each(&path, |survey, path, name| {
                    survey.file(StoreKind::Images, path, name.trim_end_matches(".json").to_owned());
                    let named = fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
                    survey.label(path, named.map(|named: NamedImage| named.reference));
                }),
                "tars" => self.each(&path, |survey, path, name| {
                    survey.file(StoreKind::Tars, path, name.trim_end_matches(".tar").to_owned());
                }),
                "stat" => self.each(&path, |survey, path, name| {
                    survey.file(StoreKind::Stat, path, name.to_owned());
                }),
                "trees" => self.two(&path, |survey, path, _, name| {
                    if path.is_dir() {
                        survey.folders(StoreKind::Trees, path, name);
                    } else {
                        survey.rest += survey.measure(path);
                    }
                }),
                "mounts" => self.each(&path, |survey, path, name| {
                    survey.folders(StoreKind::Mounts, path, name);
                }),
                "contexts" => self.folders(StoreKind::Contexts, &path, ""),
                "git" => self.each(&path, |survey, path, name| {
                    survey.entry(StoreKind::Git, path, &path.join("lock"), name.to_owned());
                }),
                "logs" => self.logs(&path),
                "tmp" => self.each(&path, |survey, path, name| match path.is_dir() {
                    true => survey.entry(StoreKind::Temporary, path, path, name.to_owned()),
                    false => survey.rest += survey.measure(path),
                }),
                _ => self.rest += self.measure(&path),
            }
        }
        let used = fs::metadata(&root).and_then(|stat| stat.modified());
        self.usage.entries.push(StoreEntry {
            kind: StoreKind::Other,
            id: "store".to_owned(),
            label: None,
            size: self.rest,
            used: used.map_err(StoreError::io("look at", &root))?,
            path: root.clone(),
            clock: root,
            owner: None,
        });
        Ok(())
    }

    fn blob(&mut self, path: &Path, algorithm: &str, name: &str) {
        let id = format!("{algorithm}:{name}");
        let label = id.parse::<Digest>().ok().and_then(|digest| self.pinned.get(&digest));
        let kind = if label.is_some() { StoreKind::Images } else { StoreKind::Blobs };
        let label = label.cloned();
        self.file(kind, path, id);
        self.label(path, label);
    }

    /// Says what people call what was found last.
    fn label(&mut self, path: &Path, label: Option<String>) {
        if let Some(last) = self.usage.entries.last_mut().filter(|last| last.path == path) {
            last.label = label;
        }
    }

    /// Directories, each with its stamp, and perhaps a lock, beside it.
    fn folders(&mut self, kind: StoreKind, folder: &Path, above: &str) {
        self.each(folder, |survey, path, name| {
            if !path.is_dir() {
                survey.rest += survey.measure(path);
                return;
            }
            let id = if above.is_empty() { name.to_owned() } else { format!("{above}/{name}") };
            survey.entry(kind, path, &stamp_of(path), id);
            if kind == StoreKind::Mounts {
                let text = fs::read_to_string(path.with_file_name(format!("{name}.lock"))).ok();
                survey.label(path, text.filter(|text| !text.is_empty()));
            }
        });
    }

    fn logs(&mut self, folder: &Path) {
        self.each(folder, |survey, path, name| {
            if path.is_dir() {
                return survey.logs(path);
            }
            survey.file(StoreKind::Logs, path, name.to_owned());
        });
    }

    fn file(&mut self, kind: StoreKind, path: &Path, id: String) {
        self.entry(kind, path, path, id);
    }

    fn entry(&mut self, kind: StoreKind, path: &Path, clock: &Path, id: String) {
        // What is gone by now is not there.
        let Ok(used) = last_use(path, clock) else { return };
        let size = self.measure(path);
        let (path, clock) = (path.to_owned(), clock.to_owned());
        self.usage.entries.push(StoreEntry { kind, id, label: None, size, used, path, clock, owner: None });
    }

    /// Each thing in a directory.
    fn each(&mut self, folder: &Path, mut tell: impl FnMut(&mut Self, &Path, &str)) {
        for path in self.list(folder) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            tell(self, &path, &name);
        }
    }

    /// Each thing in each directory of a directory, with the names of both.
    fn two(&mut self, folder: &Path, mut tell: impl FnMut(&mut Self, &Path, &str, &str)) {
        self.each(folder, |survey, path, parent| {
            survey.each(path, |survey, path, name| tell(survey, path, parent, name));
        });
    }

    /// What is in a directory of the store's own, which is counted; nothing, if it is none.
    fn list(&mut self, folder: &Path) -> Vec<PathBuf> {
        match fs::symlink_metadata(folder) {
            Ok(stat) => self.rest += self.count(&stat),
            Err(_) => return Vec::new(),
        }
        match fs::read_dir(folder) {
            Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
            Err(error) => {
                self.usage.unread += usize::from(error.kind() == io::ErrorKind::PermissionDenied);
                Vec::new()
            }
        }
    }

    /// The allocated bytes of a file, or of a directory with all that is in it.
    fn measure(&mut self, path: &Path) -> u64 {
        let Ok(stat) = fs::symlink_metadata(path) else { return 0 };
        let mut size = self.count(&stat);
        let mut pending = if stat.is_dir() { vec![path.to_owned()] } else { Vec::new() };
        while let Some(folder) = pending.pop() {
            let Ok(entries) = fs::read_dir(&folder) else {
                self.usage.unread += usize::from(folder.exists());
                continue;
            };
            for entry in entries.flatten() {
                let Ok(stat) = entry.metadata() else { continue };
                size += self.count(&stat);
                if stat.is_dir() {
                    pending.push(entry.path());
                }
            }
        }
        size
    }

    fn count(&mut self, stat: &Metadata) -> u64 {
        let again = stat.nlink() > 1 && !stat.is_dir() && !self.seen.insert((stat.dev(), stat.ino()));
        // stat(2): a block of `st_blocks` is always of this size.
        if again { 0 } else { stat.blocks() * 512 }
    }

    /// Tells of what goes with something else, and is used as long as that is.
    fn dependents(&mut self, store: &Store) {
        let times: HashMap<PathBuf, SystemTime> =
            self.usage.entries.iter().map(|entry| (entry.path.clone(), entry.used)).collect();
        for entry in &mut self.usage.entries {
            let name = entry.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let owner = match entry.kind {
                StoreKind::Records if entry.path.starts_with(store.bucket_path(Bucket::Chunks)) => {
                    store.root().join("blobs/sha256").join(name)
                }
                StoreKind::Records if entry.path.starts_with(store.bucket_path(Bucket::Indices)) => {
                    store.root().join("tars").join(name + ".tar")
                }
                // Where the layer of a named image is to be had is as good as the layer.
                StoreKind::Records if entry.path.starts_with(store.bucket_path(Bucket::Remote)) => {
                    let digest = format!("sha256:{name}").parse::<Digest>();
                    let label = digest.ok().and_then(|digest| self.pinned.get(&digest));
                    if let Some(label) = label {
                        entry.kind = StoreKind::Images;
                        entry.label = Some(label.clone());
                    }
                    continue;
                }
                StoreKind::Logs => {
                    let record = store.bucket_path(Bucket::Runs).join(name.trim_end_matches(".log"));
                    let used = times.get(&record).copied().unwrap_or(entry.used);
                    entry.used = entry.used.max(used);
                    continue;
                }
                _ => continue,
            };
            if let Some(used) = times.get(&owner) {
                entry.used = *used;
                entry.owner = Some(owner);
            }
        }
    }
}
