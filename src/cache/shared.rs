//! All caches of a build.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, join_all},
    stream::{self, FuturesOrdered},
};
use tokio::task::JoinSet;

use super::{
    CacheError, Entry, Exported, Found, Part, Place, Result, SharedBuild, SigningKey, Snapshot, Target,
    TrustedKey, backend::Backend, build::places, directory::Directory, document::Kept, export::Exporter,
    import::Importer,
};
use crate::{
    event::{Outcome, Running, Sink, Task},
    oci::{Descriptor, Digest, Repository},
    registry::Client,
    store::Store,
};

/// How many records of builds are asked for at once.
const QUESTIONS: usize = 16;

/// Which caches a build has.
#[derive(Debug, Clone, Default)]
pub struct CacheOptions {
    /// The caches that are asked; where several know a key, the first one counts.
    pub from: Vec<Place>,
    /// The caches that are written.
    pub to: Vec<Target>,
    /// Signs what is written.
    pub sign: Option<SigningKey>,
    /// If there are any, or a key that signs: only what one of them, or that one, has signed is believed. So nothing is
    /// signed that came unsigned.
    pub trusted: Vec<TrustedKey>,
    /// The repositories that the image is pushed to. What is there is not sent to a cache on the same registry once more.
    pub pushed_to: Vec<Repository>,
}

/// The caches of a build. Cheap to clone. With the last handle, writes that are still under way end.
#[derive(Debug, Clone)]
pub struct Cache {
    inner: Arc<Inner>,
    /// Not among the rest, which they hold.
    writes: Arc<Mutex<Writes>>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    sink: Sink,
    importers: Vec<Importer>,
    exporters: Vec<Arc<Exporter>>,
    pushed_to: Vec<Repository>,
    /// By blob: the importer that has it.
    holders: Mutex<HashMap<Digest, usize>>,
}

/// What the caches of a build have of cache mounts. It is no handle on the caches: writes do not live as long as it.
#[derive(Debug, Clone)]
pub struct Snapshots {
    inner: Arc<Inner>,
}

impl Snapshots {
    /// The snapshot that the caches have under a key, as [`Cache::get`] finds entries.
    pub async fn get(&self, key: &Digest) -> Option<Snapshot> {
        Some(self.inner.find::<Snapshot>(key).await?.0)
    }

    /// The snapshot whose place a new one takes, in the first cache that is written.
    ///
    /// # Errors
    /// The cache cannot be asked.
    pub async fn latest(&self, key: &Digest) -> Result<Option<Snapshot>> {
        match self.inner.exporters.first() {
            Some(exporter) => exporter.latest(key).await,
            None => Ok(None),
        }
    }

    /// Brings the blob of a snapshot into the store, as [`Cache::fetch`] does.
    ///
    /// # Errors
    /// The cache does not have it any more, or something else.
    pub async fn fetch(&self, blob: &Descriptor) -> Result<()> {
        self.inner.fetch(blob).await
    }
}

#[derive(Debug, Default)]
struct Writes {
    running: JoinSet<()>,
    /// What waits until the image is pushed.
    waiting: Vec<(Arc<Exporter>, Arc<Entry>)>,
}

impl Cache {
    /// The caches of a build. Nothing is asked yet.
    pub fn new(options: CacheOptions, store: Store, registry: &Client, sink: Sink) -> Self {
        let CacheOptions { from, to, sign, mut trusted, pushed_to } = options;
        trusted.extend(sign.iter().map(SigningKey::public));
        let import = |place: Place| {
            Importer::new(Backend::new(&place, registry), place, trusted.clone(), sink.clone())
        };
        let importers = from.into_iter().map(import).collect();
        let export = |target: Target| {
            if let Place::Directory { path } = &target.place {
                Directory::new(path.clone()).sweep();
            }
            Arc::new(Exporter::new(
                Backend::new(&target.place, registry),
                target,
                sign.clone(),
                trusted.clone(),
            ))
        };
        let exporters = to.into_iter().map(export).collect();
        let holders = Mutex::default();
        let inner = Inner { store, sink, importers, exporters, pushed_to, holders };
        Self { inner: Arc::new(inner), writes: Arc::default() }
    }

