//! The rungs of the ladder.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// How commands are kept apart from the host: the rungs of the ladder, best first. What a command sees means the same on
/// each; `docs/sandbox.md` says what the lower ones cannot do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// As root, without a user namespace.
    Root,
    /// In a user namespace with a range of ids.
    UserNamespace,
    /// In a user namespace with one id; others are kept as attributes of the files.
    SingleId,
    /// As root without namespaces: chroot alone.
    Chroot,
}

impl Mode {
    /// All, best first.
    pub const ALL: [Self; 4] = [Self::Root, Self::UserNamespace, Self::SingleId, Self::Chroot];

    /// The name, as `--sandbox` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::UserNamespace => "userns",
            Self::SingleId => "single-id",
            Self::Chroot => "chroot",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no sandbox mode: there are root, userns, single-id and chroot")]
pub struct UnknownMode(String);

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        let found = Self::ALL.into_iter().find(|mode| mode.name() == text);
        found.ok_or_else(|| UnknownMode(text.to_owned()))
    }
}
