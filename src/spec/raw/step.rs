//! Steps.

use std::{borrow::Cow, ops::Range};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{Choice, Command, Modes, Network, OneOrMany, Or, Sharing, Text, TextMap, Timestamps};
use crate::{
    source::{Diagnostic, SourceFile},
    spec::{
        decode::{Decode, place, record, schema_of, wrong_type},
        node::{Node, Value},
        suggest,
    },
};

macro_rules! steps {
    ($($variant:ident($record:ident) = $key:literal,)*) => {
        /// One step. It is known by its first field: copy, write, user, group, mkdir, symlink, remove, unpack, env,
        /// workdir or run.
        #[derive(Debug, Clone)]
        #[expect(missing_docs, reason = "each variant holds the record that says it")]
        pub enum Step {
            $($variant(Box<$record>),)*
        }

        impl Step {
            /// The fields that each make a step.
            pub(in crate::spec) const KINDS: &'static [&'static str] = &[$($key),*];

            /// The name that the user gave it.
            pub fn name(&self) -> Option<&Text> {
                match self { $(Self::$variant(step) => step.name.as_ref(),)* }
            }

            /// The platforms that it is for; all, if not given.
            pub fn only(&self) -> Option<&OneOrMany<Text>> {
                match self { $(Self::$variant(step) => step.only.as_ref(),)* }
            }

            /// The bytes of the file that it is written in.
            pub fn span(&self) -> Range<usize> {
                match self { $(Self::$variant(step) => step.span.clone(),)* }
            }

            fn decode_kind(kind: &str, node: &Node, file: &SourceFile) -> Option<Result<Self, Diagnostic>> {
                match kind {
                    $($key => Some($record::decode(node, file).map(|step| Self::$variant(Box::new(step)))),)*
                    _ => None,
                }
            }
        }

        impl JsonSchema for Step {
            fn schema_name() -> Cow<'static, str> {
                "Step".into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "description": "One step. It is known by its first field.",
                    "anyOf": [$(schema_of::<$record>(generator)),*],
                })
            }
        }
    };
}

steps! {
    Copy(CopyStep) = "copy",
    Write(WriteStep) = "write",
    User(UserStep) = "user",
    Group(GroupStep) = "group",
    Mkdir(MkdirStep) = "mkdir",
    Symlink(SymlinkStep) = "symlink",
    Remove(RemoveStep) = "remove",
    Unpack(UnpackStep) = "unpack",
    Env(EnvStep) = "env",
    Workdir(WorkdirStep) = "workdir",
    Run(RunStep) = "run",
}

impl Decode for Step {
    const EXPECTED: &'static str = "a step, such as `copy: src`";

    fn decode(node: &Node, file: &SourceFile) -> Result<Self, Diagnostic> {
        let Value::Map(fields) = &node.value else {
            return Err(wrong_type::<Self>(node, file));
        };
        let mut kinds = fields.iter().filter(|(key, _)| Self::KINDS.contains(&key.text.as_str()));
        let Some((kind, _)) = kinds.next() else {
            let words = fields.iter().map(|(key, _)| key);
            let near = |word: &str| suggest::closest(word, Self::KINDS.iter().copied());
            return Err(match words.clone().find_map(|key| near(&key.text).map(|kind| (key, kind))) {
                Some((key, kind)) => Diagnostic::new(format!("unknown step `{}`", key.text))
                    .at(file.at(key.span.clone()), "unknown step")
                    .hint(format!("did you mean `{kind}`?")),
                None => Diagnostic::new("the step does not say what to do")
                    .at(place(file, &node.span), "no kind of step is named here")
                    .hint(format!("a step has one of: {}", Self::KINDS.join(", "))),
            });
        };
        if let Some((second, _)) = kinds.next() {
            return Err(Diagnostic::new(format!(
                "a step does one thing, not `{}` and `{}`",
                kind.text, second.text
            ))
            .at(file.at(second.span.clone()), "a second thing to do")
            .hint("start a step of its own with `- `"));
        }
        Self::decode_kind(&kind.text, node, file).unwrap_or_else(|| Err(wrong_type::<Self>(node, file)))
    }
}

