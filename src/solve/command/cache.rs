//! Directories that outlive the build.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use tokio::sync::oneshot;

use super::{
    super::{
        StepError,
        key::KeyBuilder,
        run::{Run, blocking},
    },
    bind::Bound,
    machine::Machine,
    snapshot::{Imported, import, shown},
    trees::unpack,
};
use crate::{
    layer::{Entry, EntryPath, Kind},
    recipe::{CacheMount, Sharing},
    store::StoreError,
};

/// The directory within a cache's tree that is mounted: its own attributes can then be set like any entry's.
pub(super) const DATA: &str = "data";

/// A cache that a step may use as long as this lives.
#[derive(Debug)]
pub(super) struct Held {
    /// The directory to mount.
    pub(super) path: PathBuf,
    /// What keeps others out that must not use it.
    pub(super) lock: Arc<File>,
}

/// The caches of a step: locked in one order by all steps, so that no two wait for each other.
pub(super) async fn hold(
    run: &Arc<Run>,
    machine: &dyn Machine,
    caches: &[(&CacheMount, Option<&Bound>)],
) -> Result<Vec<Held>, StepError> {
    let mut order: Vec<(String, usize)> =
        caches.iter().enumerate().map(|(at, (cache, from))| (name(cache, *from), at)).collect();
    order.sort();
    let mut held: Vec<Option<Held>> = caches.iter().map(|_| None).collect();
    let mut last: Option<(String, PathBuf, Arc<File>)> = None;
    for (name, at) in order {
        let (cache, from) = caches[at];
        // A step that mounts one cache in two places needs it once.
        let (path, lock) = match &last {
            Some((known, path, lock)) if *known == name => (path.clone(), Arc::clone(lock)),
            _ => locked(run, machine, &name, cache).await?,
        };
        // It may be missing from a tree that is there: a command took it away, or died with it, on the rung without mounts.
        // Nothing is remembered within a build, which such a step may be part of; and where two make it at once, one does.
        let imported = if !run.engine.store.use_folder(&path) || !is_directory(&path.join(DATA)) {
            let imported = import(run, &name, cache).await;
            let entries = beginning(run, cache, from, imported.as_ref()).await?;
            unpack(run, machine, &path, entries, &[]).await?;
            imported.map(|imported| imported.unpacked(&run.engine.store)).transpose()?
        } else {
            None
        };
        if path.ends_with(&name) {
            run.commands.mounts.add(&name, &path, cache, imported);
        }
        held[at] = Some(Held { path: path.join(DATA), lock: Arc::clone(&lock) });
        last = Some((name, path, lock));
    }
    Ok(held.into_iter().flatten().collect())
}

fn is_directory(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

fn name(cache: &CacheMount, from: Option<&Bound>) -> String {
    let mut key = KeyBuilder::new(b"imgbuild cache mount 1");
    key.part(cache.id.as_ref().unwrap_or(&cache.target).as_bytes());
    if let Some(from) = from {
        key.part(from.digest.as_bytes());
        key.part(from.source.as_bytes());
    }
    key.finish().hex()
}

/// A directory for this cache that its sharing allows to use now, and the lock on it.
///
/// Whoever has the lock may still wait for its turn to run: those that run have their locks, so that it comes.
async fn locked(
    run: &Run,
    machine: &dyn Machine,
    name: &str,
    cache: &CacheMount,
) -> Result<(PathBuf, Arc<File>), StepError> {
    let folder = run.engine.store.root().join("mounts").join(machine.flavour());
    std::fs::create_dir_all(&folder).map_err(StoreError::io("create", &folder))?;
    let sharing = match cache.sharing {
        // What was to be shared is to be seen by all, rather than to be had at once.
        Sharing::Shared if !machine.shares_mounts() => Sharing::Locked,
        sharing => sharing,
    };
    let shown = shown(cache);
    if let Some((path, lock)) = free(&folder, name, sharing)? {
        return Ok((path, Arc::new(named(lock, shown))));
    }
    run.engine.sink.warn(format!("waiting for the cache {shown}, which another step uses"));
    let lock = turn(lock_of(&folder, name)).await?;
    Ok((folder.join(name), Arc::new(named(lock, shown))))
}

/// A lock that tells the cache's name, for whoever looks at what the store holds. Where it cannot be written, nothing is
/// lost.
fn named(mut lock: File, shown: &str) -> File {
    if lock.metadata().is_ok_and(|stat| stat.len() == 0) {
        let _ = lock.write_all(shown.as_bytes());
    }
    lock
}

/// Waits for the turn to lock a file: the kernel knows all who wait, other builds' too, and wakes them.
///
/// Nothing ends such a wait before its time, so it has a thread that nobody waits for. If this is cancelled, the thread
/// lets go of the lock when it comes, and the end of the process is its own.
async fn turn(path: PathBuf) -> Result<File, StoreError> {
    let (give, given) = oneshot::channel();
    let wait = {
        let path = path.clone();
        move || drop(give.send(lock(&path)))
    };
    let spawned = thread::Builder::new().name("cache-lock".to_owned()).spawn(wait);
    spawned.map_err(StoreError::io("wait for", &path))?;
    let ended = || StoreError::io("wait for", &path)(io::Error::other("the thread that did has ended"));
    given.await.unwrap_or_else(|_| Err(ended()))
}

/// Waits until nobody uses the cache whose tree is at this path. Nobody does as long as the file lives.
pub(super) async fn alone(tree: &Path) -> Result<File, StoreError> {
    turn(tree.with_extension("lock")).await
}

/// Locks a file, when nobody else has it locked.
fn lock(path: &Path) -> Result<File, StoreError> {
    loop {
        let file = open(path)?;
        match file.lock() {
            Ok(()) if is_at(&file, path) => return Ok(file),
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(StoreError::io("lock", path)(error)),
        }
    }
}

fn open(path: &Path) -> Result<File, StoreError> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
    file.map_err(StoreError::io("open", path))
}

