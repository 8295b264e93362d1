//! Steps: what is done to a stage's file system or config.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;

use super::{ConfigChange, ImageSource};
use crate::{layer::EntryPath, oci::Digest, source::Location};

/// One step of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The step in a few words, for progress output: `copy src to /app/src`.
    pub name: String,
    /// The step as the image's history tells it (`created_by`).
    pub created_by: String,
    /// Where it is written, for errors.
    pub location: Option<Location>,
    /// What is done.
    pub kind: StepKind,
}

/// What a step does. All but [`StepKind::Config`] make a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepKind {
    /// Puts files of a context, a stage or an image into the image.
    Copy(Copy),
    /// Writes one file.
    Write(Write),
    /// Makes a directory.
    Mkdir(Mkdir),
    /// Makes a symbolic link.
    Symlink(Symlink),
    /// Removes what lower layers have.
    Remove(Remove),
    /// Puts an archive's files into the image.
    Unpack(Unpack),
    /// Adds a user (and its group) to the account files.
    Account(Account),
    /// Adds a group to the account files.
    Group(Group),
    /// Runs a command in the image.
    Run(Box<Run>),
    /// Changes the config alone.
    Config(Vec<ConfigChange>),
}

/// Puts files of a context, a stage or an image into the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Where the files come from.
    pub from: CopySource,
    /// Paths or globs (Go's `filepath.Match`, and `**`), relative to the root of `from`.
    pub sources: Vec<String>,
    /// Where they go.
    pub to: Destination,
    /// Patterns of `.dockerignore` syntax, relative to each source, of what is left out.
    pub exclude: Vec<String>,
    /// Who owns the files; root if not given.
    pub owner: Option<Owner>,
    /// The modes; the source's, normalised, if not given.
    pub modes: Modes,
    /// The files' times.
    pub timestamps: Timestamps,
    /// Whether the destination is taken as written and not looked up in the layers below (Dockerfile's `--link`):
    /// the layer then does not change when they do.
    pub independent: bool,
    /// Whether the sources' parent directories are kept below the destination (Dockerfile's `--parents`).
    pub parents: bool,
}

/// Where copied files come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopySource {
    /// A directory on this machine: the name of a build context, `""` for the main one.
    Context(String),
    /// An earlier stage, by its place in the recipe.
    Stage(usize),
    /// An image, for the stage's platform.
    Image(ImageSource),
}

/// Where files go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Into this directory, under the sources' names (a directory's content, as Docker's COPY has it, goes straight in).
    /// `None` is the root directory.
    Directory(Option<EntryPath>),
    /// A single file under this very name; a directory source puts its content into a directory of this name.
    Path(EntryPath),
}

/// An owner and a group, each by number or name. Names are looked up in the account files of the image.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The user.
    pub user: OwnerName,
    /// The group. Not given: a numbered user's group has the same number, a named user's group is its primary one.
    pub group: Option<OwnerName>,
}

/// A user or a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum OwnerName {
    /// By number.
    Id(u64),
    /// By name.
    Name(String),
}

/// The modes of copied files and directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Modes {
    /// Of files.
    pub files: Option<FileMode>,
    /// Of directories.
    pub directories: Option<FileMode>,
}

/// Permission bits, `0o7777` at the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileMode(pub u32);

/// The times of copied files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Timestamps {
    /// `SOURCE_DATE_EPOCH`, else the epoch.
    #[default]
    Fixed,
    /// The source's own, to the second.
    Preserve,
}

/// Writes one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The file.
    pub path: EntryPath,
    /// Its content.
    pub content: Bytes,
    /// Who owns it; root if not given.
    pub owner: Option<Owner>,
    /// Its mode; 0644 if not given.
    pub mode: Option<FileMode>,
}

/// Makes a directory, and its parents where they are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mkdir {
    /// The directory.
    pub path: EntryPath,
    /// Who owns it; root if not given.
    pub owner: Option<Owner>,
    /// Its mode; 0755 if not given.
    pub mode: Option<FileMode>,
}

/// Makes a symbolic link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symlink {
    /// The link.
    pub path: EntryPath,
    /// What it points to, as written.
    pub target: String,
    /// Who owns it; root if not given.
    pub owner: Option<Owner>,
}

/// Removes files and directories that lower layers have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remove {
    /// What goes.
    pub paths: Vec<EntryPath>,
    /// Whether a path that is not there is an error.
    pub must_exist: bool,
}

/// Puts an archive's files into the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpack {
    /// The archive.
    pub archive: Archive,
    /// The digest it must have.
    pub digest: Option<Digest>,
    /// The directory that its files go to; `None` is the root directory.
    pub to: Option<EntryPath>,
    /// How many leading parts of its entries' paths are cut off.
    pub strip: u32,
    /// Patterns of entries that are left out.
    pub exclude: Vec<String>,
    /// Who owns the files; the archive's numbers if not given.
    pub owner: Option<Owner>,
    /// The modes; the archive's if not given.
    pub modes: Modes,
}

/// Where an archive is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Archive {
    /// A file of a copy source.
    File {
        /// Where the file comes from.
        from: CopySource,
        /// Its path there.
        path: String,
    },
    /// On the web, http or https.
    Url(String),
}

/// Adds a user to `/etc/passwd` (and `/etc/shadow` where there is one), without running anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The login name.
    pub name: String,
    /// Its number; the next free one of the range if not given.
    pub uid: Option<u32>,
    /// Its primary group; one of the same name is made if not given.
    pub group: Option<AccountGroup>,
    /// Further groups, which must exist.
    pub groups: Vec<String>,
    /// Whether numbers come from the system's range (100 to 999) and no login shell is given.
    pub system: bool,
    /// The home directory; not made, but for `create_home`.
    pub home: Option<String>,
    /// Whether the home directory is made, owned by the user.
    pub create_home: bool,
    /// The login shell.
    pub shell: Option<String>,
    /// The comment field.
    pub comment: Option<String>,
}

/// A user's primary group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountGroup {
    /// An existing group, or one made with this number.
    Id(u32),
    /// An existing group, or one made with this name.
    Name(String),
}

/// Adds a group to `/etc/group` (and `/etc/gshadow` where there is one), without running anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its number; the next free one of the range if not given.
    pub gid: Option<u32>,
    /// Whether the number comes from the system's range.
    pub system: bool,
}

/// Runs a command in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The command, shell included.
    pub argv: Vec<String>,
    /// Variables for the command alone, besides the image's environment.
    pub env: BTreeMap<String, String>,
    /// What is mounted while it runs.
    pub mounts: Vec<Mount>,
    /// Its network.
    pub network: Network,
    /// How long it may take.
    pub timeout: Option<Duration>,
}

/// Something that is mounted while a command runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where: absolute.
    pub target: String,
    /// What.
    pub kind: MountKind,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountKind {
    /// A directory that outlives the build and is never in the image.
    Cache {
        /// Its name; the target if not given.
        id: Option<String>,
    },
    /// Files of a context, a stage or an image, seen read-only.
    Bind {
        /// Where they come from.
        from: CopySource,
        /// Their path there.
        source: String,
    },
    /// A directory in memory.
    Tmpfs {
        /// Its largest size in bytes.
        size: Option<u64>,
    },
    /// A secret as a file; never in a layer, a key or a log.
    Secret {
        /// The secret's name.
        id: String,
        /// Whether the step fails without it.
        required: bool,
    },
    /// The user's SSH agent.
    Ssh {
        /// The agent's name.
        id: String,
    },
}

/// The network of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// What the sandbox gives.
    #[default]
    Default,
    /// None.
    None,
    /// The host's.
    Host,
}