/// A record with the fields that every step has.
macro_rules! step {
    ($(#[$meta:meta])* $name:ident { $($body:tt)* }) => {
        record! {
            $(#[$meta])*
            $name {
                $($body)*
                /// What the step is called in progress output.
                name: Option<Text>,
                /// The platforms that the step is for; all, if not given.
                only: Option<OneOrMany<Text>>,
            }
        }
    };
}

step! {
    /// Copies files from the context, another stage, an image or a named context.
    CopyStep {
        /// Paths or globs, relative to the root of `from`. A directory's content is copied, not the directory itself.
        copy: Choice<OneOrMany<Text>>,
        /// Where the files go: absolute, or relative to the working directory. With a slash at its end, several
        /// sources or a glob it is a directory, else the new name. The working directory if not given.
        to: Option<Choice<Text>>,
        /// A stage, a named context or an image; the main context if not given.
        from: Option<Choice<Text>>,
        /// Patterns of what is left out, as in `.dockerignore`, relative to each source.
        exclude: Option<Choice<OneOrMany<Text>>>,
        /// Who owns the files: `user`, `user:group`, by name or number; root if not given.
        owner: Option<Choice<Text>>,
        /// The mode: `"0755"` for all, or `{files: "0644", dirs: "0755"}`; the source's, normalised, if not given.
        mode: Option<Choice<Modes>>,
        /// The files' times: `fixed` (if not given) or `preserve`.
        timestamps: Option<Choice<Timestamps>>,
        /// Whether the sources' parent directories are kept below `to`.
        parents: Option<bool>,
        /// Whether the destination is not looked up in what lies below, so that the layer stays when that changes; true
        /// if not given, false with `rules: docker`.
        link: Option<bool>,
        /// The largest number of layers, 1 to 64: a big tree is split by directory, so that a changed file makes a small
        /// layer new. As `--split-copy` says if not given, else one.
        split: Option<Choice<Text>>,
    }
}

step! {
    /// Writes one file.
    WriteStep {
        /// The file.
        write: WriteFields,
    }
}

record! {
    /// A file to write.
    WriteFields {
        /// Where: absolute, or relative to the working directory.
        path: Choice<Text>,
        /// Its content as text. `${NAME}` is replaced, unless `template: false`.
        text: Option<Choice<Text>>,
        /// Its content in base64.
        base64: Option<Choice<Text>>,
        /// Whether `${NAME}` in `text` is replaced; true if not given.
        template: Option<bool>,
        /// Its mode: a quoted octal number; `"0644"` if not given.
        mode: Option<Choice<Text>>,
        /// Who owns it; root if not given.
        owner: Option<Choice<Text>>,
    }
}

step! {
    /// Adds a user to the account files, without running anything.
    UserStep {
        /// The user's name, or its parts.
        user: Or<Text, UserFields>,
    }
}

record! {
    /// A user to add.
    UserFields {
        /// The login name. (The step's own `name` stands beside `user`.)
        name: Text,
        /// Its number; the next free one if not given.
        uid: Option<Choice<Text>>,
        /// Its primary group by name or number; one of the user's name is made if not given.
        group: Option<Text>,
        /// Further groups, which must exist.
        groups: Option<OneOrMany<Text>>,
        /// Whether its number comes from the system's range and it gets no login shell.
        system: Option<bool>,
        /// The home directory.
        home: Option<Text>,
        /// Whether the home directory is made.
        create_home: Option<bool>,
        /// The login shell.
        shell: Option<Text>,
        /// The comment field.
        comment: Option<Text>,
    }
}

step! {
    /// Adds a group to the account files, without running anything.
    GroupStep {
        /// The group's name, or its parts.
        group: Or<Text, GroupFields>,
    }
}

record! {
    /// A group to add.
    GroupFields {
        /// Its name.
        name: Text,
        /// Its number; the next free one if not given.
        gid: Option<Choice<Text>>,
        /// Whether its number comes from the system's range.
        system: Option<bool>,
    }
}

step! {
    /// Makes a directory, and its parents where they are missing.
    MkdirStep {
        /// Where: absolute, or relative to the working directory.
        mkdir: Choice<Text>,
        /// Its mode: a quoted octal number; `"0755"` if not given.
        mode: Option<Choice<Text>>,
        /// Who owns it; root if not given.
        owner: Option<Choice<Text>>,
    }
}

step! {
    /// Makes a symbolic link.
    SymlinkStep {
        /// The link.
        symlink: SymlinkFields,
    }
}

record! {
    /// A symbolic link to make.
    SymlinkFields {
        /// Where: absolute, or relative to the working directory.
        path: Choice<Text>,
        /// What it points to, as written.
        target: Choice<Text>,
        /// Who owns it; root if not given.
        owner: Option<Choice<Text>>,
    }
}

step! {
    /// Removes files and directories that lower layers have.
    RemoveStep {
        /// What goes: absolute, or relative to the working directory.
        remove: Choice<OneOrMany<Text>>,
        /// Whether it is fine if a path is not there; false if not given.
        optional: Option<bool>,
    }
}

step! {
    /// Puts an archive's files into the image: tar (plain, gz, zst, xz, bz2) or zip.
    UnpackStep {
        /// A path relative to the root of `from`, or an http or https URL.
        unpack: Choice<Text>,
        /// The SHA-256 that the archive must have: 64 hex digits.
        sha256: Option<Choice<Text>>,
        /// The directory that the files go to; the working directory if not given.
        to: Option<Choice<Text>>,
        /// How many leading parts of the entries' paths are cut off; 0 if not given.
        strip: Option<Choice<Text>>,
        /// Patterns of entries that are left out.
        exclude: Option<Choice<OneOrMany<Text>>>,
        /// A stage, a named context or an image that has the archive; the main context if not given.
        from: Option<Choice<Text>>,
        /// Who owns the files; the archive's numbers if not given.
        owner: Option<Choice<Text>>,
        /// The mode; the archive's if not given.
        mode: Option<Choice<Modes>>,
    }
}

step! {
    /// Sets environment variables for the following steps and the image.
    EnvStep {
        /// Names and values; a value may use variables that are set already: `PATH: "/app/bin:${PATH}"`.
        env: Choice<TextMap>,
    }
}

step! {
    /// Sets the working directory of the following steps and the image.
    WorkdirStep {
        /// The directory: absolute, or relative to the one before. It is not made.
        workdir: Choice<Text>,
    }
}

step! {
    /// Runs a command in the image. `${NAME}` is left to the shell; arguments are in its environment.
    RunStep {
        /// A line for the shell, or a list of words that is run as it is.
        run: Choice<Command>,
        /// The shell; the image's, else `[/bin/sh, -c]`, if not given.
        shell: Option<Vec<Text>>,
        /// Directories that outlive the build and are never in the image.
        cache: Option<OneOrMany<Or<Text, Cache>>>,
        /// Files of the context, a stage or an image, seen read-only while the command runs.
        bind: Option<OneOrMany<Bind>>,
        /// Directories in memory.
        tmpfs: Option<OneOrMany<Or<Text, Tmpfs>>>,
        /// Secrets as files under `/run/secrets`: never in a layer, a key or a log.
        secrets: Option<OneOrMany<Or<Text, Secret>>>,
        /// Whether the user's SSH agent can be used, or which.
        ssh: Option<Ssh>,
        /// The network: `default`, `none` or `host`.
        network: Option<Network>,
        /// How long it may take: `90s`, `5m`.
        timeout: Option<Choice<Text>>,
    }
}

record! {
    /// A directory that outlives the build.
    Cache {
        /// Where it is mounted.
        path: Text,
        /// Its name, for sharing it between paths; the path if not given.
        id: Option<Text>,
        /// Who may use it at once: `shared` (if not given), `private` or `locked`.
        sharing: Option<Sharing>,
    }
}

record! {
    /// Files seen read-only while a command runs.
    Bind {
        /// Where they are mounted.
        to: Text,
        /// Their path in `from`; its root if not given.
        source: Option<Text>,
        /// A stage, a named context or an image; the main context if not given.
        from: Option<Text>,
    }
}

record! {
    /// A directory in memory.
    Tmpfs {
        /// Where it is mounted.
        path: Text,
        /// Its largest size: `64m`.
        size: Option<Text>,
    }
}

record! {
    /// A secret as a file.
    Secret {
        /// The secret's name, as in `--secret id=NAME`.
        id: Text,
        /// Where it is mounted; `/run/secrets/ID` if neither this nor `env` is given.
        to: Option<Text>,
        /// The environment variable that holds it.
        env: Option<Text>,
        /// Whether the step fails without it; true if not given.
        required: Option<bool>,
    }
}

/// The user's SSH agent: `true`, or the names of agents.
#[derive(Debug, Clone)]
pub enum Ssh {
    /// The default agent, or none.
    Flag(bool),
    /// Agents by name.
    Ids(OneOrMany<Text>),
}

impl Decode for Ssh {
    const EXPECTED: &'static str = "`true`, or the names of agents";

    fn decode(node: &Node, file: &SourceFile) -> Result<Self, Diagnostic> {
        if let Ok(flag) = bool::decode(node, file) {
            return Ok(Self::Flag(flag));
        }
        match node.value {
            Value::Scalar { .. } | Value::List(_) => OneOrMany::decode(node, file).map(Self::Ids),
            _ => Err(wrong_type::<Self>(node, file)),
        }
    }
}

impl JsonSchema for Ssh {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Ssh".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "boolean" }, schema_of::<OneOrMany<Text>>(generator)] })
    }
}
