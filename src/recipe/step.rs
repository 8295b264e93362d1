//! Steps: what is done to a stage's file system or config.

use bytes::Bytes;

use super::{ConfigChange, FileMode, ImageSource, Modes, Run};
use crate::{layer::EntryPath, oci::Digest, remote::GitSource, source::Location};

/// One step of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The step in a few words, for progress output: `copy src to /app/src`.
    pub name: String,
    /// The step as the image's history tells it (`created_by`). Empty for a change of the config that the history does
    /// not tell, since it belongs to the step before it or to none.
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
    /// Which of the files are unpacked at the destination in place of being copied.
    pub archives: Archives,
    /// Whether a glob may match nothing.
    pub empty_globs: bool,
    /// Whose rules hold where builders differ.
    pub rules: Rules,
    /// How many layers it makes at the most, by directory; as the build has it if not given.
    pub split: Option<u8>,
    /// How errors name what is copied.
    pub written: Written,
}

/// What is copied as the user wrote it, for errors alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// What the files come from, in words: ``the stage `build` ``.
    pub from: Option<String>,
    /// Each of the sources, where they are not written as [`Copy::sources`] has them.
    pub sources: Vec<String>,
}

impl Copy {
    /// A Dockerfile's COPY that says no more than what goes where.
    pub fn docker(from: CopySource, sources: Vec<String>, to: Destination) -> Self {
        Self {
            from,
            sources,
            to,
            exclude: Vec::new(),
            owner: None,
            modes: Modes::default(),
            timestamps: Timestamps::Fixed,
            independent: false,
            parents: false,
            archives: Archives::Keep,
            empty_globs: true,
            rules: Rules::Docker,
            split: None,
            written: Written::default(),
        }
    }
}

/// Whose rules a step follows where builders differ.
///
/// | | [`Rules::Own`] | [`Rules::Docker`] |
/// |---|---|---|
/// | modes of a context's files | as git keeps them: 0644 or 0755 | as on disk, see [`crate::context::Item::mode`] |
/// | directories that have to be made | root's, with their usual modes | the step's owner's, 0755 |
/// | `**` in a source | any number of directories | as `*` (not with `parents`) |
/// | a link as the destination | replaced by a file | followed |
/// | a directory as the destination of a file | an error | the file goes into it |
/// | a file where there is a directory, below the destination | replaces it | an error |
/// | [`Mkdir`] of what is there | gives it the step's attributes | leaves it alone |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Rules {
    /// Those of specs: what gives the same image on every machine goes first.
    #[default]
    Own,
    /// Those of BuildKit, for Dockerfiles.
    Docker,
}

/// Which files are unpacked when they are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Archives {
    /// None.
    #[default]
    Keep,
    /// Tars, compressed or not, as their content tells (Dockerfile's ADD of local files); others are copied.
    Unpack,
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
    /// One file on the web, named by the last part of its URL's path. The copy's sources say nothing.
    Url(UrlSource),
    /// A commit of a Git repository. Its sources are paths in the directory that is taken.
    Git(GitSource),
}

/// A file on the web, http or https.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UrlSource {
    /// Where it is.
    pub url: String,
    /// The digest it must have.
    pub checksum: Option<Digest>,
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

/// The times of copied files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Timestamps {
    /// `SOURCE_DATE_EPOCH`, else 1980-01-01.
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
    /// Where the file names the owner, if not in the step itself.
    pub owner_from: Option<Location>,
    /// Its mode; 0755 if not given.
    pub mode: Option<FileMode>,
    /// Whose rules hold where builders differ.
    pub rules: Rules,
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

impl Account {
    /// A user of whom nothing is said but the login name.
    pub fn named(name: String) -> Self {
        Self {
            name,
            uid: None,
            group: None,
            groups: Vec::new(),
            system: false,
            home: None,
            create_home: false,
            shell: None,
            comment: None,
        }
    }
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
