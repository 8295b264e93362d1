//! What a cache mount holds at the end, for other machines.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    super::{
        super::run::{Run, blocking},
        cache::alone,
        machine::Machine,
    },
    SharedMounts, UsedMount,
    import::fits,
    key,
    layers::{indices, linked, merge},
    merged::{Merged, size},
    plan::{Plan, difference},
};
use crate::{
    cache::{MOST_LAYERS, Part, Snapshot, Snapshots},
    error::Failure,
    event::{Outcome, Sink, Task},
    layer::{self, Compression, Entry, Layer, Pool, write_layer},
    oci::Digest,
    rootfs::{self, TarIndex},
    store::Store,
};

/// How large layers are at the most, but for one file: each counts when it has got to the cache.
const LARGEST: u64 = 128 << 20;

/// From how many layers on the small ones are put together: until then, only what is new is sent.
const MANY: usize = 8;

/// How many bytes of layers may be of no use any more, besides as many as are.
const SLACK: u64 = 16 << 20;

/// What files of caches are compressed already, mostly.
const COMPRESSION: Compression = Compression::Zstd { level: 1 };

/// Begins to send what the cache mounts of this build hold to the caches that are written. Their own end waits for it.
pub(in super::super::super) fn export(run: &Run) {
    let shared = run.commands.options.shared_mounts;
    let cache = run.cache.as_ref().filter(|cache| shared.export && cache.writes(Part::Image));
    let (Some(cache), Some(machine)) = (cache, run.commands.started()) else { return };
    for (name, mount) in run.commands.mounts.written() {
        let (engine, key) = (&run.engine, key(&name));
        let making = Making {
            store: engine.store.clone(),
            sink: engine.sink.clone(),
            pool: engine.pool.clone(),
            machine: Arc::clone(&machine),
            snapshots: cache.snapshots(),
            shared,
            key,
            mount,
        };
        cache.put_snapshot(&key, making.told());
    }
}

/// A snapshot in the making.
struct Making {
    store: Store,
    sink: Sink,
    pool: Pool,
    machine: Arc<dyn Machine>,
    snapshots: Snapshots,
    shared: SharedMounts,
    key: Digest,
    mount: UsedMount,
}

/// The snapshot that a new one stands on: its layers, and what they hold.
#[derive(Default)]
struct Base {
    layers: Vec<(Layer, Arc<TarIndex>)>,
    merged: Merged,
}

impl Making {
    /// The snapshot and how many of its layers are known; `None`: there is nothing new, or it went wrong, which is told.
    async fn told(self) -> Option<(Snapshot, usize)> {
        let what = self.what();
        let task = self.sink.start(Task::Export { output: what.clone() }, None);
        match self.make().await {
            Ok(Some((snapshot, known))) => {
                let size = snapshot.layers[known..].iter().map(|layer| layer.descriptor.size).sum();
                task.finish(Outcome::Done, snapshot.layers.last().map(|top| (top.descriptor.digest, size)));
                Some((snapshot, known))
            }
            Ok(None) => {
                task.finish(Outcome::Exists, None);
                None
            }
            Err(error) => {
                drop(task);
                self.sink.warn(format!("{what} is not kept for other machines: {error}"));
                None
            }
        }
    }

    fn what(&self) -> String {
        format!("cache mount {}", self.mount.id)
    }

