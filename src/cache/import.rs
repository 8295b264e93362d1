//! Asking a cache.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{CacheError, Place, Result, TrustedKey, backend::Backend, document::Kept};
use crate::{
    event::{Outcome, Sink, Task},
    oci::{Descriptor, Digest},
    store::Store,
};

/// A cache that is asked, until it fails.
#[derive(Debug)]
pub(super) struct Importer {
    backend: Backend,
    place: Place,
    trusted: Vec<TrustedKey>,
    sink: Sink,
    /// It failed and is asked no more.
    off: AtomicBool,
    /// An entry of it was warned of.
    warned: AtomicBool,
}

impl Importer {
    pub(super) fn new(backend: Backend, place: Place, trusted: Vec<TrustedKey>, sink: Sink) -> Self {
        Self { backend, place, trusted, sink, off: AtomicBool::new(false), warned: AtomicBool::new(false) }
    }

    /// What is under this key. Whatever goes wrong is told once, and then counts as a miss.
    pub(super) async fn get<T: Kept>(&self, key: &Digest) -> Option<T> {
        if self.off.load(Ordering::Relaxed) {
            return None;
        }
        let found = self.backend.get(key, &self.trusted).await;
        found.unwrap_or_else(|error| {
            self.tell(&error);
            None
        })
    }

    fn tell(&self, error: &CacheError) {
        if error.is_single() {
            if !self.warned.swap(true, Ordering::Relaxed) {
                self.sink.warn(format!("the cache {}: {error}", self.place));
            }
        } else if !self.off.swap(true, Ordering::Relaxed) {
            self.sink.warn(format!("the build goes on without the cache {}: {error}", self.place));
        }
    }

    pub(super) async fn fetch(&self, blob: &Descriptor, store: &Store) -> Result<()> {
        // Registries tell of it themselves, and a directory is at hand.
        let told = matches!(self.place, Place::Bucket(_) | Place::Actions(_)) && !store.has_blob(blob);
        let task = told.then(|| {
            let task = Task::Fetch { from: self.place.to_string(), digest: Some(blob.digest) };
            self.sink.start(task, Some(blob.size))
        });
        self.backend.fetch(blob, store).await?;
        if let Some(task) = task {
            task.finish(Outcome::Done, Some((blob.digest, blob.size)));
        }
        Ok(())
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }
}
