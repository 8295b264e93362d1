//! All that the sandbox is told of a command.

use std::sync::Arc;

use super::{
    super::{
        StepError,
        run::{Run, briefly},
        step::view,
    },
    account::account,
    bind::Bound,
    certificates,
    emulator::Emulation,
    environment, files,
    machine::Machine,
    mounts::{self, Mounts},
    trees::trees,
};
use crate::{
    graph::Node,
    recipe::{self, Network, Security},
    sandbox::{self, Execution, Root},
};

/// A command that is ready to run, and what must live while it does.
pub(super) struct Ready {
    pub(super) execution: Execution,
    /// Whether its programs are another platform's.
    pub(super) emulated: bool,
    _mounts: Mounts,
}

/// Makes everything ready that a command needs.
pub(super) async fn ready(
    run: &Arc<Run>,
    machine: &dyn Machine,
    node: &Node,
    command: &recipe::Run,
    bound: &[Bound],
) -> Result<Ready, StepError> {
    let options = &run.commands.options;
    let mut lower = trees(run, machine, &node.below).await?;
    lower.extend(certificates::tree(run, machine, &node.below).await?);
    let account = briefly(|| account(&view(run, &node.below), &command.user))?;
    let emulation = run.commands.emulation(run, machine, &node.runs_on).await?;
    // Last of what takes time: it locks caches that others may wait for.
    let mut mounts = mounts::mounts(run, machine, command, bound).await?;
    let network = match command.network {
        Network::Default => options.network,
        asked => asked,
    };
    let agent = mounts.agent.as_deref();
    let mut env = environment::environment(command, &account, options, run.source_date_epoch, agent);
    for (name, value) in &mounts.env {
        environment::set(&mut env, name, value);
    }
    let mut files = files::files(options, run.commands.bundle(&run.engine.store).await?, network);
    files.append(&mut mounts.files);
    let mut limits = options.limits.clone();
    limits.timeout = command.timeout.or(limits.timeout);
    let emulated = emulation != Emulation::Unneeded;
    let store = &run.engine.store;
    let execution = Execution {
        argv: command.argv.clone(),
        env,
        workdir: command.workdir.clone(),
        user: account.user,
        emulator: match emulation {
            Emulation::Own(emulator) => Some(emulator),
            Emulation::Unneeded | Emulation::Hosts => None,
        },
        of_32_bits: !emulated && matches!(&*node.runs_on.architecture.to_string(), "386" | "arm"),
        root: Root { lower, upper: store.temporary_path() },
        mounts: std::mem::take(&mut mounts.mounts),
        files,
        network: match network {
            Network::None => sandbox::Network::None,
            Network::Default | Network::Host => sandbox::Network::Host,
        },
        privileged: command.security == Security::Insecure,
        limits,
        latest_mtime: run.source_date_epoch,
        changes: store.temporary_path(),
        locks: std::mem::take(&mut mounts.locks),
    };
    Ok(Ready { execution, emulated, _mounts: mounts })
}
