//! One run of a graph: every node once, in parallel as far as they need each other, cancelled together.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::{OnceCell, Semaphore, SetOnce},
    task::{JoinSet, block_in_place, spawn_blocking},
};

use super::{
    Engine, FILE_TIME, Options, Ready, StepError,
    base_layers::BaseLayers,
    command::{self, Carried, Commands},
    journal::{Journal, share},
    layers::Piece,
    made::{Made, has_tar},
    step,
};
use crate::{
    cache::Cache,
    context::{Context, Ignore},
    error::Failure,
    event::{Outcome, Running, Task},
    graph::{Graph, Node, NodeId, Origin, Tree},
    image::Base,
    layer::{Compression, Entry},
    lock::Pins,
    oci::Digest,
    recipe::{ContextSource, StepKind},
    rootfs::{RootfsError, TarIndex},
    store::Bucket,
};

/// What a run holds. Shared by the tasks of its nodes.
pub(super) struct Run {
    pub(super) engine: Engine,
    pub(super) graph: Arc<Graph>,
    pub(super) bases: Vec<Arc<Base>>,
    pub(super) contexts: BTreeMap<String, Context>,
    /// The time of files that have none of their own.
    pub(super) mtime: i64,
    /// The same, if the user set it.
    pub(super) source_date_epoch: Option<i64>,
    /// What is enough to believe that a step need not be carried out.
    pub(super) trust: Trust,
    /// Whether something was needed that a record spoke of, and is gone.
    pub(super) lost: AtomicBool,
    /// What was found in contexts before its turn.
    pub(super) ahead: step::Ahead,
    /// What views have looked at.
    pub(super) placed: step::PlacedLayers,
    /// The bases' layers on their way.
    pub(super) base_layers: BaseLayers,
    /// What `imgbuild why` will tell.
    pub(super) journal: Journal,
    /// What the commands share.
    pub(super) commands: Commands,
    /// Hears of what can be sent already.
    pub(super) ready: Ready,
    pub(super) compression: Compression,
    /// How many layers a copy makes at the most that does not say it itself.
    pub(super) split_copies: u8,
    /// What names mean, where a lock says it.
    pub(super) pins: Option<Arc<Pins>>,
    /// Whether what names mean is asked for again.
    pub(super) pull: bool,
    no_cache: bool,
    no_cache_stages: BTreeSet<String>,
    made: Vec<SetOnce<Arc<Made>>>,
    pub(super) limits: Limits,
    /// Layers under way by content key: two nodes of the same content write one layer.
    pub(super) layers: Mutex<HashMap<Digest, Arc<OnceCell<Vec<Piece>>>>>,
    /// The caches of other machines, if there are any.
    pub(super) cache: Option<Cache>,
}

/// What of an earlier build counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// That it is recorded. Most of what steps leave is not needed again; if it is, and is gone, the run fails with
    /// [`Run::lost`].
    Records,
    /// That what it left is here.
    Content,
}

/// How many nodes are worked at at once. A node that waits for others holds nothing.
pub(super) struct Limits {
    /// Finding entries: each holds a thread while it waits for a download, which needs threads of its own.
    entries: Semaphore,
    /// Writing layers: each holds chunks in memory, and two are enough to keep the compressing threads busy.
    pub(super) layers: Semaphore,
}

impl Limits {
    fn new(threads: usize) -> Self {
        Self { entries: Semaphore::new(32), layers: Semaphore::new((threads / 4).clamp(2, 4)) }
    }
}

impl Run {
    pub(super) fn new(
        engine: Engine,
        graph: Arc<Graph>,
        bases: Vec<Arc<Base>>,
        options: &Options,
        mut journal: Journal,
        ready: Ready,
        trust: Trust,
    ) -> Result<Arc<Self>, Failure> {
        command::check(&graph, &options.commands)?;
        for stage in &options.no_cache_stages {
            if !graph.nodes.iter().any(|node| node.stage == *stage) {
                engine.sink.warn(format!(
                    "no step is built without the cache: there is no stage {stage:?} in this build"
                ));
            }
        }
        let contexts = open_contexts(&engine, &graph, options)?;
        journal.opened(&contexts);
        let made = graph.nodes.iter().map(|_| SetOnce::new()).collect();
        let limits = Limits::new(engine.pool.threads());
        Ok(Arc::new(Self {
            engine,
            graph,
            bases,
            contexts,
            mtime: options.source_date_epoch.unwrap_or(FILE_TIME),
            source_date_epoch: options.source_date_epoch,
            trust,
            lost: AtomicBool::new(false),
            ahead: step::Ahead::default(),
            placed: step::PlacedLayers::default(),
            base_layers: BaseLayers::new(),
            journal,
            commands: Commands::new(&options.commands),
            ready,
            compression: options.compression,
            split_copies: options.split_copies,
            pins: options.pins.clone(),
            pull: options.pull,
            no_cache: options.no_cache,
            no_cache_stages: options.no_cache_stages.clone(),
            made,
            limits,
            layers: Mutex::default(),
            cache: options.cache.clone(),
        }))
    }

