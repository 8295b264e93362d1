//! Layers as trees, each unpacked once and kept in the store.
//!
//! `FLAVOUR/DIGEST` in the store's [`trees`](crate::store::Store::trees) is what a layer says and nothing else, named by its diffID or its content key. A layer that
//! does not tell of all directories that it has something in means something else on other layers: the name of its tree
//! then stands for those below it, too.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use tokio::sync::OnceCell;

use super::{
    super::{
        StepError,
        key::KeyBuilder,
        run::{Run, blocking, lock},
        step::view,
    },
    carry_out::UNPACKING,
    machine::Machine,
};
use crate::{
    event::{Outcome, Running, Task},
    graph::{BaseId, Tree},
    layer::Entry,
    oci::Digest,
    rootfs,
    store::{Store, StoreError},
};

/// A layer of a tree, and where it is unpacked or will be.
struct Wanted {
    number: usize,
    of_base: bool,
    /// Where it is if it tells of all its directories.
    plain: PathBuf,
    /// Where it is if it does not.
    chained: PathBuf,
}

/// The trees of a root file system, lowest first: those that are not there yet are unpacked.
pub(super) async fn trees(
    run: &Arc<Run>,
    machine: &dyn Machine,
    tree: &Tree,
) -> Result<Vec<PathBuf>, StepError> {
    let (wanted, store) = (wanted(run, machine, tree)?, &run.engine.store);
    let missing: Vec<&Wanted> = wanted.iter().filter(|one| one.found(store).is_none()).collect();
    if !missing.is_empty() {
        let task = missing.iter().any(|one| one.of_base).then_some(tree.base).flatten();
        let task = task.and_then(|id| tell(run, id));
        let prepared: Vec<_> =
            missing.into_iter().map(|one| prepare(run, machine, tree, one).boxed()).collect();
        // Not all at once: each holds a thread while it waits for its layer.
        let prepared = stream::iter(prepared).buffered(2 * UNPACKING).try_collect::<Vec<_>>().await?;
        // These look at those below.
        for (one, entries) in prepared.into_iter().flatten() {
            let lower: Vec<_> = wanted[..one.number].iter().filter_map(|one| one.found(store)).collect();
            unpacked(run, machine, &one.chained, entries, &distinct(lower)).await?;
        }
        if let Some(task) = task {
            task.finish(Outcome::Done, None);
        }
    }
    // Whatever is missing now was removed meanwhile: a root without it would be another one.
    let found: Option<Vec<PathBuf>> = wanted.iter().map(|one| one.found(store)).collect();
    Ok(distinct(found.ok_or(StepError::TreeVanished)?))
}

/// Unpacks a layer, unless it has to look at the trees below: then its entries come back.
async fn prepare<'a>(
    run: &Arc<Run>,
    machine: &dyn Machine,
    tree: &Tree,
    one: &'a Wanted,
) -> Result<Option<(&'a Wanted, Vec<Entry>)>, StepError> {
    match entries(run, tree, one.number).await? {
        (entries, true) => unpacked(run, machine, &one.plain, entries, &[]).await.map(|()| None),
        (entries, false) => Ok(Some((one, entries))),
    }
}

/// Tells that the layers of a base are unpacked, once: that may take long, and is no part of a command's own time.
fn tell(run: &Run, id: BaseId) -> Option<Running> {
    let first = lock(&run.commands.told).insert(id.0);
    let image = run.bases[id.0].name.clone();
    first.then(|| run.engine.sink.start(Task::Unpack { image }, None))
}

fn wanted(run: &Run, machine: &dyn Machine, tree: &Tree) -> Result<Vec<Wanted>, StepError> {
    let folder = folder(run, machine);
    let layers = tree.base.map(|id| run.bases[id.0].layers()).unwrap_or_default();
    let of_base = layers.len();
    let mut names: Vec<Digest> = layers.into_iter().map(|layer| layer.diff_id).collect();
    for id in &tree.nodes {
        // Nodes wait for those below them before they begin.
        if let Some(made) = run.made(*id) {
            names.push(made.content_key()?);
        }
    }
    let mut chain = KeyBuilder::new(b"imgbuild tree chain 1").finish();
    let mut wanted = Vec::new();
    for (number, name) in names.into_iter().enumerate() {
        let mut key = KeyBuilder::new(b"imgbuild tree chain 1");
        key.part(chain.as_bytes());
        key.part(name.as_bytes());
        chain = key.finish();
        let (plain, chained) = (folder.join(name.hex()), folder.join(chain.hex()));
        wanted.push(Wanted { number, of_base: number < of_base, plain, chained });
    }
    Ok(wanted)
}