    /// Whether any cache is asked.
    pub fn reads(&self) -> bool {
        !self.inner.importers.is_empty()
    }

    /// Whether any cache wants entries of such steps.
    pub fn writes(&self, part: Part) -> bool {
        self.inner.exporters.iter().any(|exporter| exporter.wants(part))
    }

    /// What the caches know of a key: they are asked at once, and the first in the user's order counts. Never fails: a
    /// cache that does is warned of once and asked no more.
    ///
    /// The entry stands under its key and is well-formed, and the cache says that it has the blob of its layer.
    /// [`Self::fetch`] brings that.
    pub async fn get(&self, key: &Digest) -> Option<Found> {
        let (entry, importer) = self.inner.find::<Entry>(key).await?;
        Some(Found { entry, place: importer.place().clone() })
    }

    /// What the caches have of cache mounts.
    pub fn snapshots(&self) -> Snapshots {
        Snapshots { inner: self.inner.clone() }
    }

    /// Has a snapshot written to every cache that is written, in place of the one that is there, as [`Self::put`] has
    /// entries. `making` gives it once it is there, with how many of its layers are of one that is known; `None`:
    /// there is nothing new. Its blobs must be in the store, or in each of the caches.
    pub fn put_snapshot(
        &self,
        key: &Digest,
        making: impl Future<Output = Option<(Snapshot, usize)>> + Send + 'static,
    ) {
        let exporters = self.inner.exporters.iter().filter(|exporter| exporter.take(key, Part::Image));
        let exporters: Vec<_> = exporters.cloned().collect();
        let inner = self.inner.clone();
        lock(&self.writes).running.spawn(async move {
            let made = making.await;
            let importers = inner.importers.iter().filter_map(|importer| importer.place().repository());
            let mount_from: Vec<Repository> = importers.cloned().collect();
            let writes = exporters.iter().map(|to| to.replace(made.as_ref(), &mount_from, &inner.store));
            join_all(writes).await;
        });
    }

    /// Brings the blob of an entry that was found into the store, if it is not there: as a stream, verified.
    ///
    /// # Errors
    /// The cache does not have it any more, or something else. The step has to be done then.
    pub async fn fetch(&self, blob: &Descriptor) -> Result<()> {
        self.inner.fetch(blob).await
    }

    /// Writes an entry to every cache that wants it and does not have it, with the blob of its layer, which must be in
    /// the store or have been found in a cache. Returns at once; [`Self::finish`] waits for it. Must be called within a
    /// runtime.
    pub fn put(&self, entry: Entry, part: Part) {
        let entry = Arc::new(entry);
        for exporter in &self.inner.exporters {
            if !exporter.take(&entry.key, part) {
                continue;
            }
            let mut writes = lock(&self.writes);
            // The push sends this layer to the same registry. Behind it, a link is enough.
            if part == Part::Image && entry.layer.is_some() && exporter.is_beside(&self.inner.pushed_to) {
                writes.waiting.push((exporter.clone(), entry.clone()));
            } else {
                writes.spawn(&self.inner, exporter.clone(), entry.clone());
            }
        }
    }

    /// Has the record of a build written to every cache that is written, as [`Self::put`] has entries. Its key does not
    /// matter.
    pub fn put_build(&self, id: &str, making: impl Future<Output = Option<SharedBuild>> + Send + 'static) {
        let key = Digest::of(id.as_bytes());
        let exporters = self.inner.exporters.iter().filter(|exporter| exporter.take(&key, Part::Image));
        let exporters: Vec<_> = exporters.cloned().collect();
        if exporters.is_empty() {
            return;
        }
        let inner = self.inner.clone();
        lock(&self.writes).running.spawn(async move {
            let made = making.await;
            join_all(exporters.iter().map(|to| to.keep_build(made.as_ref(), &inner.store))).await;
        });
    }

