//! Eviction: what was used least recently goes first, of all kinds alike.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs::{self, File, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use super::{
    Bucket, Cap, Store, StoreError, session,
    usage::{Pinned, StoreEntry, StoreKind, Usage, last_use},
};

/// How many things are taken while the gate is held: builds wait that long for it at the most.
const BATCH: usize = 32;

/// What is to go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes that all may have; the least recently used of the cache goes first.
    pub max_size: Option<Cap>,
    /// Cache that was not used for so long goes.
    pub max_age: Option<Duration>,
    /// All of these kinds goes.
    pub clear: BTreeSet<StoreKind>,
    /// Nothing is removed: what is told is what would be.
    pub dry_run: bool,
    /// Nothing is begun after this.
    pub deadline: Option<Instant>,
}

/// Why something went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It was asked for.
    Cleared,
    /// It was not used for too long.
    Age,
    /// There was more than the most that may be, and this was used least recently.
    Size,
    /// What it belongs to is gone.
    Orphan,
    /// The process that it belonged to is gone.
    LeftBehind,
}

/// What eviction did.
#[derive(Debug, Default)]
pub struct Evicted {
    /// Bytes before.
    pub before: u64,
    /// The most bytes that there should be after.
    pub max_size: Option<u64>,
    /// What went, and why, in the order in which it did.
    pub removed: Vec<(StoreEntry, Reason)>,
    /// What was to go, but that a running build has used.
    pub in_use: Vec<StoreEntry>,
    /// What was to go, and could not be taken, in words.
    pub failures: Vec<String>,
    /// Directories that could not be counted.
    pub unread: usize,
    /// Directories that nobody uses any more, for the caller to remove. Some may need the sandbox's rights.
    pub folders: Vec<PathBuf>,
    /// What it set aside is not left behind as long as this is held.
    _aside: Option<File>,
}

impl Evicted {
    /// Bytes that went.
    pub fn freed(&self) -> u64 {
        self.removed.iter().map(|(entry, _)| entry.size).sum()
    }

    /// Bytes after.
    pub fn after(&self) -> u64 {
        self.before.saturating_sub(self.freed())
    }
}

/// Eviction that has begun: what is used from now on stays, and so does what was used since the first living process
/// began.
#[derive(Debug)]
pub struct Evictor {
    store: Store,
    /// What was used at this time or later is in use.
    in_use_since: SystemTime,
}

impl Store {
    /// Begins to evict. What images are named is to be looked up after this.
    pub fn evictor(&self) -> Result<Evictor, StoreError> {
        let now = SystemTime::now();
        let mut began = session::alive(&self.root().join("tmp"))?;
        began.push(self.inner.session.began());
        // Where one began later than now, the clock was set back: what it makes looks older than it is.
        let is_trusted = began.iter().all(|time| *time <= now);
        let first = began.into_iter().min().filter(|_| is_trusted);
        let in_use_since = first.unwrap_or(SystemTime::UNIX_EPOCH);
        Ok(Evictor { store: self.clone(), in_use_since })
    }
}

impl Evictor {
    /// Evicts. `pinned` are the blobs of named images: they go only where [`StoreKind::Images`] is to be cleared.
    /// Safe while others build, and when it is killed. Blocks.
    pub fn evict(&self, pinned: &Pinned, limits: &Limits) -> Result<Evicted, StoreError> {
        if !limits.dry_run {
            self.store.set_aside_other_trees()?;
        }
        let left = self.store.left_behind();
        let usage = self.store.usage(pinned)?;
        let mut work = Work::new(self, &usage, limits);
        if let Some(cap) = limits.max_size {
            work.done.max_size = Some(cap.bytes(self.store.disk()?, usage.total()));
        }
        for entry in usage.entries.iter().filter(|entry| left.contains(&entry.path)) {
            work.note(entry, Reason::LeftBehind);
        }
        if !limits.dry_run {
            work.done.folders.extend(left);
        }
        work.run()?;
        work.orphans()?;
        Ok(work.done)
    }
}

