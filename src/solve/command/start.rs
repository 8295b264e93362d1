//! Getting the sandbox.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::{FutureExt, future::BoxFuture};

use super::{
    super::{StepError, run::blocking},
    machine::{Ended, Listed, Machine, Output},
};
use crate::{
    error::Failure,
    layer::Entry,
    sandbox::{Captured, Execution, Mode, Sandbox, Settings},
    store::{Store, TreesHeld},
};

/// Starts the sandbox, with its trees in the store.
pub(super) async fn start(store: &Store, mode: Option<Mode>) -> Result<Arc<dyn Machine>, StepError> {
    let shared = store.clone();
    let trees = blocking(move || shared.hold_trees()).await??;
    let settings = Settings { mode, scratch: store.temporary_path(), program: None };
    let sandbox = Sandbox::start(&settings).await.map_err(|error| StepError::Other(error.into()))?;
    Ok(Arc::new(Sandboxed { flavour: sandbox.flavour(), sandbox, _trees: trees }))
}

#[derive(Debug)]
struct Sandboxed {
    sandbox: Sandbox,
    flavour: String,
    /// As long as a step may run.
    _trees: TreesHeld,
}

impl Machine for Sandboxed {
    fn flavour(&self) -> &str {
        &self.flavour
    }

    fn no_emulation(&self) -> Option<String> {
        self.sandbox.no_emulation().map(ToString::to_string)
    }

    fn shares_mounts(&self) -> bool {
        // Without mounts, a directory is moved to where it is to be seen.
        self.sandbox.mode() != Mode::Chroot
    }

    fn run<'a>(
        &'a self,
        execution: &'a Execution,
        output: Output<'a>,
    ) -> BoxFuture<'a, Result<Ended, Failure>> {
        async move {
            let ran = self.sandbox.run(execution, output).await?;
            Ok(Ended { exit: ran.exit, captured: ran.captured, warnings: ran.warnings })
        }
        .boxed()
    }

    fn unpack<'a>(
        &'a self,
        entries: Vec<Entry>,
        dir: &'a Path,
        lower: &'a [PathBuf],
    ) -> BoxFuture<'a, Result<Vec<String>, Failure>> {
        async move { Ok(self.sandbox.unpack(entries, dir, lower).await?) }.boxed()
    }

    fn settle<'a>(&'a self, from: &'a Path, to: &'a Path) -> BoxFuture<'a, Result<(), Failure>> {
        async move { Ok(self.sandbox.settle(from, to).await?) }.boxed()
    }

    fn list<'a>(&'a self, dir: &'a Path, owner: (u32, u32)) -> BoxFuture<'a, Result<Listed, Failure>> {
        async move { Ok(self.sandbox.list(dir, owner).await?) }.boxed()
    }

    fn pack<'a>(&'a self, entries: Vec<Entry>, out: &'a Path) -> BoxFuture<'a, Result<Captured, Failure>> {
        async move { Ok(self.sandbox.pack(entries, out).await?) }.boxed()
    }

    fn remove<'a>(&'a self, dir: &'a Path) -> BoxFuture<'a, Result<(), Failure>> {
        async move { Ok(self.sandbox.remove(dir).await?) }.boxed()
    }
}