    /// The records of builds that the caches have, in no order.
    pub async fn builds(&self) -> Vec<SharedBuild> {
        let inner = &self.inner;
        let mut asked: Vec<BoxFuture<'_, _>> = Vec::new();
        for (number, importer) in inner.importers.iter().enumerate() {
            let ask = |key| async move { Some((number, importer.get::<SharedBuild>(&key).await?)) }.boxed();
            asked.extend(places().map(ask));
        }
        let found: Vec<_> = stream::iter(asked).buffer_unordered(QUESTIONS).collect().await;
        let noted = found.into_iter().flatten().map(|(number, build)| {
            lock(&inner.holders).entry(build.record.descriptor.digest).or_insert(number);
            build
        });
        noted.collect()
    }

    /// Waits until everything is written, for `budget` at the most, and tells what came of it, for each cache in the
    /// user's order. To be called when the image is pushed. What failed is warned of.
    ///
    /// # Errors
    /// Something is missing in a cache whose failures are not to be ignored ([`Target::ignore_error`]).
    pub async fn finish(&self, budget: Duration) -> Result<Vec<Exported>> {
        let mut running = {
            let mut writes = lock(&self.writes);
            for (exporter, entry) in std::mem::take(&mut writes.waiting) {
                writes.spawn(&self.inner, exporter, entry);
            }
            std::mem::take(&mut writes.running)
        };
        let tasks: Vec<Running> = self.inner.exporters.iter().map(|exporter| self.task(exporter)).collect();
        let all = async { while running.join_next().await.is_some() {} };
        // What is missing by then is counted below.
        let _ = tokio::time::timeout(budget, all).await;
        running.shutdown().await;

        let (mut exported, mut failure) = (Vec::new(), None);
        for (exporter, task) in self.inner.exporters.iter().zip(tasks) {
            let (result, error) = exporter.result(budget.as_secs());
            match error {
                None => {
                    let outcome = if result.written > 0 { Outcome::Done } else { Outcome::Exists };
                    task.finish(outcome, None);
                }
                Some(error) if exporter.target.ignore_error => {
                    self.inner.sink.warn(format!("{error}; the build is done without"));
                }
                Some(error) => drop(failure.get_or_insert(error)),
            }
            exported.push(result);
        }
        failure.map_or(Ok(exported), Err)
    }

    fn task(&self, exporter: &Exporter) -> Running {
        self.inner.sink.start(Task::Export { output: format!("cache {}", exporter.target.place) }, None)
    }
}

impl Writes {
    fn spawn(&mut self, inner: &Arc<Inner>, exporter: Arc<Exporter>, entry: Arc<Entry>) {
        let inner = inner.clone();
        self.running.spawn(async move {
            let holder = entry.layer.as_ref().and_then(|layer| inner.holder(&layer.descriptor));
            let held = holder.and_then(|importer| importer.place().repository());
            let mount_from: Vec<_> = held.into_iter().chain(&inner.pushed_to).cloned().collect();
            exporter.write(&entry, &mount_from, holder, &inner.store).await;
        });
    }
}

impl Inner {
    /// What the caches know of a key, and the first that does.
    async fn find<T: Kept>(&self, key: &Digest) -> Option<(T, &Importer)> {
        let asked = self.importers.iter().enumerate();
        let mut answers: FuturesOrdered<_> =
            asked.map(|(number, importer)| async move { Some((number, importer.get(key).await?)) }).collect();
        while let Some(answer) = answers.next().await {
            let Some((number, found)): Option<(usize, T)> = answer else { continue };
            for layer in found.layers() {
                lock(&self.holders).entry(layer.descriptor.digest).or_insert(number);
            }
            return Some((found, &self.importers[number]));
        }
        None
    }

    async fn fetch(&self, blob: &Descriptor) -> Result<()> {
        if self.store.has_blob(blob) {
            return Ok(());
        }
        match (self.holder(blob), self.exporters.first()) {
            (Some(importer), _) => importer.fetch(blob, &self.store).await,
            // A snapshot of the cache that is written.
            (None, Some(exporter)) => exporter.backend.fetch(blob, &self.store).await,
            (None, None) => Err(CacheError::Absent { digest: Box::new(blob.digest) }),
        }
    }

    fn holder(&self, blob: &Descriptor) -> Option<&Importer> {
        let number = lock(&self.holders).get(&blob.digest).copied()?;
        self.importers.get(number)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Maps and lists, which no panic leaves half-changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
