//! Writing to a cache, beside a build.

use std::{
    collections::HashSet,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::future::try_join_all;
use tokio::sync::Semaphore;

use super::{
    CacheError, Entry, Mode, Place, Result, SharedBuild, SigningKey, Snapshot, Target, TrustedKey,
    backend::{Backend, New},
    build::places_of,
    document::{self, Kept},
    import::Importer,
};
use crate::{
    error::{Explain, Kind},
    oci::{Digest, Repository},
    registry::RegistryError,
    store::Store,
};

/// How many entries are on their way to one cache at a time.
const AT_ONCE: usize = 4;

/// What a step is to the image that is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Its layer is one of the image's.
    Image,
    /// It is of a stage that the image only copies from.
    Between,
}

/// What came of writing to one cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The cache.
    pub place: Place,
    /// Entries that were written.
    pub written: usize,
    /// Entries that were there.
    pub present: usize,
    /// Entries that were not written, after a failure or for lack of time.
    pub missing: usize,
}

/// A cache that is written, until it fails.
#[derive(Debug)]
pub(super) struct Exporter {
    pub(super) backend: Backend,
    pub(super) target: Target,
    sign: Option<SigningKey>,
    trusted: Vec<TrustedKey>,
    gate: Semaphore,
    /// It failed and gets nothing more.
    off: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: HashSet<Digest>,
    written: usize,
    present: usize,
    failed: usize,
    failure: Option<CacheError>,
}

impl Exporter {
    /// What is there and is believed by `trusted` stays.
    pub(super) fn new(
        backend: Backend,
        target: Target,
        sign: Option<SigningKey>,
        trusted: Vec<TrustedKey>,
    ) -> Self {
        let (gate, off) = (Semaphore::new(AT_ONCE), AtomicBool::new(false));
        Self { backend, target, sign, trusted, gate, off, state: Mutex::default() }
    }

    pub(super) fn wants(&self, part: Part) -> bool {
        part == Part::Image || self.target.mode == Mode::Max
    }

    /// Whether the entry is to be written and nobody does it yet.
    pub(super) fn take(&self, key: &Digest, part: Part) -> bool {
        self.wants(part) && self.state().taken.insert(*key)
    }

    /// Whether a blob that is pushed to one of `images` can be linked from there once it is.
    pub(super) fn is_beside(&self, images: &[Repository]) -> bool {
        images.iter().any(|image| Some(image.registry()) == self.backend.registry())
    }

    /// Writes an entry. The blob of its layer is in the store, or `holder` has it.
    pub(super) async fn write(
        &self,
        entry: &Entry,
        mount_from: &[Repository],
        holder: Option<&Importer>,
        store: &Store,
    ) {
        let Ok(_permit) = self.gate.acquire().await else { return };
        if self.off.load(Ordering::Relaxed) {
            self.state().failed += 1;
            return;
        }
        let document = document::write(entry, self.sign.as_ref());
        let new = New { key: &entry.key, layers: entry.layers(), document: &document, mount_from };
        self.count(self.write_new(new, holder, store).await);
    }

    fn count(&self, done: Result<bool>) {
        let mut state = self.state();
        match done {
            Ok(true) => state.written += 1,
            Ok(false) => state.present += 1,
            Err(error) => {
                if !error.is_single() {
                    self.off.store(true, Ordering::Relaxed);
                }
                state.failed += 1;
                state.failure.get_or_insert(error);
            }
        }
    }

    /// The snapshot that is there, if there is one that is to be believed.
    pub(super) async fn latest(&self, key: &Digest) -> Result<Option<Snapshot>> {
        match self.backend.get(key, &self.trusted).await {
            Err(CacheError::Damaged { .. }) => Ok(None),
            Err(error) if error.kind() == Kind::Denied => Ok(None),
            other => other,
        }
    }

