//! A Dockerfile as written: typed instructions, every text still unexpanded and with its place in the file.
//!
//! Which texts are expanded, and how, is said at each field: *word* by [`expand`](super::word::expand) (quotes
//! removed, one word), *words* by [`expand_words`](super::word::expand_words), *raw* as it is.

use std::{ops::Range, time::Duration};

pub use super::heredoc::Heredoc;
use crate::{
    recipe::Sharing,
    source::{Location, SourceFile},
};

/// A piece of the file's text, as an instruction means it: continuations joined, comments inside it gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The text.
    pub text: String,
    /// Where it is written: from its first to its last byte, with everything between.
    pub span: Range<usize>,
    /// Where the pieces of the text begin in the file: offset in the text, offset in the file. Empty where the text
    /// is not the file's own (JSON strings with escapes).
    pub(super) pieces: Vec<(usize, usize)>,
}

/// A whole file.
#[derive(Debug, Clone)]
pub struct Dockerfile {
    /// The text.
    pub file: SourceFile,
    /// The directives at its top.
    pub directives: Directives,
    /// `ARG`s before the first `FROM`.
    pub args: Vec<Statement<Arg>>,
    /// The stages, in order; at least one.
    pub stages: Vec<Stage>,
    /// Places that are allowed but should not be: for the checks.
    pub notes: Vec<Note>,
}

/// What comments at the top of the file say of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directives {
    /// `# syntax=`: recorded, never fetched.
    pub syntax: Option<Word>,
    /// `# escape=`.
    pub escape: Escape,
    /// `# check=`.
    pub check: Option<CheckDirective>,
}

/// The character that escapes others and continues lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Escape {
    /// `\`.
    #[default]
    Backslash,
    /// `` ` ``.
    Backtick,
}

/// `# check=skip=A,B;error=true`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckDirective {
    /// The names of checks that are left out, as written.
    pub skip: Vec<Word>,
    /// Whether all checks are left out (`skip=all`).
    pub skip_all: bool,
    /// The names of experimental checks that are taken, as written.
    pub experimental: Vec<Word>,
    /// Whether all experimental checks are taken (`experimental=all`).
    pub experimental_all: bool,
    /// Whether a finding fails the build.
    pub error: bool,
    /// Where it is written.
    pub span: Range<usize>,
}

/// Something allowed that should not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What.
    pub kind: NoteKind,
    /// Where.
    pub span: Range<usize>,
}

/// What a [`Note`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoteKind {
    /// An empty line inside an instruction (check `NoEmptyContinuation`).
    EmptyContinuation,
}

/// One instruction of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement<T> {
    /// Its keyword, as written.
    pub keyword: Word,
    /// All of its text but heredocs' bodies, as written, continuations joined: `created_by` and logs show it.
    pub text: String,
    /// Where it is: from the keyword to its last byte, heredocs and their ends included.
    pub span: Range<usize>,
    /// Its flags, as written, in order.
    pub flags: Vec<Flag>,
    /// The comment lines right before it, without `#` and spaces around.
    pub comments: Vec<Word>,
    /// What it says.
    pub node: T,
}

/// A flag as written: `--name` or `--name=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// Its name, without the dashes.
    pub name: Word,
    /// Its value.
    pub value: Option<Word>,
    /// All of it.
    pub span: Range<usize>,
}

/// A stage: its `FROM`, and the instructions up to the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Its beginning.
    pub from: Statement<From>,
    /// What is done.
    pub instructions: Vec<Statement<Instruction>>,
}

/// `FROM [--platform=…] image [AS name]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    /// `--platform`: word, with the global arguments.
    pub platform: Option<Word>,
    /// The image or stage: word, with the global arguments.
    pub image: Word,
    /// `AS` as written.
    pub as_keyword: Option<Word>,
    /// The name: raw. Names are compared without case.
    pub name: Option<Word>,
}