/// Whether a file is still the one at this path: a lock on one that was removed keeps nobody out.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(ours), Ok(there)) = (file.metadata(), path.metadata()) else { return false };
    (ours.dev(), ours.ino()) == (there.dev(), there.ino())
}

fn lock_of(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.lock"))
}

/// The first directory of a cache that may be used now, and the lock on it. A cache has a second directory where a step
/// does not wait for the first, as in BuildKit: only a step with `locked` waits, and then there is `None`.
fn free(folder: &Path, name: &str, sharing: Sharing) -> Result<Option<(PathBuf, File)>, StoreError> {
    let mut number = 0_u32;
    loop {
        let name = if number == 0 { name.to_owned() } else { format!("{name}-{number}") };
        let path = lock_of(folder, &name);
        let file = open(&path)?;
        let tried = match sharing {
            Sharing::Shared => file.try_lock_shared(),
            Sharing::Private | Sharing::Locked => file.try_lock(),
        };
        match tried {
            Ok(()) if is_at(&file, &path) => return Ok(Some((folder.join(name), file))),
            Ok(()) => {}
            Err(TryLockError::Error(error)) => return Err(StoreError::io("lock", path)(error)),
            Err(TryLockError::WouldBlock) if sharing == Sharing::Locked => return Ok(None),
            Err(TryLockError::WouldBlock) => number += 1,
        }
    }
}

/// What a new cache holds.
async fn beginning(
    run: &Arc<Run>,
    cache: &CacheMount,
    from: Option<&Bound>,
    imported: Option<&Imported>,
) -> Result<Vec<Entry>, StepError> {
    // It is a path.
    let Some(path) = EntryPath::new(DATA) else { return Ok(Vec::new()) };
    let mode = cache.mode.map_or(0o755, |mode| mode.0);
    let directory =
        Entry { uid: cache.uid.into(), gid: cache.gid.into(), ..Entry::new(path, Kind::Directory, mode) };
    let mut entries = vec![directory];
    if let Some(imported) = imported {
        entries.extend(imported.entries(DATA));
    } else if let Some(from) = from {
        entries.extend(blocking_entries(run, from).await?);
    }
    Ok(entries)
}

async fn blocking_entries(run: &Arc<Run>, from: &Bound) -> Result<Vec<Entry>, StepError> {
    let (run, from) = (Arc::clone(run), from.clone());
    blocking(move || from.entries_under(&run, DATA)).await?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_locked_caches_are_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let free = |sharing| {
            let found = free(folder.path(), "c", sharing).unwrap();
            found.map(|(path, lock)| (path.file_name().unwrap().to_str().unwrap().to_owned(), lock))
        };
        let name = |found: &Option<(String, File)>| found.as_ref().map(|(name, _)| name.clone());
        let one = free(Sharing::Locked);
        assert_eq!(name(&one).as_deref(), Some("c"));
        assert_eq!(name(&free(Sharing::Locked)), None);
        // These do not wait for it, and share.
        let [second, third] = [free(Sharing::Shared), free(Sharing::Shared)];
        assert_eq!([name(&second), name(&third)], [Some("c-1".into()), Some("c-1".into())]);
        let [fourth, fifth] = [free(Sharing::Private), free(Sharing::Private)];
        assert_eq!([name(&fourth), name(&fifth)], [Some("c-2".into()), Some("c-3".into())]);
        // The first one that is free is taken, so that what it holds is of use.
        drop(one);
        let shared = free(Sharing::Shared);
        assert_eq!(name(&shared).as_deref(), Some("c"));
        assert_eq!(name(&free(Sharing::Locked)), None);
        drop(shared);
        assert_eq!(name(&free(Sharing::Locked)).as_deref(), Some("c"));
    }

    #[tokio::test]
    async fn each_has_its_turn_and_who_went_away_hinders_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = lock_of(folder.path(), "c");
        let first = turn(path.clone()).await.unwrap();
        let once = || {
            let path = path.clone();
            tokio::spawn(async { turn(path).await.map(drop) })
        };
        let waiting: Vec<_> = (0..4).map(|_| once()).collect();
        let gone = tokio::spawn(turn(path.clone()));
        tokio::task::yield_now().await;
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
        drop(first);
        for turn in waiting {
            turn.await.unwrap().unwrap();
        }
        // Whoever waits for one that is then removed locks what is there instead.
        let old = lock(&path).unwrap();
        let waiting = tokio::spawn(turn(path.clone()));
        tokio::task::yield_now().await;
        std::fs::remove_file(&path).unwrap();
        drop(old);
        let new = waiting.await.unwrap().unwrap();
        assert!(is_at(&new, &path));
        assert!(free(folder.path(), "c", Sharing::Locked).unwrap().is_none());
    }
}
