//! What a step is given, and how it ended.

use std::{
    fmt,
    fs::File,
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::Emulator;

/// One command to run. Paths inside the root are absolute, paths outside are those of the host.
#[derive(Clone, Serialize, Deserialize)]
pub struct Execution {
    /// The command and its arguments; the first is looked up in the environment's `PATH` inside the root.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// The working directory; made, owned by root, where it is missing.
    pub workdir: String,
    /// Who runs it.
    pub user: User,
    /// What runs programs of another platform. Without it, or on a rung that cannot have one, the host's own way is
    /// used, if it has any.
    pub emulator: Option<Emulator>,
    /// Whether the processor, of 64 bits, runs programs of 32: `uname -m` then tells them of a machine of their own kind,
    /// as an emulator would. Most build systems choose by that what they build for.
    pub of_32_bits: bool,
    /// Its root file system.
    pub root: Root,
    /// What is mounted on top, in order. Targets that are missing are made, and taken away again where nothing else
    /// came to be in them.
    pub mounts: Vec<RunMount>,
    /// `/etc/hosts`, `/etc/resolv.conf` and other files that are seen while it runs and are not in the layer.
    pub files: Vec<FileMount>,
    /// Its network.
    pub network: Network,
    /// Whether it keeps the capabilities that the sandbox has, and no filter is put on its system calls.
    pub privileged: bool,
    /// What it may use.
    pub limits: Limits,
    /// Files that changed and are later than this, in seconds since the epoch, get this time.
    pub latest_mtime: Option<i64>,
    /// The file, not there yet, that the changes are written to as a layer's uncompressed tar.
    pub changes: PathBuf,
    /// Locks, which the processes around the command hold too, but not the command: so they are held as long as it lives,
    /// whatever becomes of this process. 64 at the most.
    #[serde(skip)]
    pub locks: Vec<Arc<File>>,
}

/// Without the values of variables, which may be secrets.
impl fmt::Debug for Execution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.env.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Execution")
            .field("argv", &self.argv)
            .field("env", &names)
            .field("workdir", &self.workdir)
            .field("user", &self.user)
            .field("emulator", &self.emulator)
            .field("root", &self.root)
            .field("mounts", &self.mounts)
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

/// A root file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// Trees, lowest first: see [`super`].
    pub lower: Vec<PathBuf>,
    /// The tree, not there yet, that changes go to. It is left for later steps to stand on, or taken away if the command
    /// failed.
    pub upper: PathBuf,
}

/// The ids of a command. Names are for the caller to look up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Further groups.
    pub groups: Vec<u32>,
}

/// A directory or file that is seen at a place of the root while the command runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunMount {
    /// A directory or file of the host, written to directly unless read-only.
    Bind {
        /// Where.
        target: String,
        /// What: of the host.
        source: PathBuf,
        /// Whether writing fails.
        read_only: bool,
    },
    /// A socket of the host that was made for the command: it is given this mode and owner.
    Socket {
        /// Where.
        target: String,
        /// What: of the host.
        source: PathBuf,
        /// Its mode.
        mode: u32,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// A place in a stack of trees. What is written to it is thrown away.
    Trees {
        /// Where.
        target: String,
        /// Trees, lowest first.
        lower: Vec<PathBuf>,
        /// The directory or file in them; empty is their root.
        source: String,
        /// Whether writing fails.
        read_only: bool,
    },
    /// A directory in memory.
    Tmpfs {
        /// Where.
        target: String,
        /// Bytes; half of the memory if not given.
        size: Option<u64>,
    },
}

impl RunMount {
    /// Where it is seen.
    pub fn target(&self) -> &str {
        let (Self::Bind { target, .. }
        | Self::Socket { target, .. }
        | Self::Trees { target, .. }
        | Self::Tmpfs { target, .. }) = self;
        target
    }
}

/// A small file whose content the caller gives. It lies in memory only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMount {
    /// Where.
    pub target: String,
    /// What is in it.
    pub content: FileContent,
    /// Its mode.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

impl fmt::Debug for FileMount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileMount({})", self.target)
    }
}

/// What is in a file that a command sees.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileContent {
    /// These bytes: perhaps a secret's, so never printed.
    Bytes(#[serde(with = "super::protocol::bytes")] Vec<u8>),
    /// What is in this file of the host, which many steps need.
    Copy(PathBuf),
}

/// Without the bytes.
impl fmt::Debug for FileContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "Bytes({} of them)", bytes.len()),
            Self::Copy(path) => write!(f, "Copy({})", path.display()),
        }
    }
}

impl FileContent {
    pub(super) fn write_to(&self, file: &mut File) -> io::Result<()> {
        match self {
            Self::Bytes(bytes) => file.write_all(bytes),
            Self::Copy(path) => io::copy(&mut File::open(path)?, file).map(drop),
        }
    }
}

/// The network of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Network {
    /// The host's.
    #[default]
    Host,
    /// A loopback interface of its own, and nothing else.
    None,
}

/// What a command may use. The sandbox warns of a limit that the host does not let it set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory, in bytes.
    pub memory: Option<u64>,
    /// What may be swapped out of that much more, in bytes; unlimited if not given. Only together with `memory`.
    pub swap: Option<u64>,
    /// Cores, in thousandths.
    pub cpus: Option<u64>,
    /// The size of `/dev/shm` in bytes; 64 MiB if not given.
    pub shm_size: Option<u64>,
    /// Resource limits: name as `ulimit` options of container tools have it (`nofile`), soft, hard; `None` is unlimited.
    pub ulimits: Vec<(String, Option<u64>, Option<u64>)>,
    /// Time.
    pub timeout: Option<Duration>,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// By itself, with this status.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// The kernel ended it for want of memory.
    OutOfMemory,
    /// It took longer than it may.
    TimedOut,
}

/// Which of its outputs a command wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}
