//! What is kept of a release: what its tags meant before, and how far it has come.
//!
//! One JSON file for each release, `releases/ID.json` beside the store. It is on disk before anything is sent, and again
//! before the first tag is moved where a tag was found to mean something else by then. That a tag was moved is written
//! without waiting for the disk: after a power failure the registry is asked anyway.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    io::{self, Write},
    path::{Path, PathBuf},
};

use semver::Version;
use serde::{Deserialize, Serialize};

use super::{Goal, ReleaseError};
use crate::{
    error::Failure,
    oci::{Descriptor, Digest, Reference},
    store::{Store, StoreError},
    tags::{Line, Movement, PlannedTag, Scheme},
};

/// How many journals of releases that have ended are kept.
const KEPT: usize = 100;

/// How far a release has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// It was begun; whether all is pushed, and which tags are moved, the registries tell.
    Begun,
    /// All tags were moved.
    Done,
    /// It was undone.
    RolledBack,
    /// It was not finished, and a later release has moved all of its tags.
    Superseded,
}

/// What is kept of a release. New fields may come; none changes its meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// Its ID: when it was begun, and some letters.
    pub id: String,
    /// When it was begun, RFC 3339.
    pub begun: String,
    /// How far it has come.
    pub stage: Stage,
    /// The image.
    pub image: Descriptor,
    /// Where it goes.
    pub targets: Vec<KeptTarget>,
}

/// The tags of a release in one repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptTarget {
    /// The repository.
    pub repository: String,
    /// The tags that are moved, in this order.
    pub tags: Vec<KeptTag>,
}

/// A tag of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptTag {
    /// The tag.
    pub tag: String,
    /// What it pointed to before, if it was there.
    pub before: Option<Descriptor>,
    /// Whether it was moved.
    pub moved: bool,
    /// When it may be moved.
    rule: Rule,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::release) enum Rule {
    Free,
    Fixed,
    Line {
        version: Version,
        prefix: String,
        shared: Vec<u64>,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        suffix: String,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        pep440: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        in_git: Option<Version>,
    },
}

impl From<&Movement> for Rule {
    fn from(movement: &Movement) -> Self {
        match movement.clone() {
            Movement::Free => Self::Free,
            Movement::Fixed => Self::Fixed,
            Movement::Line(Line { version, prefix, shared, suffix, scheme, in_git }) => {
                let pep440 = scheme == Scheme::Pep440;
                Self::Line { version, prefix, shared, suffix, pep440, in_git }
            }
        }
    }
}

impl From<Rule> for Movement {
    fn from(rule: Rule) -> Self {
        match rule {
            Rule::Free => Self::Free,
            Rule::Fixed => Self::Fixed,
            Rule::Line { version, prefix, shared, suffix, pep440, in_git } => {
                let scheme = if pep440 { Scheme::Pep440 } else { Scheme::Semver };
                Self::Line(Line { version, prefix, shared, suffix, scheme, in_git })
            }
        }
    }
}

impl KeptTag {
    pub(super) fn new(planned: &PlannedTag, before: Option<&Descriptor>) -> Self {
        let rule = Rule::from(&planned.movement);
        Self { tag: planned.tag.clone(), before: before.cloned(), moved: false, rule }
    }

    pub(super) fn planned(&self) -> PlannedTag {
        PlannedTag { tag: self.tag.clone(), movement: self.rule.clone().into() }
    }
}

impl Kept {
    /// The goals that were decided on: without the tags that were held back, or were right already.
    pub(super) fn goals(&self) -> Result<Vec<Goal>, crate::oci::ReferenceError> {
        let goal = |target: &KeptTarget| {
            let tags = target.tags.iter().map(KeptTag::planned).collect();
            Ok(Goal { repository: target.repository.parse()?, tags })
        };
        self.targets.iter().map(goal).collect()
    }

    /// The references of its tags.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.targets.iter().flat_map(|target| {
            target.tags.iter().map(move |tag| format!("{}:{}", target.repository, tag.tag))
        })
    }

    fn tag_mut(&mut self, name: &Reference) -> Option<&mut KeptTag> {
        let repository = name.repository.to_string();
        let target = self.targets.iter_mut().find(|target| target.repository == repository)?;
        target.tags.iter_mut().find(|tag| name.tag.as_deref() == Some(&tag.tag))
    }
}

