//! What runs commands, as this room needs it.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use futures_util::future::BoxFuture;

use crate::{
    error::Failure,
    layer::Entry,
    sandbox::{Captured, Execution, Exit, Stream},
};

/// What takes a command's output as it comes.
pub(super) type Output<'a> = &'a mut (dyn FnMut(Stream, &[u8]) + Send);

/// How a command ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) exit: Exit,
    /// What it changed; `None` where it failed.
    pub(super) captured: Option<Captured>,
    pub(super) warnings: Vec<String>,
}

/// What a directory holds, and what is not told of it.
pub(super) type Listed = (Vec<Entry>, Vec<String>);

/// What runs commands: the sandbox, or a test's stand-in for it.
pub(in super::super) trait Machine: fmt::Debug + Send + Sync {
    /// A name for directories that hold trees as it keeps them.
    fn flavour(&self) -> &str;

    /// Why commands cannot have emulators of their own, if they cannot.
    fn no_emulation(&self) -> Option<String> {
        None
    }

    /// Whether commands that run at once can write to one directory that is mounted.
    fn shares_mounts(&self) -> bool {
        true
    }

    /// Runs a command. It is ended when the future is dropped.
    fn run<'a>(
        &'a self,
        execution: &'a Execution,
        output: Output<'a>,
    ) -> BoxFuture<'a, Result<Ended, Failure>>;

    /// Unpacks a layer into a tree; gives what had to be left out.
    fn unpack<'a>(
        &'a self,
        entries: Vec<Entry>,
        dir: &'a Path,
        lower: &'a [PathBuf],
    ) -> BoxFuture<'a, Result<Vec<String>, Failure>>;

    /// Gives a tree its final name; where there is one with this name, this one goes.
    fn settle<'a>(&'a self, from: &'a Path, to: &'a Path) -> BoxFuture<'a, Result<(), Failure>>;

    /// What a directory that commands write to holds. `owner` has what nobody has recorded an owner of.
    fn list<'a>(&'a self, dir: &'a Path, owner: (u32, u32)) -> BoxFuture<'a, Result<Listed, Failure>>;

    /// Writes entries that were listed as a tar to a new file.
    fn pack<'a>(&'a self, entries: Vec<Entry>, out: &'a Path) -> BoxFuture<'a, Result<Captured, Failure>>;

    /// Removes a tree.
    fn remove<'a>(&'a self, dir: &'a Path) -> BoxFuture<'a, Result<(), Failure>>;
}
