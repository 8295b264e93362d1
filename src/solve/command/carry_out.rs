//! A RUN node's life: from its key to the entries of its layer.

use std::{
    collections::{HashMap, HashSet},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Instant,
};

use tokio::sync::{OnceCell, Semaphore};

use super::{
    super::{
        StepError, base_layers,
        made::{Made, has_tar},
        run::{Run, Trust, briefly, lock},
    },
    bind::{Bound, bound},
    certificates,
    emulated::Emulated,
    emulator::{Emulation, emulation},
    execution::{Ready, ready},
    failed::FailedCommand,
    key::run_key,
    log::Log,
    machine::{Ended, Machine},
    options::CommandOptions,
    output::{Line, Lines, Masks},
    record::RunRecord,
    snapshot::Used,
    trees::{folder, settle},
};
use crate::{
    cache::Tar,
    event::{Outcome, Running},
    graph::NodeId,
    oci::{Digest, Platform},
    recipe,
    rootfs::{self, TarIndex},
    sandbox::{Exit, Network, Stream},
    store::{Bucket, Store, StoreError},
};

/// How many layers are unpacked at once: more would only make the disk seek.
pub(super) const UNPACKING: usize = 4;

/// What the commands of a build share.
pub(in super::super) struct Commands {
    pub(super) options: CommandOptions,
    pub(super) masks: Masks,
    /// Commands that run. Whoever waits for one holds no layer and no other permit.
    permits: Semaphore,
    machine: OnceCell<Arc<dyn Machine>>,
    /// Where the certificates are, for the sandbox to copy.
    bundle: OnceCell<PathBuf>,
    /// Trees under way: each is unpacked once.
    pub(super) trees: Mutex<HashMap<PathBuf, Arc<OnceCell<()>>>>,
    pub(super) unpacking: Semaphore,
    /// The bases whose unpacking was told: each once, however many commands wait for it.
    pub(super) told: Mutex<HashSet<usize>>,
    /// Commands under way by key: two nodes of one key run once.
    running: Mutex<HashMap<Digest, Arc<OnceCell<Did>>>>,
    /// What runs commands of other platforms, by platform.
    /// The cache mounts that were used.
    pub(super) mounts: Used,
    emulations: Mutex<HashMap<Platform, Arc<OnceCell<Emulation>>>>,
    emulated: Emulated,
}

impl Commands {
    pub(in super::super) fn new(options: &CommandOptions) -> Self {
        Self {
            options: options.clone(),
            masks: Masks::new(options.secret_texts()),
            permits: Semaphore::new(options.jobs.get()),
            machine: OnceCell::new(),
            bundle: OnceCell::new(),
            trees: Mutex::default(),
            unpacking: Semaphore::new(UNPACKING),
            told: Mutex::default(),
            running: Mutex::default(),
            mounts: Used::default(),
            emulations: Mutex::default(),
            emulated: Emulated::new(),
        }
    }

    /// The sandbox: started when the first command has to run, and not before.
    pub(super) async fn machine(&self, run: &Run) -> Result<Arc<dyn Machine>, StepError> {
        let start = async || {
            let machine = super::start::start(&run.engine.store, self.options.mode).await?;
            // What dead processes left, and only a sandbox may remove: perhaps many files, and nobody waits for that.
            let left_behind = run.engine.store.left_behind();
            if !left_behind.is_empty() {
                let (machine, sink) = (Arc::clone(&machine), run.engine.sink.clone());
                tokio::spawn(async move {
                    for folder in left_behind {
                        if let Err(error) = machine.remove(&folder).await {
                            sink.warn(error.to_string());
                        }
                    }
                });
            }
            Ok::<_, StepError>(machine)
        };
        self.machine.get_or_try_init(start).await.map(Arc::clone)
    }

    /// The sandbox, if a command has needed it.
    pub(super) fn started(&self) -> Option<Arc<dyn Machine>> {
        self.machine.get().cloned()
    }