/// The journal of a release that this process is at. Nobody else is at it as long as this lives.
#[derive(Debug)]
pub struct Journal {
    kept: Kept,
    store: Store,
    folder: PathBuf,
    /// Locked.
    _lock: File,
}

impl Journal {
    /// Begins the journal of a new release, synced to disk.
    pub(super) fn begin(
        store: &Store,
        folder: &Path,
        image: &Descriptor,
        targets: Vec<KeptTarget>,
    ) -> Result<Self, Failure> {
        fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
        let now = jiff::Timestamp::now();
        // A fresh hasher's keys are random: two releases may begin in one second.
        let chance = RandomState::new().hash_one(std::process::id()) & 0xff_ffff;
        let id = format!("{}-{chance:06x}", now.strftime("%Y%m%d-%H%M%S%3f"));
        let image = Descriptor { platform: None, ..image.clone() };
        let begun = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let kept = Kept { id, begun, stage: Stage::Begun, image, targets };
        let lock = lock(folder, &kept.id)?;
        let journal = Self { kept, store: store.clone(), folder: folder.to_owned(), _lock: lock };
        journal.write(true)?;
        Ok(journal)
    }

    /// Takes up the journal of a release that was begun before.
    ///
    /// # Errors
    /// There is none of this ID, or another process is at it.
    pub(super) fn open(store: &Store, folder: &Path, id: &str) -> Result<Self, Failure> {
        let path = path_of(folder, id);
        if !is_id(id) || !path.exists() {
            return Err(ReleaseError::NoRelease { id: id.to_owned(), folder: folder.to_owned() }.into());
        }
        let lock = lock(folder, id)?;
        // Behind the lock: it is as the last one left it.
        let kept = read(&path)?;
        Ok(Self { kept, store: store.clone(), folder: folder.to_owned(), _lock: lock })
    }

    /// What is kept of the release.
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Whether a tag was moved.
    pub(super) fn has_moved(&self) -> bool {
        self.kept.targets.iter().any(|target| target.tags.iter().any(|tag| tag.moved))
    }

    /// Takes down what the tags mean now, where that is not what was known; synced to disk if it is news. `known` tells
    /// the tags that are moved and what they point to; others are none of the release any more.
    pub(super) fn revise(
        &mut self,
        known: &[(Reference, PlannedTag, Option<Descriptor>)],
    ) -> Result<(), Failure> {
        let before = self.kept.clone();
        for target in &mut self.kept.targets {
            let repository = target.repository.clone();
            target.tags.retain(|tag| {
                let is = |name: &Reference| {
                    name.repository.to_string() == repository && name.tag.as_deref() == Some(&tag.tag)
                };
                tag.moved || known.iter().any(|(name, ..)| is(name))
            });
        }
        for (name, planned, current) in known {
            match self.kept.tag_mut(name) {
                Some(tag) => tag.before.clone_from(current),
                None => {
                    let repository = name.repository.to_string();
                    let tag = KeptTag::new(planned, current.as_ref());
                    match self.kept.targets.iter_mut().find(|target| target.repository == repository) {
                        Some(target) => target.tags.push(tag),
                        None => self.kept.targets.push(KeptTarget { repository, tags: vec![tag] }),
                    }
                }
            }
        }
        if self.kept != before { self.write(true) } else { Ok(()) }
    }

    /// Takes down that tags were moved.
    pub(super) fn moved(&mut self, names: &[Reference]) -> Result<(), Failure> {
        for name in names {
            if let Some(tag) = self.kept.tag_mut(name) {
                tag.moved = true;
            }
        }
        self.write(true)
    }

    /// Takes down how the release has ended, and clears away what nobody will ask for any more.
    pub(super) fn end(mut self, stage: Stage) -> Result<(), Failure> {
        self.kept.stage = stage;
        self.write(true)?;
        let _ = fs::remove_file(lock_path(&self.folder, &self.kept.id));
        self.supersede();
        self.clear();
        Ok(())
    }

