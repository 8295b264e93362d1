//! The layers of bases on their way: each is brought in once, a few at a time, and whoever needs one waits for it.
//!
//! A base costs a manifest and a config until something looks into it. Of an image that is only copied from, the layers
//! that are looked at come. Where commands will run on it, all of them are wanted soon, and come side by side while the
//! steps before the first command are done.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
};

use tokio::{
    runtime::Handle,
    sync::{Semaphore, watch},
    task::JoinSet,
};

use super::{
    StepError,
    run::{Run, blocking, lock},
};
use crate::{
    error::{Explain, Kind},
    graph::{BaseId, Node},
    image::{BaseLayer, fetch_layer},
    oci::Digest,
    recipe::StepKind,
    rootfs::{self, RootfsError, TarIndex},
};

/// How many layers are brought in at once.
const AT_ONCE: usize = 8;

/// What came of a layer: whoever asks again is told the same.
type Brought = Result<Arc<TarIndex>, Arc<RootfsError>>;

/// What is under way, and what has come.
pub(super) struct BaseLayers {
    layers: Mutex<HashMap<Digest, watch::Receiver<Option<Brought>>>>,
    /// `None` when the build is over. The tasks hold nothing of the run: they end with it.
    tasks: Mutex<Option<JoinSet<()>>>,
    permits: Arc<Semaphore>,
}

impl BaseLayers {
    pub(super) fn new() -> Self {
        let permits = Arc::new(Semaphore::new(AT_ONCE));
        Self { layers: Mutex::default(), tasks: Mutex::new(Some(JoinSet::new())), permits }
    }

    /// Ends what nobody waits for any more; nothing begins after this.
    pub(super) async fn end(&self) {
        let tasks = lock(&self.tasks).take();
        if let Some(mut tasks) = tasks {
            tasks.shutdown().await;
        }
    }
}

/// The index of a base's layer, whose tar is then in the store. Blocks.
pub(super) fn index(run: &Arc<Run>, id: BaseId, layer: &BaseLayer) -> Result<Arc<TarIndex>, RootfsError> {
    if let Some(index) = rootfs::load(&run.engine.store, &layer.diff_id)? {
        return Ok(index);
    }
    let is_command = |node: &Node| matches!(node.kind, StepKind::Run(_)) && node.below.base == Some(id);
    if run.graph.nodes.iter().any(is_command) {
        begin(run, id);
    }
    let mut awaited = bring(run, id, layer);
    let brought = Handle::current().block_on(async { awaited.wait_for(Option::is_some).await.ok()?.clone() });
    match brought {
        Some(Ok(index)) => Ok(index),
        Some(Err(error)) => Err(RootfsError::Layer(Box::new(Known(error)))),
        None => Err(RootfsError::Layer(StepError::Worker("the build was cancelled".to_owned()).into())),
    }
}

/// Begins with all layers of a base that are not here.
pub(super) fn begin(run: &Run, id: BaseId) {
    for layer in run.bases[id.0].layers() {
        if !run.engine.store.tar_path(&layer.diff_id).exists() {
            bring(run, id, &layer);
        }
    }
}

fn bring(run: &Run, id: BaseId, layer: &BaseLayer) -> watch::Receiver<Option<Brought>> {
    let mut layers = lock(&run.base_layers.layers);
    if let Some(known) = layers.get(&layer.diff_id) {
        return known.clone();
    }
    let (tell, awaited) = watch::channel(None);
    layers.insert(layer.diff_id, awaited.clone());
    let (engine, base, layer) = (run.engine.clone(), Arc::clone(&run.bases[id.0]), layer.clone());
    let ships = run.graph.images.iter().any(|image| image.base == Some(id));
    let (ready, permits) = (ships.then(|| Arc::clone(&run.ready)), Arc::clone(&run.base_layers.permits));
    let brought = async move {
        let _permit = permits.acquire().await;
        let fetched = fetch_layer(&engine.store, &engine.registry, &base, &layer).await;
        fetched.map_err(|error| RootfsError::Layer(error.into()))?;
        if let Some(ready) = ready {
            ready(&layer.descriptor, Some(&base.origin));
        }
        let materialised = blocking(move || {
            let open = || Ok(engine.store.open_blob(&layer.descriptor.digest)?);
            rootfs::materialise_layer(&engine.store, &layer.diff_id, &base.name, open)
        });
        materialised.await.map_err(|error| RootfsError::Layer(error.into()))?
    };
    if let Some(tasks) = lock(&run.base_layers.tasks).as_mut() {
        tasks.spawn(async move {
            let brought = brought.await.map_err(Arc::new);
            tell.send_replace(Some(brought));
        });
    }
    awaited
}

/// The failure of a layer that several wait for.
#[derive(Debug)]
struct Known(Arc<RootfsError>);

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Known {}

impl Explain for Known {
    fn kind(&self) -> Kind {
        self.0.kind()
    }

    fn hints(&self) -> Vec<String> {
        self.0.hints()
    }

    fn detail(&self) -> Option<String> {
        self.0.detail()
    }
}