    /// Carries out all nodes and gives the layers of those that are shipped, by node. On the first failure the others
    /// are cancelled.
    pub(super) async fn finish(self: Arc<Self>) -> Result<HashMap<usize, Vec<Piece>>, Failure> {
        let mut tasks = JoinSet::new();
        for id in 0..self.graph.nodes.len() {
            let run = Arc::clone(&self);
            tasks.spawn(async move {
                let (outcome, layers) = run.node(NodeId(id)).await?;
                if outcome == Outcome::Done {
                    run.tell_ready(&layers);
                }
                Ok::<_, Failure>((id, layers))
            });
        }
        let layers = collect(&mut tasks).await;
        if layers.is_err() {
            self.engine.sink.cancel();
        }
        // On an error, those that are left are cancelled, and have ended before it is told.
        tasks.shutdown().await;
        self.base_layers.end().await;
        // A run that is done again is not told of.
        if !self.lost.load(Ordering::Relaxed) {
            let record = self.journal.keep(layers.is_ok(), |id| self.at_hand(id), &self.engine.sink);
            if let (Some(cache), true) = (&self.cache, layers.is_ok()) {
                share(&self.engine, cache, record);
            }
        }
        self.commands.finish(&self);
        if layers.is_ok() {
            command::export(&self);
        }
        layers
    }

    pub(super) fn node_of(&self, id: NodeId) -> &Node {
        &self.graph.nodes[id.0]
    }

    /// The first part of an earlier node's result. Nodes wait for those that they look at before they begin.
    pub(super) fn made(&self, id: NodeId) -> Option<&Arc<Made>> {
        self.made[id.0].get()
    }

    /// What is in an earlier node's layer, sorted. Blocks.
    pub(super) fn entries(self: &Arc<Self>, id: NodeId) -> Result<&[Entry], StepError> {
        self.made(id).map_or(Ok(&[]), |made| made.entries(self, id))
    }

    /// The same as other steps look at it. Blocks.
    pub(super) fn index(self: &Arc<Self>, id: NodeId) -> Result<Arc<TarIndex>, RootfsError> {
        match self.made(id) {
            Some(made) => made.index(self, id),
            None => Ok(Arc::new(step::index_of(&[])?)),
        }
    }

    /// What is known of a node's result without looking for it: its content key and, where they are at hand, its entries.
    fn at_hand(&self, id: NodeId) -> Option<(Digest, Option<&[Entry]>)> {
        let made = self.made(id)?;
        Some((made.ready_content_key()?, made.ready_entries()))
    }

    async fn node(self: &Arc<Self>, id: NodeId) -> Result<(Outcome, Vec<Piece>), Failure> {
        let node = self.node_of(id);
        let ahead = async {
            let Some(wanted) = step::wanted_ahead(self, id) else { return Ok(()) };
            let _permit = self.limits.entries.acquire().await;
            let run = Arc::clone(self);
            blocking(move || step::look_ahead(&run, wanted)).await
        };
        let below = async {
            for needed in needed(node) {
                self.made[needed.0].wait().await;
            }
            Ok(())
        };
        tokio::try_join!(ahead, below).map_err(|error: StepError| error.at(node))?;
        let carried = match &node.kind {
            StepKind::Run(command) => command::carry_out(self, id, command).await,
            _ => self.files(id).await,
        };
        let carried = carried.inspect_err(|_| self.journal.failed(id));
        let Carried { made, outcome: first, task, key, tar } = carried.map_err(|error| error.at(node))?;
        let made = Arc::new(made);
        // Set once: each node has one task.
        let _ = self.made[id.0].set(Arc::clone(&made));
        // The image needs a layer, and so does who is told of a command: others find the entries again.
        let told = tar.is_some_and(|tar| self.tells(id) && has_tar(self, &tar.diff_id).unwrap_or(false));
        let (outcome, layers) = if node.shipped || told {
            let layers = self.layers(id, Arc::clone(&made), &task).await;
            let (outcome, layers) = layers.inspect_err(|_| self.journal.failed(id))?;
            let ran = first == Outcome::Done && tar.is_some();
            (if ran { first } else { outcome }, layers)
        } else {
            (first, Vec::new())
        };
        if let Some(key) = &key
            && let Some(content) = made.ready_content_key()
            && (!layers.is_empty() || tar.is_none())
        {
            self.share(id, key, content, tar, &layers);
        }
        let bytes = layers.iter().map(|piece| piece.layer.descriptor.size).sum();
        self.journal.ended(id, outcome, &task, (!layers.is_empty()).then_some(bytes));
        // Of several layers, the lowest is named.
        let size = layers.first().map(|piece| (piece.layer.descriptor.digest, bytes));
        if let Some(task) = Arc::into_inner(task) {
            task.finish(outcome, size);
        }
        Ok((outcome, layers))
    }

