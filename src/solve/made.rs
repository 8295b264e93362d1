//! The first part of a node's result: what is to be in its layer.
//!
//! What a cache knows of a node is only the digest of what it left. That is enough for the keys of later steps and for
//! the image; the entries are found when a step looks at them, and not before.

use std::sync::{Arc, Mutex, OnceLock, atomic::Ordering};

use super::{
    StepError,
    key::{KeyBuilder, layer_key},
    run::{Run, lock},
    step,
};
use crate::{
    error::Failure,
    graph::NodeId,
    layer::{Entry, Layer},
    oci::Digest,
    rootfs::{self, RootfsError, TarIndex},
    store::Bucket,
};

/// What a node left.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// The digest of the tar that a command left: its entries are in there.
    tar: Option<Digest>,
    entries: OnceLock<Vec<Entry>>,
    index: OnceLock<Arc<TarIndex>>,
    content: OnceLock<Digest>,
    /// Held while entries or index are found: each once. A node looks at earlier ones only, so nobody waits for himself.
    finding: Mutex<()>,
}

impl Made {
    /// These entries.
    pub(super) fn new(entries: Vec<Entry>) -> Self {
        Self { entries: OnceLock::from(entries), ..Self::default() }
    }

    /// What was made before, known by its content key alone.
    pub(super) fn known(content: Digest) -> Self {
        Self { content: OnceLock::from(content), ..Self::default() }
    }

    /// What a tar holds whose digest is known: nothing has to be hashed again.
    pub(super) fn of_tar(diff_id: Digest) -> Self {
        Self { tar: Some(diff_id), content: OnceLock::from(Self::key_of_tar(&diff_id)), ..Self::default() }
    }

    /// The same, where the tar has been looked at.
    pub(super) fn of_index(index: &Arc<TarIndex>, diff_id: Digest) -> Self {
        Self { index: OnceLock::from(Arc::clone(index)), ..Self::of_tar(diff_id) }
    }

    /// The content key of what a tar of this digest holds.
    pub(super) fn key_of_tar(diff_id: &Digest) -> Digest {
        let mut key = KeyBuilder::new(b"imgbuild tar 1");
        key.part(diff_id.as_bytes());
        key.finish()
    }

    /// The digest of everything that the entries say, contents included. Blocks.
    pub(super) fn content_key(&self) -> Result<Digest, StepError> {
        if let Some(key) = self.content.get() {
            return Ok(*key);
        }
        // What is not known by its key is known by its entries.
        let entries = self.entries.get().map(Vec::as_slice).unwrap_or_default();
        let key = layer_key(entries, "").map_err(StepError::Content)?;
        Ok(*self.content.get_or_init(|| key))
    }

    /// The content key, where it needs no hashing.
    pub(super) fn ready_content_key(&self) -> Option<Digest> {
        self.content.get().copied()
    }

    /// The entries, where nobody has to look for them.
    pub(super) fn ready_entries(&self) -> Option<&[Entry]> {
        self.entries.get().map(Vec::as_slice)
    }

    /// The entries, sorted. Blocks: files may be looked for, and layers fetched.
    pub(super) fn entries(&self, run: &Arc<Run>, id: NodeId) -> Result<&[Entry], StepError> {
        if let Some(entries) = self.entries.get() {
            return Ok(entries);
        }
        let index = self.tar.is_some().then(|| self.index(run, id)).transpose()?;
        let _finding = lock(&self.finding);
        if let Some(entries) = self.entries.get() {
            return Ok(entries);
        }
        let entries = match index {
            Some(index) => index.layer(),
            None => step::entries(run, id)?,
        };
        Ok(self.entries.get_or_init(|| entries))
    }

    /// The entries as other steps look at them. Most layers are never looked at, so the index is made on demand. Blocks.
    pub(super) fn index(&self, run: &Arc<Run>, id: NodeId) -> Result<Arc<TarIndex>, RootfsError> {
        if let Some(index) = self.index.get() {
            return Ok(Arc::clone(index));
        }
        let index = match self.tar {
            Some(diff_id) => {
                let _finding = lock(&self.finding);
                match self.index.get() {
                    Some(index) => Arc::clone(index),
                    None => tar_index(run, id, &diff_id)?,
                }
            }
            None => {
                let entries =
                    self.entries(run, id).map_err(|error| RootfsError::Layer(Failure::from(error)))?;
                Arc::new(step::index_of(entries)?)
            }
        };
        Ok(Arc::clone(self.index.get_or_init(|| index)))
    }
}

/// Whether [`tar_index`] would find what it needs.
pub(super) fn has_tar(run: &Run, diff_id: &Digest) -> Result<bool, StepError> {
    Ok(rootfs::has(&run.engine.store, diff_id) || run.layer_of_tar(diff_id)?.is_some())
}

/// The index of a tar that a command left: of the tar itself, else of the blob that was made of it, here or elsewhere.
fn tar_index(run: &Arc<Run>, id: NodeId, diff_id: &Digest) -> Result<Arc<TarIndex>, RootfsError> {
    let store = &run.engine.store;
    if let Some(index) = rootfs::load(store, diff_id)? {
        return Ok(index);
    }
    let what = &run.node_of(id).name;
    let layer = run.layer_of_tar(diff_id).map_err(|error| RootfsError::Layer(error.into()))?;
    let lost = || {
        run.lost.store(true, Ordering::Relaxed);
        RootfsError::Layer(StepError::Lost { step: what.clone() }.into())
    };
    let Some(layer @ Layer { descriptor, .. }) = &layer else {
        // Its index says that it is there, and is wrong: the next build finds neither, and runs the command again.
        let _ = std::fs::remove_file(store.record_path(Bucket::Indices, diff_id));
        return Err(lost());
    };
    if !store.has_blob(descriptor) {
        // Another machine's cache said that it has it.
        let cache = run.cache.as_ref().ok_or_else(lost)?;
        tokio::runtime::Handle::current().block_on(cache.fetch(descriptor)).map_err(|error| {
            run.engine.sink.warn(format!("{what}: {error}"));
            lost()
        })?;
    }
    // A cache may lie about what is in a blob, but not about how much.
    rootfs::materialise_promised(store, layer, what, || Ok(store.open_blob(&descriptor.digest)?))
}