/// The work under way.
struct Work<'a> {
    evictor: &'a Evictor,
    limits: &'a Limits,
    usage: &'a Usage,
    /// What goes with something, by that thing's path.
    dependents: HashMap<&'a Path, Vec<&'a StoreEntry>>,
    now: SystemTime,
    aside: Option<PathBuf>,
    taken: HashSet<&'a Path>,
    done: Evicted,
}

impl<'a> Work<'a> {
    fn new(evictor: &'a Evictor, usage: &'a Usage, limits: &'a Limits) -> Self {
        let mut dependents: HashMap<&Path, Vec<&StoreEntry>> = HashMap::new();
        for entry in &usage.entries {
            if let Some(owner) = &entry.owner {
                dependents.entry(owner).or_default().push(entry);
            }
        }
        let done = Evicted { before: usage.total(), unread: usage.unread, ..Evicted::default() };
        Self {
            evictor,
            limits,
            usage,
            dependents,
            now: SystemTime::now(),
            aside: None,
            taken: HashSet::new(),
            done,
        }
    }

    fn run(&mut self) -> Result<(), StoreError> {
        let mut candidates: Vec<&StoreEntry> =
            self.usage.entries.iter().filter(|entry| self.may_go(entry)).collect();
        // A name goes before what it stands for.
        let names = self.evictor.store.root().join("names");
        let is_name = |entry: &StoreEntry| entry.path.starts_with(&names);
        candidates.sort_by_key(|entry| (!is_name(entry), entry.used, std::cmp::Reverse(entry.size)));
        let mut rest = candidates.into_iter().peekable();
        while rest.peek().is_some() && !self.is_late() {
            let (mut batch, mut planned) = (Vec::new(), 0);
            while batch.len() < BATCH
                && let Some(entry) = rest.peek()
                && let Some(reason) = self.reason(entry, planned)
            {
                planned += entry.size + self.with(entry).map(|entry| entry.size).sum::<u64>();
                batch.push((*entry, reason));
                rest.next();
            }
            if batch.is_empty() {
                // What follows was used later.
                break;
            }
            self.take(&batch)?;
        }
        Ok(())
    }

    fn may_go(&self, entry: &StoreEntry) -> bool {
        match self.limits.clear.is_empty() {
            true => entry.kind.is_cache() && entry.owner.is_none(),
            false => self.limits.clear.contains(&entry.kind),
        }
    }

    fn note(&mut self, entry: &'a StoreEntry, reason: Reason) {
        self.taken.insert(&entry.path);
        self.done.removed.push((entry.clone(), reason));
    }

    /// Why it is to go, when so many bytes more will have gone.
    fn reason(&self, entry: &StoreEntry, planned: u64) -> Option<Reason> {
        let age = self.now.duration_since(entry.used).unwrap_or(Duration::ZERO);
        if self.limits.clear.contains(&entry.kind) {
            return Some(Reason::Cleared);
        }
        if self.limits.max_age.is_some_and(|most| age > most) {
            return Some(Reason::Age);
        }
        let left = self.done.after().saturating_sub(planned);
        self.done.max_size.is_some_and(|most| left > most).then_some(Reason::Size)
    }