/// Any instruction but `FROM`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instruction {
    /// `ADD`.
    Add(Add),
    /// `ARG`.
    Arg(Arg),
    /// `CMD`.
    Cmd(CommandLine),
    /// `COPY`.
    Copy(Copy),
    /// `ENTRYPOINT`.
    Entrypoint(CommandLine),
    /// `ENV`.
    Env(Pairs),
    /// `EXPOSE`: ports as written; each is words.
    Expose(Vec<Word>),
    /// `HEALTHCHECK`.
    Healthcheck(Healthcheck),
    /// `LABEL`.
    Label(Pairs),
    /// `MAINTAINER`: raw.
    Maintainer(Word),
    /// `ONBUILD`.
    Onbuild(Onbuild),
    /// `RUN`.
    Run(Run),
    /// `SHELL`: raw.
    Shell(Vec<Word>),
    /// `STOPSIGNAL`: word.
    Stopsignal(Word),
    /// `USER`: word.
    User(Word),
    /// `VOLUME`: each is a word.
    Volume(Vec<Word>),
    /// `WORKDIR`: word.
    Workdir(Word),
}

/// `ARG name[=value] …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arg {
    /// Each argument, in order.
    pub args: Vec<ArgName>,
}

/// One argument of an `ARG`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgName {
    /// Its name: word.
    pub name: Word,
    /// Its default: word, where given. May use the arguments before it, of the same `ARG` too.
    pub value: Option<Word>,
}

/// `ENV` and `LABEL`: `name=value …`, or the old `name value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pairs {
    /// Each, in order. All values of one instruction are expanded with the variables from before it.
    pub pairs: Vec<Pair>,
    /// Whether it is the old form, of one pair without `=` (check `LegacyKeyValueFormat`).
    pub legacy: bool,
}

/// A name and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The name: word.
    pub name: Word,
    /// The value: word. May be empty.
    pub value: Word,
}

/// A command: the arguments themselves, or a line for the shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandLine {
    /// A JSON array: raw, no shell. May be empty but for `SHELL` and `HEALTHCHECK`.
    Exec(Vec<Word>),
    /// A line for the shell: raw.
    Shell(ShellLine),
    /// `RUN <<EOF` alone: a heredoc that is the script. If its text begins with `#!` it is a program of its own, else
    /// it is given to the shell.
    Script(Heredoc),
}

/// A line for the shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellLine {
    /// The line: raw. May be empty (`CMD` alone).
    pub line: Word,
    /// Its heredocs: the shell reads them itself, see [`ShellLine::text`].
    pub heredocs: Vec<Heredoc>,
    /// Whether it begins with `[` but is no JSON array of strings, and was probably meant to be one.
    pub malformed_json: bool,
}

/// `RUN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// `--mount`, each.
    pub mounts: Vec<MountFlag>,
    /// `--network`.
    pub network: Option<Network>,
    /// `--security`.
    pub security: Option<Security>,
    /// `--device`, each: recorded only.
    pub devices: Vec<Word>,
    /// The command.
    pub command: CommandLine,
}

/// `--network`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Network {
    /// What the sandbox gives.
    Default,
    /// None.
    None,
    /// The host's.
    Host,
}

/// `--security`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Security {
    /// What commands in a container may.
    Sandbox,
    /// All that the sandbox itself may.
    Insecure,
}

/// `--mount=key=value,…` as written. [`MountFlag::resolve`] gives its meaning once its values are expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountFlag {
    /// Its options, in order.
    pub options: Vec<MountOption>,
    /// Where it is written.
    pub span: Range<usize>,
}

/// `key=value`, or `key` alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountOption {
    /// The key as written; keys are compared without case.
    pub key: Word,
    /// The value: word.
    pub value: Option<Word>,
}

