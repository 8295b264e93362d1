//! Why a step could not be taken from the cache.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::oci::Digest;

/// How many characters of a value are shown: enough to know it by.
const SHOWN: usize = 60;

/// A value that a step depends on: in full where people may read it, else its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Value {
    /// The value.
    Text(String),
    /// The digest of one that is long, looks like a secret, or stands for files.
    Digest(Digest),
}

/// Why a step could not be taken from the cache: what differs from the build before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Reason {
    /// The user asked for it (`--no-cache`).
    NoCache,
    /// No earlier build of this file, target and context is known.
    FirstBuild,
    /// The build before had no such step.
    NewStep,
    /// The build before did not bring it to an end.
    Unfinished,
    /// All is as it was, but the result is not in the cache any more.
    Forgotten,
    /// The step has another place among those of its stage.
    Moved {
        /// Its number before.
        before: usize,
    },
    /// The image that the stage starts from, or that files are copied from.
    Base {
        /// The name that the file has for it now.
        name: String,
        /// The digest of the manifest before; `None` where it started from nothing.
        old: Option<Digest>,
        /// The digest of the manifest now.
        new: Option<Digest>,
    },
    /// A build argument.
    Argument {
        /// Its name.
        name: String,
        /// Its value before, if it had one.
        old: Option<Value>,
        /// Its value now.
        new: Option<Value>,
    },
    /// Something else that the step says, or that is said for it.
    Part {
        /// What, in a few words: `command`, `variable PATH`, `destination`.
        name: String,
        /// What it was, if there was any.
        old: Option<Value>,
        /// What it is now.
        new: Option<Value>,
    },
    /// A step that this one stands on or copies from.
    Parent {
        /// Its stage; `None` is the step's own.
        stage: Option<String>,
        /// Its number there; of the build before, if it is gone.
        number: usize,
        /// What is with it.
        change: ParentChange,
    },
    /// Files that are copied or mounted.
    Files {
        /// The first one that differs.
        first: FileChange,
        /// How many more do.
        more: usize,
        /// The ignore file, if its rules have changed, too.
        ignore: Option<String>,
    },
}

/// What is with a step that another one depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ParentChange {
    /// It gave another result.
    Result,
    /// It was not there before.
    New,
    /// It is not there any more.
    Gone,
    /// It stood elsewhere.
    Order,
}

/// A file that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChange {
    /// Its path in the context, where it comes from one; else that in the image, with a slash in front.
    pub path: String,
    /// How it differs.
    #[serde(flatten)]
    pub change: Change,
}

/// How a file differs. Digests are the first 16 bytes of SHA-256, in hex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is a directory, a file or a link, and was something else.
    Kind {
        /// What it was.
        old: String,
        /// What it is.
        new: String,
    },
    /// Its bytes, or the target of a link.
    Content {
        /// The digest before.
        old: String,
        /// The digest now.
        new: String,
    },
    /// Its mode, in octal.
    Mode {
        /// Before.
        old: String,
        /// Now.
        new: String,
    },
    /// Its owner, as `UID:GID`.
    Owner {
        /// Before.
        old: String,
        /// Now.
        new: String,
    },
    /// Its time, which counts where times are kept.
    Time,
    /// Its extended attributes.
    Attributes,
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{}", quoted(text)),
            Self::Digest(digest) => write!(f, "{}:{}", digest.algorithm(), digest.short()),
        }
    }
}

/// The text on one line, and its beginning if it is long.
fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

/// `WHAT changed: OLD → NEW`.
fn changed<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    what: &str,
    old: &Option<T>,
    new: &Option<T>,
) -> fmt::Result {
    match (old, new) {
        (Some(old), Some(new)) => write!(f, "{what} changed: {old} → {new}"),
        (None, Some(new)) => write!(f, "{what} is new: {new}"),
        (Some(old), None) => write!(f, "{what} is gone: it was {old}"),
        (None, None) => write!(f, "{what} changed"),
    }
}

/// Two texts; where they are long, from shortly before the place where they begin to differ.
fn narrowed(old: &Option<Value>, new: &Option<Value>) -> (Option<Value>, Option<Value>) {
    let (Some(Value::Text(old)), Some(Value::Text(new))) = (old, new) else {
        return (old.clone(), new.clone());
    };
    let same = old.chars().zip(new.chars()).take_while(|(a, b)| a == b).count();
    let cut = |text: &str| match same.checked_sub(SHOWN / 2) {
        Some(from) if text.chars().count() > SHOWN => {
            format!("…{}", text.chars().skip(from).collect::<String>())
        }
        _ => text.to_owned(),
    };
    (Some(Value::Text(cut(old))), Some(Value::Text(cut(new))))
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCache => f.write_str("the build was told not to use the cache"),
            Self::FirstBuild => f.write_str("no earlier build is known to compare with"),
            Self::NewStep => f.write_str("the step is new"),
            Self::Unfinished => f.write_str("the build before did not bring it to an end"),
            Self::Forgotten => f.write_str("nothing changed, but its result was not in the cache"),
            Self::Moved { before } => write!(f, "it was step {before}: the steps are in another order"),
            Self::Base { name, old, new } => {
                let short = |digest: &Option<Digest>| {
                    digest.as_ref().map(|digest| format!("{}:{}", digest.algorithm(), digest.short()))
                };
                changed(f, &format!("base {name}"), &short(old), &short(new))
            }
            Self::Argument { name, old, new } => changed(f, &format!("argument {name}"), old, new),
            Self::Part { name, old, new } => {
                let (old, new) = narrowed(old, new);
                changed(f, name, &old, &new)
            }
            Self::Parent { stage, number, change } => {
                let of = stage.as_ref().map(|stage| format!(" of stage {stage}")).unwrap_or_default();
                match change {
                    ParentChange::Result => write!(f, "step {number}{of} gave another result"),
                    ParentChange::New => write!(f, "step {number}{of} is new"),
                    ParentChange::Gone => write!(f, "what was step {number}{of} is gone"),
                    ParentChange::Order => write!(f, "step {number}{of} is now before it, and was not"),
                }
            }
            Self::Files { first, more, ignore } => {
                write!(f, "{first}")?;
                if *more > 0 {
                    write!(f, ", and {more} more")?;
                }
                match ignore {
                    Some(ignore) => write!(f, " ({ignore} has changed, too)"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl fmt::Display for FileChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, change } = self;
        let short = |digest: &str| digest.chars().take(12).collect::<String>();
        match change {
            Change::Added => write!(f, "{path} added"),
            Change::Removed => write!(f, "{path} removed"),
            Change::Kind { old, new } => write!(f, "{path} changed: it was a {old} and is a {new}"),
            Change::Content { old, new } => {
                write!(f, "{path} changed: sha256:{} → sha256:{}", short(old), short(new))
            }
            Change::Mode { old, new } => write!(f, "{path} changed: mode {old} → {new}"),
            Change::Owner { old, new } => write!(f, "{path} changed: owner {old} → {new}"),
            Change::Time => write!(f, "{path} changed: its time"),
            Change::Attributes => write!(f, "{path} changed: its extended attributes"),
        }
    }
}
