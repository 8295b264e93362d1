//! What a new cache mount begins with.

use std::{os::unix::fs::MetadataExt, sync::Arc};

use super::{
    super::super::run::{Run, blocking},
    SharedMounts, key,
    layers::{indices, merge},
    merged::Merged,
    shown,
};
use crate::{
    cache::{Snapshot, Snapshots},
    error::Failure,
    event::{Outcome, Task},
    layer::{Entry, EntryPath},
    recipe::CacheMount,
    store::{Store, StoreError},
};

/// A snapshot that was unpacked.
#[derive(Debug, Clone)]
pub(in super::super) struct Imported {
    pub(super) snapshot: Snapshot,
    pub(super) merged: Arc<Merged>,
    /// When its files were made: those that the kernel changed last at another time are others by now.
    pub(super) made: (Time, Time),
}

/// A time as the file system knows it: seconds, nanoseconds.
pub(super) type Time = (i64, u32);

/// What a cache has of a mount, before it is unpacked. Whatever goes wrong is told, and then there is nothing.
pub(in super::super) async fn import(run: &Run, name: &str, cache: &CacheMount) -> Option<Imported> {
    let shared = run.commands.options.shared_mounts;
    if !shared.import {
        return None;
    }
    let snapshots = run.cache.as_ref().filter(|cache| cache.reads())?.snapshots();
    let snapshot = snapshots.get(&key(name)).await?;
    let (sink, what) = (&run.engine.sink, format!("the cache mount {}", shown(cache)));
    if !fits(&snapshot, shared) {
        sink.warn(format!(
            "{what} begins empty: what the cache has of it takes {} bytes, and {} of its files are the most",
            snapshot.size(),
            shared.max_size
        ));
        return None;
    }
    let task = sink.start(Task::Fetch { from: what.clone(), digest: None }, None);
    match unpacked(run, &snapshot, &what, &snapshots).await {
        Ok((merged, begun)) => {
            task.finish(Outcome::Done, None);
            Some(Imported { snapshot, merged: Arc::new(merged), made: (begun, begun) })
        }
        Err(error) => {
            sink.warn(format!("{what} begins empty: {error}"));
            None
        }
    }
}

/// Whether unpacking it is no more than is to be expected.
pub(super) fn fits(snapshot: &Snapshot, shared: SharedMounts) -> bool {
    snapshot.size() <= shared.max_size.saturating_mul(3)
}

async fn unpacked(
    run: &Run,
    snapshot: &Snapshot,
    what: &str,
    snapshots: &Snapshots,
) -> Result<(Merged, Time), Failure> {
    let store = &run.engine.store;
    let layers = indices(store, snapshot, what, snapshots).await?;
    let merged = blocking(move || merge(&layers)).await?;
    Ok((merged, now(store)?))
}

/// The time as new files get it.
pub(super) fn now(store: &Store) -> Result<Time, StoreError> {
    let mut file = store.temporary()?;
    let path = file.path().to_owned();
    let stat = file.file().metadata().map_err(StoreError::io("look at", path))?;
    Ok((stat.ctime(), u32::try_from(stat.ctime_nsec()).unwrap_or(0)))
}

impl Imported {
    /// Its entries below a directory of this name, in their order.
    pub(in super::super) fn entries(&self, under: &str) -> Vec<Entry> {
        let below = |entry: &Entry| {
            let path = EntryPath::new([under.as_bytes(), b"/", entry.path.as_bytes()].concat())?;
            Some(Entry { path, ..entry.clone() })
        };
        self.merged.0.values().filter_map(|item| below(&item.entry)).collect()
    }

    /// It has been unpacked by now.
    pub(in super::super) fn unpacked(mut self, store: &Store) -> Result<Arc<Self>, StoreError> {
        self.made.1 = now(store)?;
        Ok(Arc::new(self))
    }
}