/// What a `--mount` says, values expanded. Defaults of targets and ids are left to the one who carries it out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted.
    pub kind: MountKind,
    /// Stage, image or context.
    pub from: Option<String>,
    /// Path there; of a secret, the same as `id`.
    pub source: Option<String>,
    /// Where: as written, relative to the working directory, which is meant if it is not given; of a secret and an
    /// agent, `/run/…` is.
    pub target: Option<String>,
    /// Whether the command may only read: given, or the kind's own rule (cache and tmpfs are writable).
    pub read_only: bool,
    /// Name of a cache, secret or agent.
    pub id: Option<String>,
    /// Who may use a cache at once.
    pub sharing: Option<Sharing>,
    /// Whether a secret or agent must be there.
    pub required: bool,
    /// Largest size of a tmpfs, in bytes.
    pub size: Option<u64>,
    /// Mode of a new cache, a secret or a socket.
    pub mode: Option<u32>,
    /// Owner of the same.
    pub uid: Option<u32>,
    /// Group of the same.
    pub gid: Option<u32>,
    /// The variable that holds a secret.
    pub env: Option<String>,
}

/// What a `--mount` mounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MountKind {
    /// Files of a context, a stage or an image.
    #[default]
    Bind,
    /// A directory that outlives the build.
    Cache,
    /// A directory in memory.
    Tmpfs,
    /// A secret.
    Secret,
    /// The SSH agent.
    Ssh,
}

/// `COPY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// `--from`: raw (BuildKit refuses variables here).
    pub from: Option<Word>,
    /// What `COPY` and `ADD` share.
    pub files: Files,
}

/// `ADD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Add {
    /// `--checksum`: word.
    pub checksum: Option<Word>,
    /// `--keep-git-dir`.
    pub keep_git_dir: bool,
    /// `--unpack`; not given: local archives are unpacked, downloaded ones are not.
    pub unpack: Option<bool>,
    /// What `COPY` and `ADD` share.
    pub files: Files,
}

/// What `COPY` and `ADD` share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The sources, in order; at least one.
    pub sources: Vec<FileSource>,
    /// Where they go: word.
    pub destination: Word,
    /// `--chown`: word.
    pub chown: Option<Word>,
    /// `--chmod`: word.
    pub chmod: Option<Word>,
    /// `--link`.
    pub link: bool,
    /// `--parents`.
    pub parents: bool,
    /// `--exclude`, each: word.
    pub exclude: Vec<Word>,
}

/// A source of `COPY` or `ADD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileSource {
    /// A path, glob or URL: word.
    Path(Word),
    /// A file of the heredoc's name with its text, which is expanded unless its name is quoted (see
    /// [`expand_heredoc`](super::word::expand_heredoc)).
    Heredoc(Heredoc),
}

/// `HEALTHCHECK`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Healthcheck {
    /// `NONE`.
    None,
    /// `CMD`.
    Command {
        /// The command: raw.
        command: CommandLine,
        /// Its flags.
        timing: Timing,
    },
}

/// The flags of `HEALTHCHECK`; zero is as good as not given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timing {
    /// `--interval`.
    pub interval: Option<Duration>,
    /// `--timeout`.
    pub timeout: Option<Duration>,
    /// `--start-period`.
    pub start_period: Option<Duration>,
    /// `--start-interval`.
    pub start_interval: Option<Duration>,
    /// `--retries`.
    pub retries: Option<u32>,
}

/// `ONBUILD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Onbuild {
    /// The instruction as the config keeps it: continuations joined, heredocs appended.
    pub text: String,
    /// The instruction; never `ONBUILD`, `FROM` or `MAINTAINER`.
    pub instruction: Box<Statement<Instruction>>,
}

impl Escape {
    /// The character.
    pub fn character(self) -> char {
        match self {
            Self::Backslash => '\\',
            Self::Backtick => '`',
        }
    }
}

impl Dockerfile {
    /// The place of a range of bytes.
    pub fn at(&self, span: &Range<usize>) -> Location {
        self.file.at(span.clone())
    }
}

impl CommandLine {
    /// Whether it is a JSON array.
    pub fn is_exec(&self) -> bool {
        matches!(self, Self::Exec(_))
    }
}

impl ShellLine {
    /// What the shell is given: the line, and the heredocs as written after it.
    pub fn text(&self) -> String {
        let mut text = self.line.text.clone();
        for heredoc in &self.heredocs {
            text.push('\n');
            text.push_str(&heredoc.body);
            text.push_str(&heredoc.name);
        }
        text
    }
}