    /// It was begun, and nothing of it is worth keeping.
    pub(super) fn forget(self) {
        let _ = fs::remove_file(path_of(&self.folder, &self.kept.id));
        let _ = fs::remove_file(lock_path(&self.folder, &self.kept.id));
    }

    /// Earlier releases that were not finished and whose tags are all among this one's need not be. Failures are left to
    /// the next release: this is only about order.
    fn supersede(&self) {
        if self.kept.stage != Stage::Done {
            return;
        }
        let own: BTreeSet<String> = self.kept.names().collect();
        for earlier in releases(&self.folder).unwrap_or_default() {
            let open = earlier.stage == Stage::Begun && earlier.id < self.kept.id;
            if open
                && earlier.names().all(|name| own.contains(&name))
                && let Ok(mut journal) = Self::open(&self.store, &self.folder, &earlier.id)
            {
                journal.kept.stage = Stage::Superseded;
                let _ = journal.write(false);
                let _ = fs::remove_file(lock_path(&self.folder, &earlier.id));
            }
        }
    }

    fn clear(&self) {
        let ended = releases(&self.folder).unwrap_or_default().into_iter();
        for old in ended.filter(|kept| kept.stage != Stage::Begun).skip(KEPT) {
            let _ = fs::remove_file(path_of(&self.folder, &old.id));
        }
    }

    fn write(&self, sync: bool) -> Result<(), Failure> {
        let path = path_of(&self.folder, &self.kept.id);
        let json = serde_json::to_vec_pretty(&self.kept)
            .map_err(|error| ReleaseError::Journal { path: path.clone(), problem: error.to_string() })?;
        let mut temporary = self.store.temporary()?;
        let written = temporary.file().write_all(&json);
        written.map_err(StoreError::io("write", temporary.path().to_owned()))?;
        temporary.keep(&path, sync)?;
        if sync {
            // The new name, too.
            let synced = File::open(&self.folder).and_then(|folder| folder.sync_all());
            synced.map_err(StoreError::io("sync", &self.folder))?;
        }
        Ok(())
    }
}

/// All releases that are kept, the newest first. A journal that cannot be read is passed over.
pub fn releases(folder: &Path) -> Result<Vec<Kept>, Failure> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(StoreError::io("list", folder))?,
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let journals = paths.filter(|path| path.extension().is_some_and(|end| end == "json"));
    let mut kept: Vec<Kept> = journals.filter_map(|path| read(&path).ok()).collect();
    kept.sort_by(|a, b| b.id.cmp(&a.id));
    Ok(kept)
}

fn read(path: &Path) -> Result<Kept, Failure> {
    let wrong = |problem: String| ReleaseError::Journal { path: path.to_owned(), problem };
    let bytes = fs::read(path).map_err(|error| wrong(error.to_string()))?;
    Ok(serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?)
}

/// Nothing that leads out of the folder.
fn is_id(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn path_of(folder: &Path, id: &str) -> PathBuf {
    folder.join(format!("{id}.json"))
}

fn lock_path(folder: &Path, id: &str) -> PathBuf {
    folder.join(format!("{id}.lock"))
}

/// The kernel lets go of the lock however the process ends.
fn lock(folder: &Path, id: &str) -> Result<File, Failure> {
    let path = lock_path(folder, id);
    let file = File::options().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(StoreError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(ReleaseError::Running { id: id.to_owned() }.into()),
        Err(fs::TryLockError::Error(error)) => Err(StoreError::io("lock", path)(error).into()),
    }
}

/// Whether a process is at a release that was begun.
pub(super) fn is_running(folder: &Path, id: &str) -> bool {
    File::open(lock_path(folder, id)).is_ok_and(|file| file.try_lock_shared().is_err())
}

impl Kept {
    /// Whether a process is at it.
    pub fn is_running(&self, folder: &Path) -> bool {
        self.stage == Stage::Begun && is_running(folder, &self.id)
    }

    /// The digest of its image.
    pub fn digest(&self) -> Digest {
        self.image.digest
    }
}