    async fn make(&self) -> Result<Option<(Snapshot, usize)>, Failure> {
        let base = self.base().await?;
        let imported = self.mount.imported.clone();
        let lock = alone(&self.mount.path).await?;
        let data = self.mount.path.join(super::super::cache::DATA);
        let (listed, _) = self.machine.list(&data, self.mount.owner).await?;
        let most = self.shared.max_size;
        let (plan, base) = blocking(move || {
            let mut plan = Plan::new(listed, imported);
            let mut rest = base.merged.clone();
            plan.cap(&mut rest, most);
            ((plan, rest), base)
        })
        .await?;
        let (plan, rest) = plan;
        let looked_at = self.look_at(plan.unsure()).await?;
        drop(lock);

        let (store, pool, base_count) = (self.store.clone(), self.pool.clone(), base.layers.len());
        let written = blocking(move || {
            let all = plan.complete(looked_at.as_deref(), &rest);
            let Some((kept, new)) = stack(&base, &all, plan.is_imported()) else { return Ok(None) };
            let mut layers: Vec<Layer> = base.layers[..kept].iter().map(|(layer, _)| layer.clone()).collect();
            let largest = LARGEST.max(most / (MOST_LAYERS as u64 / 2));
            for part in parts(new, largest) {
                let options = layer::Options { compression: COMPRESSION, ..layer::Options::default() };
                layers.push(write_layer(&store, &pool, linked(part), &options)?.layer);
            }
            Ok::<_, Failure>(Some((kept, layers)))
        })
        .await??;
        let Some((kept, layers)) = written.filter(|(_, layers)| !layers.is_empty()) else { return Ok(None) };
        for layer in &layers[..kept] {
            // A cache that is only asked may be another one than that which is written.
            if self.mount.imported.is_some() && !self.store.has_blob(&layer.descriptor) {
                self.snapshots.fetch(&layer.descriptor).await?;
            }
        }
        // Where something that is there is written anew, half of it would be less than before.
        let known = if kept < base_count { layers.len() - 1 } else { kept };
        let made = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Ok(Some((Snapshot { key: self.key, made, layers }, known)))
    }

    /// What the new snapshot stands on: what the cache has by now, else what the mount began with.
    async fn base(&self) -> Result<Base, Failure> {
        let latest = self.snapshots.latest(&self.key).await?;
        let imported = self.mount.imported.as_ref().map(|imported| imported.snapshot.clone());
        let Some(snapshot) = latest.or(imported).filter(|snapshot| fits(snapshot, self.shared)) else {
            return Ok(Base::default());
        };
        let what = self.what();
        match indices(&self.store, &snapshot, &what, &self.snapshots).await {
            Ok(found) => {
                let merging = found.clone();
                let merged = blocking(move || merge(&merging)).await?;
                Ok(Base { layers: snapshot.layers.into_iter().zip(found).collect(), merged })
            }
            Err(error) => {
                self.sink.note(format!(
                    "{what} is kept as a whole, since what the cache has of it is lost: {error}"
                ));
                Ok(Base::default())
            }
        }
    }

    /// The content of files, in a tar of the store.
    async fn look_at(&self, files: Vec<Entry>) -> Result<Option<Arc<TarIndex>>, Failure> {
        if files.is_empty() {
            return Ok(None);
        }
        let (store, what, path) = (self.store.clone(), self.what(), self.store.temporary_path());
        let captured = self.machine.pack(files, &path).await?;
        let index = blocking(move || rootfs::adopt(&store, &captured.diff_id, &what, &path)).await??;
        Ok(Some(index))
    }
}

/// How many layers of the base stay, and what is to lie on them; `None`: all of them, and nothing.
fn stack(base: &Base, all: &Merged, times: bool) -> Option<(usize, Vec<Entry>)> {
    let mut kept = base.layers.len();
    let grown = kept >= MANY;
    loop {
        let (below, top) = (&base.layers[..kept], base.layers[..kept].last());
        let merged = match kept == base.layers.len() {
            true => base.merged.clone(),
            false => Merged::of(below.iter().map(|(_, index)| &**index)),
        };
        let new = difference(&merged, all, times);
        if new.is_empty() && kept == base.layers.len() {
            return None;
        }
        let size = new.iter().map(|entry| 512 + size(entry)).fold(0, u64::saturating_add);
        let together = below.iter().map(|(layer, _)| layer.size).fold(size, u64::saturating_add);
        let Some((top, _)) = top else { return Some((kept, new)) };
        if together > all.size().saturating_mul(2).saturating_add(SLACK) {
            kept = 0;
        } else if grown && (top.size < (2 * size).min(LARGEST / 2) || kept >= MOST_LAYERS / 2) {
            kept -= 1;
        } else {
            return Some((kept, new));
        }
    }
}

/// Entries in groups of so many bytes, in their order.
fn parts(entries: Vec<Entry>, most: u64) -> Vec<Vec<Entry>> {
    let (mut parts, mut bytes): (Vec<Vec<Entry>>, u64) = (Vec::new(), 0);
    for entry in entries {
        let size = size(&entry);
        match parts.last_mut().filter(|_| bytes + size <= most) {
            Some(part) => part.push(entry),
            None => {
                parts.push(vec![entry]);
                bytes = 0;
            }
        }
        bytes += size;
    }
    parts
}
