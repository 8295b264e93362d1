//! Directories that outlive the build.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    super::{
        StepError,
        key::KeyBuilder,
        run::{Run, blocking},
    },
    bind::Bound,
    machine::Machine,
    trees::unpacked,
};
use crate::{
    layer::{Entry, EntryPath, Kind},
    recipe::{CacheMount, Sharing},
    store::StoreError,
};

/// The directory within a cache's tree that is mounted: its own attributes can then be set like any entry's.
const DATA: &str = "data";
/// How long to wait between two looks at a lock. Asking again, and not waiting in a thread, can be cancelled.
const LOOK: Duration = Duration::from_millis(20);

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
        if !run.engine.store.use_folder(&path) {
            unpacked(run, machine, &path, beginning(run, cache, from).await?, &[]).await?;
        }
        held[at] = Some(Held { path: path.join(DATA), lock: Arc::clone(&lock) });
        last = Some((name, path, lock));
    }
    Ok(held.into_iter().flatten().collect())
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
/// Steps that wait have no order, and whoever has the lock may still wait for its turn to run: those that run have their
/// locks, so that it comes.
async fn locked(
    run: &Run,
    machine: &dyn Machine,
    name: &str,
    cache: &CacheMount,
) -> Result<(PathBuf, Arc<File>), StepError> {
    let folder = run.engine.store.root().join("mounts").join(machine.flavour());
    std::fs::create_dir_all(&folder).map_err(StoreError::io("create", &folder))?;
    let shown = cache.id.as_ref().unwrap_or(&cache.target);
    let mut told = false;
    loop {
        if let Some((path, mut lock)) = free(&folder, name, cache.sharing)? {
            // For whoever looks at what the store holds. Where it cannot be written, nothing is lost.
            if lock.metadata().is_ok_and(|stat| stat.len() == 0) {
                let _ = lock.write_all(shown.as_bytes());
            }
            return Ok((path, Arc::new(lock)));
        }
        if !std::mem::replace(&mut told, true) {
            run.engine.sink.warn(format!("waiting for the cache {shown}, which another step uses"));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The first directory of a cache that may be used now, and the lock on it. A cache has a second directory where a step
/// does not wait for the first, as in BuildKit: only a step with `locked` waits, and then there is `None`.
fn free(folder: &Path, name: &str, sharing: Sharing) -> Result<Option<(PathBuf, File)>, StoreError> {
    for number in 0_u32.. {
        let name = if number == 0 { name.to_owned() } else { format!("{name}-{number}") };
        let path = folder.join(format!("{name}.lock"));
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(StoreError::io("open", &path))?;
        let tried = match sharing {
            Sharing::Shared => file.try_lock_shared(),
            Sharing::Private | Sharing::Locked => file.try_lock(),
        };
        match tried {
            Ok(()) => return Ok(Some((folder.join(name), file))),
            Err(TryLockError::Error(error)) => return Err(StoreError::io("lock", path)(error)),
            Err(TryLockError::WouldBlock) if sharing == Sharing::Locked => break,
            Err(TryLockError::WouldBlock) => {}
        }
    }
    Ok(None)
}

/// What a new cache holds.
async fn beginning(
    run: &Arc<Run>,
    cache: &CacheMount,
    from: Option<&Bound>,
) -> Result<Vec<Entry>, StepError> {
    // It is a path.
    let Some(path) = EntryPath::new(DATA) else { return Ok(Vec::new()) };
    let mode = cache.mode.map_or(0o755, |mode| mode.0);
    let directory =
        Entry { uid: cache.uid.into(), gid: cache.gid.into(), ..Entry::new(path, Kind::Directory, mode) };
    let mut entries = vec![directory];
    if let Some(from) = from {
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
}