    /// The first part of a node that is no command.
    async fn files(self: &Arc<Self>, id: NodeId) -> Result<Carried, StepError> {
        let _permit = self.limits.entries.acquire().await;
        let (run, task) = (Arc::clone(self), self.start(id));
        let key = blocking(move || step::key(&run, id)).await??;
        if let Some(key) = &key
            && !self.avoids_cache(id)
            && let Some(content) = self.known(id, key).await?
        {
            let made = Made::known(content);
            return Ok(Carried { made, outcome: Outcome::Cached, task, key: Some(*key), tar: None });
        }
        let run = Arc::clone(self);
        let made = blocking(move || {
            let made = Made::new(step::entries(&run, id)?);
            if let Some(key) = &key {
                run.engine.store.put_record(Bucket::Steps, key, &made.content_key()?)?;
            }
            Ok::<_, StepError>(made)
        });
        Ok(Carried { made: made.await??, outcome: Outcome::Done, task, key, tar: None })
    }

    /// The content key of what a step that is no command left before.
    async fn known(&self, id: NodeId, key: &Digest) -> Result<Option<Digest>, StepError> {
        match self.engine.store.record::<Digest>(Bucket::Steps, key)? {
            Some(content) => Ok(Some(content)),
            None => self.shared_step(id, key).await,
        }
    }

    /// Tells that a node is begun.
    pub(super) fn start(&self, id: NodeId) -> Arc<Running> {
        let node = self.node_of(id);
        let (number, of) = node.number;
        let platform = match &node.platforms[..] {
            [only] if self.graph.images.len() > 1 => Some(only.clone()),
            _ => None,
        };
        let (stage, name) = (node.stage.clone(), node.name.clone());
        Arc::new(self.engine.sink.start(Task::Step { stage, platform, number, of, name }, None))
    }

    pub(super) fn avoids_cache(&self, id: NodeId) -> bool {
        self.no_cache || self.no_cache_stages.contains(&self.node_of(id).stage)
    }
}

/// The layers of all nodes, or the first failure.
async fn collect(
    tasks: &mut JoinSet<Result<(usize, Vec<Piece>), Failure>>,
) -> Result<HashMap<usize, Vec<Piece>>, Failure> {
    let mut layers = HashMap::new();
    while let Some(done) = tasks.join_next().await {
        let (id, pieces) = done.map_err(|error| StepError::Worker(error.to_string()))??;
        layers.insert(id, pieces);
    }
    Ok(layers)
}

/// The nodes whose entries a node looks at.
fn needed(node: &Node) -> Vec<NodeId> {
    let trees = node.origins.iter().filter_map(|origin| match origin {
        Origin::Tree(tree) => Some(tree),
        Origin::Context(_) | Origin::Url(_) | Origin::Git(_) => None,
    });
    trees.chain([&node.below]).flat_map(|tree: &Tree| tree.nodes.iter().copied()).collect()
}

/// The build contexts that the graph uses.
fn open_contexts(
    engine: &Engine,
    graph: &Graph,
    options: &Options,
) -> Result<BTreeMap<String, Context>, Failure> {
    let mut contexts = BTreeMap::new();
    for name in used_contexts(graph) {
        let Some(ContextSource::Directory(path)) = options.contexts.get(name) else {
            return Err(StepError::NoContext { name: name.to_owned() }.into());
        };
        // An ignore file beside the spec speaks of the main context alone.
        let beside = options.file.as_deref().filter(|_| name.is_empty());
        let ignore = Ignore::load(path, beside)?;
        let context = Context::open(path, ignore, &engine.store, &engine.sink)?;
        let home = engine.store.root().canonicalize().unwrap_or_else(|_| engine.store.root().to_owned());
        let inside = home.strip_prefix(context.root()).ok();
        if inside.is_some_and(|home| !context.ignore().matches(home.as_os_str().as_encoded_bytes())) {
            engine.sink.warn(format!(
                "the local store {} lies in the build context and may be copied with it; \
                 name it in .dockerignore, or set IMGBUILD_HOME to another place",
                home.display()
            ));
        }
        contexts.insert(name.to_owned(), context);
    }
    Ok(contexts)
}

/// The names of the build contexts that the graph uses.
pub(super) fn used_contexts(graph: &Graph) -> BTreeSet<&str> {
    let origins = graph.nodes.iter().flat_map(|node| &node.origins);
    let contexts = origins.filter_map(|origin| match origin {
        Origin::Context(name) => Some(name.as_str()),
        Origin::Tree(_) | Origin::Url(_) | Origin::Git(_) => None,
    });
    contexts.collect()
}

/// Runs work that blocks (files, hashing) on a thread of its own.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StepError> {
    spawn_blocking(work).await.map_err(|error| StepError::Worker(error.to_string()))
}

/// Runs work that blocks and is mostly short on this thread, whose other tasks are taken over by another one meanwhile. To
/// another thread and back takes longer than such work, and a chain of commands does it for each.
pub(super) fn briefly<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(work),
        _ => work(),
    }
}

/// Locks, also after a panic of another thread: the maps are never left half-changed.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
