//! Directories that outlive the build.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::PathBuf,
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
    _lock: Arc<File>,
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
        if !path.is_dir() {
            unpacked(run, machine, &path, beginning(run, cache, from).await?, &[]).await?;
        }
        held[at] = Some(Held { path: path.join(DATA), _lock: Arc::clone(&lock) });
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
async fn locked(
    run: &Run,
    machine: &dyn Machine,
    name: &str,
    cache: &CacheMount,
) -> Result<(PathBuf, Arc<File>), StepError> {
    let folder = run.engine.store.root().join("mounts").join(machine.flavour());
    std::fs::create_dir_all(&folder).map_err(StoreError::io("create", &folder))?;
    let (mut number, mut told) = (0, false);
    loop {
        let name = if number == 0 { name.to_owned() } else { format!("{name}-{number}") };
        let path = folder.join(format!("{name}.lock"));
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(StoreError::io("open", &path))?;
        let tried = match cache.sharing {
            Sharing::Shared => file.try_lock_shared(),
            Sharing::Private | Sharing::Locked => file.try_lock(),
        };
        match tried {
            Ok(()) => return Ok((folder.join(name), Arc::new(file))),
            Err(TryLockError::Error(error)) => return Err(StoreError::io("lock", path)(error).into()),
            Err(TryLockError::WouldBlock) if cache.sharing == Sharing::Private => number += 1,
            Err(TryLockError::WouldBlock) => {
                if !std::mem::replace(&mut told, true) {
                    let shown = cache.id.as_ref().unwrap_or(&cache.target);
                    run.engine.sink.warn(format!("waiting for the cache {shown}, which another step uses"));
                }
                tokio::time::sleep(LOOK).await;
            }
        }
    }
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