    /// Writes a snapshot in place of the one that is there; `None`: that one is as good. Of its layers, the first
    /// `known` are of one snapshot that somebody wrote before. Those that follow count as soon as each is there: what
    /// does not get there in time is all that is missing.
    pub(super) async fn replace(
        &self,
        snapshot: Option<&(Snapshot, usize)>,
        mount_from: &[Repository],
        store: &Store,
    ) {
        let Some((snapshot, known)) = snapshot else { return self.count(Ok(false)) };
        let Ok(_permit) = self.gate.acquire().await else { return };
        let mut done = Ok(true);
        for number in (known + 1).max(1)..=snapshot.layers.len() {
            if done.is_err() {
                break;
            }
            if self.off.load(Ordering::Relaxed) {
                self.state().failed += 1;
                return;
            }
            let part = Snapshot { layers: snapshot.layers[..number].to_vec(), ..snapshot.clone() };
            let document = document::write(&part, self.sign.as_ref());
            let new = New { key: &part.key, layers: &part.layers, document: &document, mount_from };
            done = self.backend.put(new, store).await.map(|()| true);
        }
        self.count(done);
    }

    /// Writes the record of a build in the place of an old one; `None`: there is none.
    pub(super) async fn keep_build(&self, build: Option<&SharedBuild>, store: &Store) {
        let Some(build) = build else { return self.count(Ok(false)) };
        let Ok(_permit) = self.gate.acquire().await else { return };
        if self.off.load(Ordering::Relaxed) {
            self.state().failed += 1;
            return;
        }
        let done = async {
            let places = places_of(&build.id).map(|key| async move {
                let found = match self.backend.get::<SharedBuild>(&key, &self.trusted).await {
                    Err(error) if !error.is_single() && error.kind() != Kind::Denied => return Err(error),
                    found => found.ok().flatten(),
                };
                Ok((found.map_or(0, |found| found.ended), key))
            });
            let places = try_join_all(places).await?;
            let Some((_, key)) = places.into_iter().min() else { return Ok(false) };
            let build = SharedBuild { key, ..build.clone() };
            let document = document::write(&build, self.sign.as_ref());
            let new = New { key: &key, layers: build.layers(), document: &document, mount_from: &[] };
            self.backend.put(new, store).await.map(|()| true)
        };
        self.count(done.await);
    }

    /// Whether it was missing. One that nobody would believe counts as missing.
    async fn write_new(&self, new: New<'_>, holder: Option<&Importer>, store: &Store) -> Result<bool> {
        match self.backend.get::<Entry>(new.key, &self.trusted).await {
            Ok(Some(_)) => return Ok(false),
            Ok(None) | Err(CacheError::Damaged { .. }) => {}
            // Registries may refuse to tell of a repository that the first push will make.
            Err(error) if error.kind() == Kind::Denied => {}
            Err(error) => return Err(error),
        }
        let missing = new.layers.iter().find(|layer| !store.has_blob(&layer.descriptor));
        match (self.backend.put(new, store).await, missing, holder) {
            // Nothing looked into it, and no registry could link it.
            (
                Err(CacheError::Registry(RegistryError::File { .. }) | CacheError::Store(_)),
                Some(layer),
                Some(holder),
            ) => {
                holder.fetch(&layer.descriptor, store).await?;
                self.backend.put(new, store).await?;
            }
            (other, ..) => other?,
        }
        Ok(true)
    }

    /// What came of it, and why it is not everything. To be asked when no writes are under way.
    pub(super) fn result(&self, seconds: u64) -> (Exported, Option<CacheError>) {
        let mut state = self.state();
        let of = state.taken.len();
        let (written, present) = (state.written, state.present);
        let place = || Box::new(self.target.place.clone());
        let missing = of.saturating_sub(written + present);
        let error = match state.failure.take() {
            Some(cause) => Some(CacheError::Write { place: place(), cause: Box::new(cause) }),
            None if missing > 0 => Some(CacheError::Unfinished { place: place(), missing, of, seconds }),
            None => None,
        };
        (Exported { place: *place(), written, present, missing }, error)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic is done under it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