    fn is_late(&self) -> bool {
        self.limits.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    fn with(&self, entry: &StoreEntry) -> impl Iterator<Item = &'a StoreEntry> + use<'a> {
        self.dependents.get(entry.path.as_path()).cloned().unwrap_or_default().into_iter()
    }

    fn take(&mut self, batch: &[(&'a StoreEntry, Reason)]) -> Result<(), StoreError> {
        let mut files = Vec::new();
        let gate = if self.limits.dry_run { None } else { Some(self.evictor.store.gate_alone()?) };
        for (entry, reason) in batch {
            if !self.take_one(entry, &mut files)? {
                continue;
            }
            self.note(entry, *reason);
            for entry in self.with(entry) {
                if !self.taken.contains(&*entry.path)
                    && (self.limits.dry_run || self.rename(entry, &mut files)?)
                {
                    self.note(entry, Reason::Orphan);
                }
            }
        }
        drop(gate);
        // Large files take their time.
        for file in files {
            let _ = fs::remove_file(file);
        }
        Ok(())
    }

    /// Takes it away, unless it is in use or gone.
    fn take_one(&mut self, entry: &StoreEntry, files: &mut Vec<PathBuf>) -> Result<bool, StoreError> {
        if self.taken.contains(&*entry.path) {
            return Ok(false);
        }
        let used = match last_use(&entry.path, &entry.clock) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            used => used.map_err(StoreError::io("look at", &entry.path))?,
        };
        // Whoever uses it may hold a lock besides.
        let lock = match entry.kind {
            _ if self.limits.dry_run => None,
            StoreKind::Mounts => Some(beside(&entry.path, ".lock")),
            StoreKind::Git => Some(entry.path.join("lock")),
            _ => None,
        };
        let lock = lock.map(|path| session::lock_file(&path)).transpose()?;
        let free = lock.as_ref().is_none_or(|lock| lock.try_lock().is_ok());
        if used >= self.evictor.in_use_since || !free {
            self.done.in_use.push(entry.clone());
            return Ok(false);
        }
        Ok(self.limits.dry_run || self.rename(entry, files)?)
    }

    /// Renames it to where nobody looks for it.
    fn rename(&mut self, entry: &StoreEntry, files: &mut Vec<PathBuf>) -> Result<bool, StoreError> {
        let is_folder = entry.path.is_dir();
        let target = if is_folder {
            let number = self.done.removed.len();
            self.aside()?.join(number.to_string())
        } else {
            self.evictor.store.temporary_path()
        };
        let renamed = fs::rename(&entry.path, &target).or_else(|error| match error.kind() {
            // A directory that nobody may write to does not move; it goes anyway.
            io::ErrorKind::PermissionDenied if is_folder => {
                fs::set_permissions(&entry.path, Permissions::from_mode(0o700))?;
                fs::rename(&entry.path, &target)
            }
            _ => Err(error),
        });
        match renamed {
            Ok(()) if is_folder => {
                if entry.clock != entry.path && entry.kind != StoreKind::Git {
                    let _ = fs::remove_file(&entry.clock);
                }
            }
            Ok(()) => files.push(target),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => {
                self.done.failures.push(format!("failed to remove {}: {error}", entry.path.display()));
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn aside(&mut self) -> Result<&Path, StoreError> {
        if self.aside.is_none() {
            let (folder, lock) = session::aside(&self.evictor.store.root().join("tmp"))?;
            self.done.folders.push(folder.clone());
            self.done._aside = Some(lock);
            self.aside = Some(folder);
        }
        // It is set above.
        Ok(self.aside.as_deref().unwrap_or(Path::new("")))
    }

    /// Takes the records that say nothing without a blob that went.
    fn orphans(&mut self) -> Result<(), StoreError> {
        let store = &self.evictor.store;
        let blobs = store.root().join("blobs");
        let of_blobs = self.done.removed.iter().filter(|(entry, _)| entry.path.starts_with(&blobs));
        let gone: HashSet<String> = of_blobs.map(|(entry, _)| entry.id.clone()).collect();
        if gone.is_empty() {
            return Ok(());
        }
        let buckets = [Bucket::Layers, Bucket::Lineage, Bucket::Files, Bucket::Emulators];
        let folders = buckets.map(|bucket| store.bucket_path(bucket));
        let records = self.usage.entries.iter().filter(|entry| {
            entry.kind == StoreKind::Records && folders.iter().any(|folder| entry.path.starts_with(folder))
        });
        let names = |entry: &&StoreEntry| {
            !self.taken.contains(&*entry.path)
                && fs::read_to_string(&entry.path).is_ok_and(|text| names_any(&text, &gone))
        };
        let orphans: Vec<_> = records.filter(names).map(|entry| (entry, Reason::Orphan)).collect();
        for batch in orphans.chunks(BATCH) {
            if self.is_late() {
                break;
            }
            self.take(batch)?;
        }
        Ok(())
    }
}

/// Whether a JSON text has one of these digests in it.
fn names_any(text: &str, digests: &HashSet<String>) -> bool {
    text.split('"').any(|part| digests.contains(part))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}
