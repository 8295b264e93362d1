//! What is mounted for a command.

use std::{fs::File, path::PathBuf, sync::Arc};

use super::{
    super::{StepError, run::Run},
    bind::Bound,
    cache,
    machine::Machine,
    ssh::{Lent, lend},
};
use crate::{
    recipe::{self, CacheMount, Mount, SecretMount},
    sandbox::{FileContent, FileMount, RunMount},
};

/// The mounts of a command, and what must live as long as it runs.
#[derive(Default)]
pub(super) struct Mounts {
    pub(super) mounts: Vec<RunMount>,
    /// Secrets that are files.
    pub(super) files: Vec<FileMount>,
    /// Secrets that are variables.
    pub(super) env: Vec<(String, String)>,
    /// Where the first agent is.
    pub(super) agent: Option<String>,
    /// What keeps others from its caches.
    pub(super) locks: Vec<Arc<File>>,
    _lent: Vec<Lent>,
}

/// Makes everything ready that a command mounts. `bound` is what its binds and caches take from elsewhere.
pub(super) async fn mounts(
    run: &Arc<Run>,
    machine: &dyn Machine,
    command: &recipe::Run,
    bound: &[Bound],
) -> Result<Mounts, StepError> {
    let (binds, caches) = with_sources(command, bound);
    let mut lowers = Vec::with_capacity(binds.len());
    for from in &binds {
        lowers.push(from.trees(run, machine).await?);
    }
    // Last, so that nobody waits for a cache while something else is unpacked.
    let held = cache::hold(run, machine, &caches).await?;
    let mut binds = binds.into_iter().zip(lowers);
    let mut made =
        Mounts { locks: held.iter().map(|held| Arc::clone(&held.lock)).collect(), ..Mounts::default() };
    if !held.is_empty() && !machine.shares_mounts() {
        // The caches lie among what is temporary until the step has put them back, perhaps when this process is gone.
        made.locks.push(run.engine.store.temporary_lock());
    }
    let mut paths = held.into_iter().map(|held| held.path);
    for mount in &command.mounts {
        match mount {
            Mount::Bind(bind) => {
                if let Some((from, lower)) = binds.next() {
                    made.mounts.push(RunMount::Trees {
                        target: bind.target.clone(),
                        lower,
                        source: from.source.clone(),
                        read_only: !bind.writable,
                    });
                }
            }
            Mount::Cache(cache) => {
                made.mounts.extend(paths.next().map(|path| bind(&cache.target, path, cache.read_only)));
            }
            Mount::Tmpfs(tmpfs) => {
                made.mounts.push(RunMount::Tmpfs { target: tmpfs.target.clone(), size: tmpfs.size });
            }
            Mount::Secret(secret) => made.secret(run, secret)?,
            Mount::Ssh(ssh) => {
                if let Some(agent) = run.commands.options.agents.get(&ssh.id) {
                    let lent = lend(&run.engine.store, agent, run.engine.sink.clone())?;
                    made.mounts.push(RunMount::Socket {
                        target: ssh.target.clone(),
                        source: lent.socket.clone(),
                        mode: ssh.mode.map_or(0o600, |mode| mode.0),
                        uid: ssh.uid,
                        gid: ssh.gid,
                    });
                    made._lent.push(lent);
                    made.agent.get_or_insert_with(|| ssh.target.clone());
                }
            }
        }
    }
    Ok(made)
}

type Caches<'a> = Vec<(&'a CacheMount, Option<&'a Bound>)>;

/// Which of `bound` is for which mount.
fn with_sources<'a>(command: &'a recipe::Run, bound: &'a [Bound]) -> (Vec<&'a Bound>, Caches<'a>) {
    let (mut binds, mut caches, mut bound) = (Vec::new(), Vec::new(), bound.iter());
    for mount in &command.mounts {
        match mount {
            Mount::Bind(_) => binds.extend(bound.next()),
            Mount::Cache(cache) => caches.push((cache, cache.from.as_ref().and_then(|_| bound.next()))),
            Mount::Tmpfs(_) | Mount::Secret(_) | Mount::Ssh(_) => {}
        }
    }
    (binds, caches)
}

fn bind(target: &str, source: PathBuf, read_only: bool) -> RunMount {
    RunMount::Bind { target: target.to_owned(), source, read_only }
}

impl Mounts {
    fn secret(&mut self, run: &Run, secret: &SecretMount) -> Result<(), StepError> {
        // One that is missing and required was an error before anything began.
        let Some(value) = run.commands.options.secrets.get(&secret.id) else { return Ok(()) };
        if let Some(target) = &secret.file {
            self.files.push(FileMount {
                target: target.clone(),
                content: FileContent::Bytes(value.expose().to_vec()),
                mode: secret.mode.map_or(0o400, |mode| mode.0),
                uid: secret.uid,
                gid: secret.gid,
            });
        }
        if let Some(name) = &secret.env {
            let text = std::str::from_utf8(value.expose()).ok().filter(|text| !text.contains('\0'));
            let text = text.ok_or_else(|| StepError::SecretVariable { id: secret.id.clone() })?;
            self.env.push((name.clone(), text.to_owned()));
        }
        Ok(())
    }
}