impl Wanted {
    fn found(&self, store: &Store) -> Option<PathBuf> {
        [&self.plain, &self.chained].into_iter().find(|path| store.use_folder(path)).cloned()
    }
}

/// A layer's entries, and whether they tell of all directories that they lie in.
async fn entries(run: &Arc<Run>, tree: &Tree, number: usize) -> Result<(Vec<Entry>, bool), StepError> {
    let (run, tree) = (Arc::clone(run), tree.clone());
    blocking(move || {
        let lower = tree.base.map_or(0, |id| run.bases[id.0].layers().len());
        if let Some(at) = number.checked_sub(lower) {
            let id = tree.nodes[at];
            return Ok((run.entries(id)?.to_vec(), run.index(id)?.is_complete()));
        }
        // As the layers below place it: behind links of theirs, perhaps.
        let placed = view(&run, &tree).layer(number)?;
        let raw = match tree.base.map(|id| run.bases[id.0].layers()) {
            Some(layers) => rootfs::load(&run.engine.store, &layers[number].diff_id)?,
            None => None,
        };
        let complete = raw.map_or_else(|| placed.is_complete(), |raw| raw.is_complete());
        Ok((placed.layer(), complete))
    })
    .await?
}

/// Where trees are.
pub(super) fn folder(run: &Run, machine: &dyn Machine) -> PathBuf {
    run.engine.store.trees().join(machine.flavour())
}

/// Makes sure that these entries are unpacked at `path`. Nothing half-done is ever there.
pub(super) async fn unpacked(
    run: &Run,
    machine: &dyn Machine,
    path: &Path,
    entries: Vec<Entry>,
    lower: &[PathBuf],
) -> Result<(), StepError> {
    let cell: Arc<OnceCell<()>> = Arc::clone(lock(&run.commands.trees).entry(path.to_owned()).or_default());
    let once = async || {
        if run.engine.store.use_folder(path) {
            return Ok(());
        }
        unpack(run, machine, path, entries, lower).await
    };
    cell.get_or_try_init(once).await?;
    Ok(())
}

/// Unpacks these entries at `path`, where there is nothing, or an empty directory.
pub(super) async fn unpack(
    run: &Run,
    machine: &dyn Machine,
    path: &Path,
    entries: Vec<Entry>,
    lower: &[PathBuf],
) -> Result<(), StepError> {
    let _permit = run.commands.unpacking.acquire().await;
    let temporary = run.engine.store.temporary_path();
    let warnings = machine.unpack(entries, &temporary, lower).await.map_err(StepError::Other)?;
    warnings.into_iter().for_each(|warning| run.engine.sink.warn(warning));
    settle(run, machine, &temporary, path).await
}

/// Gives a finished tree its final name; where another process was faster, this one goes.
pub(super) async fn settle(
    run: &Run,
    machine: &dyn Machine,
    temporary: &Path,
    path: &Path,
) -> Result<(), StepError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(StoreError::io("create", parent))?;
    }
    match run.engine.store.keep_folder(temporary, path) {
        Ok(()) => Ok(()),
        // A directory that nobody may write to, or only another id, cannot be moved by everybody: its `..` changes.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::DirectoryNotEmpty
                    | io::ErrorKind::AlreadyExists
                    | io::ErrorKind::PermissionDenied
            ) =>
        {
            machine.settle(temporary, path).await.map_err(StepError::Other)
        }
        Err(error) => Err(StoreError::io("rename a directory to", path)(error).into()),
    }
}

/// Without trees that say nothing, and without the lower ones of those that come twice: the upper one says the same,
/// and overlayfs does not take a directory twice.
fn distinct(trees: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut seen = HashSet::new();
    let mut kept: Vec<PathBuf> = trees.into_iter().rev().filter(|tree| seen.insert(tree.clone())).collect();
    kept.retain(|tree| !fs::read_dir(tree).is_ok_and(|mut entries| entries.next().is_none()));
    kept.reverse();
    kept
}
