//! RUN steps: commands that run in the image, and what is mounted for them.

use std::{sync::Arc, time::Duration};

use super::{CopySource, FileMode, Rules};
use crate::source::Location;

/// Runs a command in the image. All that the command can see is here: nothing is taken from the config that the steps
/// before it have made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The command, shell included.
    pub argv: Vec<String>,
    /// The whole environment, in order; a later one of the same name wins. Most commands have that of the one before.
    pub env: Arc<Vec<(String, String)>>,
    /// The working directory, absolute; made where it is missing.
    pub workdir: String,
    /// The user as `USER` takes it: `name`, `uid`, with `:group` or `:gid`. Empty is root.
    pub user: String,
    /// Where the file says so; `None` where the base image does, or nobody.
    pub user_from: Option<Location>,
    /// What is mounted while it runs, in order.
    pub mounts: Vec<Mount>,
    /// Its network.
    pub network: Network,
    /// What it may do.
    pub security: Security,
    /// How long it may take.
    pub timeout: Option<Duration>,
    /// Whose words its errors are told in.
    pub rules: Rules,
}

/// Something that is mounted while a command runs (Dockerfile reference, "RUN --mount").
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mount {
    /// Files of a context, a stage or an image.
    Bind(BindMount),
    /// A directory that outlives the build and is never in the image.
    Cache(CacheMount),
    /// A directory in memory.
    Tmpfs(TmpfsMount),
    /// A secret.
    Secret(SecretMount),
    /// The user's SSH agent.
    Ssh(SshMount),
}

/// Files of a context, a stage or an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindMount {
    /// Where: absolute.
    pub target: String,
    /// Where they come from.
    pub from: CopySource,
    /// The same in words, for errors alone: ``the stage `build` ``; `None` is the main context, or unknown.
    pub from_words: Option<String>,
    /// Their path there; empty is the root.
    pub source: String,
    /// Whether the command may write; what it writes is thrown away.
    pub writable: bool,
}

/// A directory that outlives the build and is never in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheMount {
    /// Where: absolute.
    pub target: String,
    /// Its name; the target if not given.
    pub id: Option<String>,
    /// Who may use it at once.
    pub sharing: Sharing,
    /// What it begins with, and the path there; an empty directory if not given.
    pub from: Option<(CopySource, String)>,
    /// What it begins with in words, as of [`BindMount::from_words`].
    pub from_words: Option<String>,
    /// Whether the command may only read.
    pub read_only: bool,
    /// The mode of a new directory; 0755 if not given.
    pub mode: Option<FileMode>,
    /// The owner of a new directory.
    pub uid: u32,
    /// The group of a new directory.
    pub gid: u32,
}

/// Who may use a cache directory at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Sharing {
    /// Everybody.
    #[default]
    Shared,
    /// One step: others at the same time get a directory of their own.
    Private,
    /// One step: others wait.
    Locked,
}

/// A directory in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TmpfsMount {
    /// Where: absolute.
    pub target: String,
    /// Its largest size in bytes.
    pub size: Option<u64>,
}

/// A secret: never in a layer, a key or a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretMount {
    /// The secret's name.
    pub id: String,
    /// The file that holds it, absolute.
    pub file: Option<String>,
    /// The variable that holds it.
    pub env: Option<String>,
    /// Whether the step fails without it.
    pub required: bool,
    /// The file's mode; 0400 if not given.
    pub mode: Option<FileMode>,
    /// The file's owner.
    pub uid: u32,
    /// The file's group.
    pub gid: u32,
}

/// The user's SSH agent; `SSH_AUTH_SOCK` names the first one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshMount {
    /// The agent's name.
    pub id: String,
    /// The socket, absolute.
    pub target: String,
    /// Whether the step fails without it.
    pub required: bool,
    /// The socket's mode; 0600 if not given.
    pub mode: Option<FileMode>,
    /// The socket's owner.
    pub uid: u32,
    /// The socket's group.
    pub gid: u32,
}

/// The network of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Network {
    /// What the sandbox gives.
    #[default]
    Default,
    /// None.
    None,
    /// The host's.
    Host,
}

/// What a command may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Security {
    /// What commands in a container may.
    #[default]
    Sandbox,
    /// All that the sandbox itself may. Refused unless the user allows it for the build.
    Insecure,
}
