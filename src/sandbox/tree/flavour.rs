//! How trees are kept on the rungs of the ladder.

use serde::{Deserialize, Serialize};

/// The attribute that holds the owner of a file where the file itself cannot have it: `uid:gid`, decimal.
pub(super) const OWNER: &[u8] = b"user.imgbuild.owner";

/// How trees are kept. Trees of one flavour are no use to a sandbox of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Flavour {
    /// Where overlayfs has its marks.
    pub marks: Marks,
    /// Where owners are.
    pub owners: Owners,
}

/// The attributes that overlayfs keeps its marks in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Marks {
    /// `trusted.overlay.*`, which only root of the host may write.
    Trusted,
    /// `user.overlay.*`: overlayfs with the option `userxattr`.
    User,
}

/// Where the owners of files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owners {
    /// With the files.
    Real,
    /// In an attribute, `user.imgbuild.owner`, where they are not 0:0. Only regular files and directories can have it.
    Recorded,
}

impl Flavour {
    /// A name for directories that hold trees of this flavour.
    pub fn name(self) -> &'static str {
        match (self.marks, self.owners) {
            (Marks::Trusted, Owners::Real) => "trusted",
            (Marks::User, Owners::Real) => "user",
            (Marks::Trusted, Owners::Recorded) => "trusted-recorded",
            (Marks::User, Owners::Recorded) => "user-recorded",
        }
    }

    /// What the names of overlayfs' own attributes begin with.
    pub(super) fn prefix(self) -> &'static [u8] {
        match self.marks {
            Marks::Trusted => b"trusted.overlay.",
            Marks::User => b"user.overlay.",
        }
    }

    /// The attribute that says that a directory hides what the trees below have in it; its value is `y`.
    pub(super) fn opaque(self) -> &'static [u8] {
        match self.marks {
            Marks::Trusted => b"trusted.overlay.opaque",
            Marks::User => b"user.overlay.opaque",
        }
    }

    /// The name that an attribute of the image has in a tree: one of overlayfs' own is escaped, or it would be a mark.
    pub(super) fn escaped(self, name: &[u8]) -> Vec<u8> {
        match name.strip_prefix(self.prefix()) {
            Some(rest) => [self.prefix(), b"overlay.", rest].concat(),
            None => name.to_vec(),
        }
    }

    /// The name that an attribute in a tree has in the image; `None` where it is a mark of ours or of overlayfs.
    pub(super) fn unescaped(self, name: &[u8]) -> Option<Vec<u8>> {
        match name.strip_prefix(self.prefix()) {
            Some(rest) => Some([self.prefix(), rest.strip_prefix(b"overlay.")?].concat()),
            None => (name != OWNER).then(|| name.to_vec()),
        }
    }
}