    /// A file with the certificates that commands get, if they get any.
    pub(super) async fn bundle(&self, store: &Store) -> Result<Option<&Path>, StoreError> {
        let Some(certificates) = &self.options.certificates else { return Ok(None) };
        let write = async || {
            let path = store.temporary_path();
            std::fs::write(&path, certificates)
                .and_then(|()| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)))
                .map_err(StoreError::io("write", &path))?;
            Ok::<_, StoreError>(path)
        };
        Ok(Some(self.bundle.get_or_try_init(write).await?.as_path()))
    }

    /// What runs commands of a platform.
    pub(super) async fn emulation(
        &self,
        run: &Arc<Run>,
        machine: &dyn Machine,
        platform: &Platform,
    ) -> Result<Emulation, StepError> {
        let cell = Arc::clone(lock(&self.emulations).entry(platform.clone()).or_default());
        let find = || emulation(run, platform, machine.no_emulation());
        cell.get_or_try_init(find).await.cloned()
    }

    /// Tells what can only be told when all is over.
    pub(in super::super) fn finish(&self, run: &Run) {
        if let Some(advice) = self.emulated.advice() {
            run.engine.sink.warn(advice);
        }
    }
}

/// What a command did: its tar, and what is in it, where that was looked at.
type Did = (Tar, Option<Arc<TarIndex>>);

/// A node's result, and how it came: the task that runs since then.
pub(in super::super) struct Carried {
    pub(in super::super) made: Made,
    pub(in super::super) outcome: Outcome,
    pub(in super::super) task: Arc<Running>,
    /// The key of the step, if it has one.
    pub(in super::super) key: Option<Digest>,
    /// The tar of what a command changed.
    pub(in super::super) tar: Option<Tar>,
}

/// Carries out a node's command, or finds what it did before.
pub(in super::super) async fn carry_out(
    run: &Arc<Run>,
    id: NodeId,
    command: &recipe::Run,
) -> Result<Carried, StepError> {
    let (bound, key) = briefly(|| {
        let node = run.node_of(id);
        let bound = bound(run, node, command)?;
        let digests: Vec<Digest> = bound.iter().map(|bound| bound.digest).collect();
        let (key, parts) = run_key(run, node, command, &digests)?;
        run.journal.keyed(id, key, parts);
        bound.iter().for_each(|bound| bound.note(run));
        Ok::<_, StepError>((bound, key))
    })?;
    let cell = Arc::clone(lock(&run.commands.running).entry(key).or_default());
    let (mut outcome, mut task) = (Outcome::Cached, None);
    let (tar, index) = cell
        .get_or_try_init(async || {
            if let Some(did) = known(run, id, &key).await? {
                return Ok(did);
            }
            outcome = Outcome::Done;
            let new = New { run, id, command, bound: &bound, key: &key };
            let (did, running) = new.run().await?;
            task = Some(running);
            Ok::<_, StepError>(did)
        })
        .await?;
    let task = task.unwrap_or_else(|| run.start(id));
    let made = match index {
        Some(index) => Made::of_index(index, tar.diff_id),
        None => Made::of_tar(tar.diff_id),
    };
    Ok(Carried { made, outcome, task, key: Some(key), tar: Some(*tar) })
}

/// What the command with this key did before, if all of it is still there.
async fn known(run: &Arc<Run>, id: NodeId, key: &Digest) -> Result<Option<Did>, StepError> {
    if run.avoids_cache(id) {
        return Ok(None);
    }
    if let Some(RunRecord { diff_id, size }) = run.engine.store.record::<RunRecord>(Bucket::Runs, key)? {
        // What later steps did with it may be known, too: then nobody needs it, and it may be gone. If it is here, it stays
        // as long as this build needs it.
        let promised = run.trust == Trust::Records && !run.node_of(id).shipped;
        if has_tar(run, &diff_id)? || promised {
            return Ok(Some((Tar { diff_id, size }, None)));
        }
    }
    Ok(run.shared_command(id, key).await?.map(|tar| (tar, None)))
}

/// A command that has to be run.
struct New<'a> {
    run: &'a Arc<Run>,
    id: NodeId,
    command: &'a recipe::Run,
    bound: &'a [Bound],
    key: &'a Digest,
}

