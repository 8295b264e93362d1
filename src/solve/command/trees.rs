//! Layers as trees, each unpacked once and kept in the store.
//!
//! `trees/FLAVOUR/DIGEST` is what a layer says and nothing else, named by its diffID or its content key. A layer that
//! does not tell of all directories that it has something in means something else on other layers: the name of its tree
//! then stands for those below it, too.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::future::try_join_all;
use tokio::sync::OnceCell;

use super::{
    super::{
        StepError,
        key::KeyBuilder,
        run::{Run, blocking, lock},
        step::view,
    },
    machine::Machine,
};
use crate::{
    graph::Tree,
    image::{BaseLayer, fetch_layer},
    layer::Entry,
    oci::Digest,
    rootfs,
    store::StoreError,
};

/// A layer of a tree, and where it is unpacked or will be.
struct Wanted {
    number: usize,
    base: Option<BaseLayer>,
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
    let wanted = wanted(run, machine, tree)?;
    let missing: Vec<&Wanted> = wanted.iter().filter(|one| one.found().is_none()).collect();
    if !missing.is_empty() {
        if let Some(id) = tree.base {
            let (engine, base) = (&run.engine, &run.bases[id.0]);
            let layers = missing.iter().filter_map(|one| one.base.as_ref());
            try_join_all(layers.map(|layer| fetch(engine, base, layer))).await?;
        }
        let mut chained = Vec::new();
        let mut plain = Vec::new();
        for one in missing {
            match entries(run, tree, one.number).await? {
                (entries, true) => plain.push(unpacked(run, machine, &one.plain, entries, &[])),
                (entries, false) => chained.push((one, entries)),
            }
        }
        try_join_all(plain).await?;
        // These look at those below.
        for (one, entries) in chained {
            let lower: Vec<_> = wanted[..one.number].iter().filter_map(Wanted::found).collect();
            unpacked(run, machine, &one.chained, entries, &distinct(lower)).await?;
        }
    }
    // Whatever is missing now was removed meanwhile: a root without it would be another one.
    let found: Option<Vec<PathBuf>> = wanted.iter().map(Wanted::found).collect();
    Ok(distinct(found.ok_or(StepError::TreeVanished)?))
}

async fn fetch(
    engine: &super::super::Engine,
    base: &crate::image::Base,
    layer: &BaseLayer,
) -> Result<(), StepError> {
    if rootfs::load(&engine.store, &layer.diff_id)?.is_some() {
        return Ok(());
    }
    Ok(fetch_layer(&engine.store, &engine.registry, base, layer).await?)
}

fn wanted(run: &Run, machine: &dyn Machine, tree: &Tree) -> Result<Vec<Wanted>, StepError> {
    let folder = folder(run, machine);
    let layers = tree.base.map(|id| run.bases[id.0].layers()).unwrap_or_default();
    let mut names: Vec<(Digest, Option<BaseLayer>)> =
        layers.into_iter().map(|layer| (layer.diff_id, Some(layer))).collect();
    for id in &tree.nodes {
        // Nodes wait for those below them before they begin.
        if let Some(made) = run.made(*id) {
            names.push((made.content_key()?, None));
        }
    }
    let mut chain = KeyBuilder::new(b"imgbuild tree chain 1").finish();
    let mut wanted = Vec::new();
    for (number, (name, base)) in names.into_iter().enumerate() {
        let mut key = KeyBuilder::new(b"imgbuild tree chain 1");
        key.part(chain.as_bytes());
        key.part(name.as_bytes());
        chain = key.finish();
        let (plain, chained) = (folder.join(name.hex()), folder.join(chain.hex()));
        wanted.push(Wanted { number, base, plain, chained });
    }
    Ok(wanted)
}

impl Wanted {
    fn found(&self) -> Option<PathBuf> {
        [&self.plain, &self.chained].into_iter().find(|path| path.is_dir()).cloned()
    }
}

/// A layer's entries, and whether they tell of all directories that they lie in.
async fn entries(run: &Arc<Run>, tree: &Tree, number: usize) -> Result<(Vec<Entry>, bool), StepError> {
    let (run, tree) = (Arc::clone(run), tree.clone());
    blocking(move || {
        let lower = tree.base.map_or(0, |id| run.bases[id.0].layers().len());
        if let Some(made) = number.checked_sub(lower).and_then(|at| run.made(tree.nodes[at])) {
            return Ok((made.entries.clone(), made.index()?.is_complete()));
        }
        // As the layers below place it: behind links of theirs, perhaps.
        let complete = match tree.base.map(|id| run.bases[id.0].layers()) {
            Some(layers) => rootfs::load(&run.engine.store, &layers[number].diff_id)?,
            None => None,
        };
        let view = view(&run, &tree);
        let placed = view.layer(number)?;
        let complete = complete.map_or_else(|| placed.is_complete(), |raw| raw.is_complete());
        Ok((placed.layer(), complete))
    })
    .await?
}

/// Where trees are.
pub(super) fn folder(run: &Run, machine: &dyn Machine) -> PathBuf {
    run.engine.store.root().join("trees").join(machine.flavour())
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
    let unpack = async || {
        if path.is_dir() {
            return Ok(());
        }
        let _permit = run.commands.unpacking.acquire().await;
        let temporary = run.engine.store.temporary_path();
        let warnings = machine.unpack(entries, &temporary, lower).await.map_err(StepError::Other)?;
        warnings.into_iter().for_each(|warning| run.engine.sink.warn(warning));
        settle(machine, &temporary, path).await
    };
    cell.get_or_try_init(unpack).await?;
    Ok(())
}

/// Gives a finished tree its final name; where another process was faster, this one goes.
pub(super) async fn settle(machine: &dyn Machine, temporary: &Path, path: &Path) -> Result<(), StepError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(StoreError::io("create", parent))?;
    }
    match fs::rename(temporary, path) {
        Ok(()) => Ok(()),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) =>
        {
            machine.remove(temporary).await.map_err(StepError::Other)
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