impl New<'_> {
    async fn run(&self) -> Result<(Did, Arc<Running>), StepError> {
        let run = self.run;
        let node = run.node_of(self.id);
        let reason = briefly(|| run.journal.missed(self.id, None, run.avoids_cache(self.id)))?;
        if let Some(base) = node.below.base {
            base_layers::begin(run, base);
        }
        let machine = run.commands.machine(run).await?;
        let ready = ready(run, machine.as_ref(), node, self.command, self.bound).await?;
        // A closed semaphore is none of ours: it lives as long as the run.
        let permit = run.commands.permits.acquire().await;
        let task = run.start(self.id);
        reason.into_iter().for_each(|reason| task.missed(reason));
        let (ended, tail) = self.execute(machine.as_ref(), &ready, &task).await?;
        drop(permit);
        ended.warnings.iter().for_each(|warning| run.engine.sink.warn(format!("{}: {warning}", node.name)));
        let captured = match (ended.exit, ended.captured) {
            (Exit::Code(0), Some(captured)) => captured,
            (exit, _) => return Err(self.failed(exit, tail, &ready).into()),
        };
        captured
            .warnings
            .iter()
            .for_each(|warning| run.engine.sink.warn(format!("{}: {warning}", node.name)));
        let record = RunRecord { diff_id: captured.diff_id, size: captured.size };
        let index = self.keep(machine.as_ref(), &ready, record).await?;
        Ok(((Tar { diff_id: captured.diff_id, size: captured.size }, Some(index)), task))
    }

    async fn execute(
        &self,
        machine: &dyn Machine,
        ready: &Ready,
        task: &Running,
    ) -> Result<(Ended, Vec<String>), StepError> {
        let (store, node) = (&self.run.engine.store, self.run.node_of(self.id));
        let mut log = Log::new(store);
        let mut unwritten = None;
        let mut lines = Lines::new(self.run.commands.masks.clone(), |line: Line<'_>| {
            task.output(line.stderr, line.text);
            if let Err(error) = log.add(&line) {
                unwritten.get_or_insert(error);
            }
        });
        let mut output = |stream: Stream, bytes: &[u8]| lines.push(stream, bytes);
        let begun = Instant::now();
        let ended = machine.run(&ready.execution, &mut output).await;
        if ready.emulated {
            self.run.commands.emulated.add(&node.runs_on.to_string(), begun.elapsed());
        }
        let tail = lines.finish();
        // A full disk is told by the command or by what is written next; a log alone is no reason to fail.
        let kept = match unwritten {
            Some(error) => Err(error.to_string()),
            None => log.keep(self.key).map_err(|error| error.to_string()),
        };
        if let Err(error) = kept {
            self.run.engine.sink.warn(format!("failed to keep the output of {}: {error}", node.name));
        }
        Ok((ended.map_err(StepError::Other)?, tail))
    }

    fn failed(&self, exit: Exit, tail: Vec<String>, ready: &Ready) -> FailedCommand {
        let node = self.run.node_of(self.id);
        FailedCommand {
            step: node.name.clone(),
            exit,
            tail,
            foreign: ready.emulated.then(|| node.runs_on.to_string()),
            offline: ready.execution.network == Network::None,
            secrets: self.missing_secrets(),
            log: self.key.hex()[..12].to_owned(),
        }
    }

    fn missing_secrets(&self) -> Vec<String> {
        let given = &self.run.commands.options.secrets;
        let ids = self.command.mounts.iter().filter_map(|mount| match mount {
            recipe::Mount::Secret(secret) => Some(&secret.id),
            _ => None,
        });
        ids.filter(|id| !given.contains_key(*id)).cloned().collect()
    }

    /// Keeps what the command did: its tar, the tree for later commands, the record that names them.
    async fn keep(
        &self,
        machine: &dyn Machine,
        ready: &Ready,
        record: RunRecord,
    ) -> Result<Arc<TarIndex>, StepError> {
        let run = self.run;
        let upper = &ready.execution.root.upper;
        let path = folder(run, machine).join(Made::key_of_tar(&record.diff_id).hex());
        settle(run, machine, upper, &path).await?;
        briefly(|| {
            let (store, name) = (&run.engine.store, &run.node_of(self.id).name);
            let index = rootfs::adopt(store, &record.diff_id, name, &ready.execution.changes)?;
            if let Some(bundle) = &run.commands.options.certificates
                && let Some(path) = certificates::left_in(&index.layer(), bundle)
            {
                run.engine.sink.warn(format!(
                    "{name}: it changed /{path} in place, which then holds the certificates of this machine"
                ));
            }
            store.put_record(Bucket::Runs, self.key, &record)?;
            Ok(index)
        })
    }
}
