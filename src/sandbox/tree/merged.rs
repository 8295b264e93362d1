//! A stack of trees seen as one, as overlayfs would show it.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    fs::{self, Metadata},
    io,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

use super::{error::TreeError, flavour::Flavour};
use crate::layer::EntryPath;

/// The directories, uppermost first, that make up one directory.
#[derive(Debug, Clone)]
pub(super) struct Merged {
    flavour: Flavour,
    directories: Vec<PathBuf>,
}

/// Something in a merged directory.
#[derive(Debug)]
pub(super) struct Child {
    /// Where it is: for a directory, where its attributes come from.
    pub(super) path: PathBuf,
    pub(super) metadata: Metadata,
    /// What it holds.
    pub(super) below: Merged,
}

impl Merged {
    /// The root of a stack of trees, lowest first.
    pub(super) fn new(trees: &[PathBuf], flavour: Flavour) -> Self {
        Self { flavour, directories: trees.iter().rev().cloned().collect() }
    }

    /// A directory with nothing in it.
    pub(super) fn nothing(flavour: Flavour) -> Self {
        Self { flavour, directories: Vec::new() }
    }

    /// The names in the directory, sorted; some may be of whiteouts.
    pub(super) fn names(&self) -> Result<BTreeSet<OsString>, TreeError> {
        let mut names = BTreeSet::new();
        for directory in &self.directories {
            names.extend(read_names(directory)?);
        }
        Ok(names)
    }

    /// What is there under this name.
    pub(super) fn child(&self, name: &OsStr) -> Result<Option<Child>, TreeError> {
        let mut found: Option<Child> = None;
        for (at, directory) in self.directories.iter().enumerate() {
            let path = directory.join(name);
            let metadata = match fs::symlink_metadata(&path) {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(TreeError::io("look at", path)(error)),
            };
            if !metadata.is_dir() {
                if found.is_none() && !is_whiteout(&metadata) {
                    found = Some(Child { path, metadata, below: Self::nothing(self.flavour) });
                }
                break;
            }
            let last = at + 1 == self.directories.len() || is_opaque(&path, self.flavour)?;
            let child = found.get_or_insert_with(|| {
                let below = Self::nothing(self.flavour);
                Child { path: path.clone(), metadata, below }
            });
            child.below.directories.push(path);
            if last {
                break;
            }
        }
        Ok(found)
    }

    /// What is at this path. No symbolic link on the way is followed.
    pub(super) fn find(&self, path: &EntryPath) -> Result<Option<Child>, TreeError> {
        let mut found: Option<Child> = None;
        for part in path.as_bytes().split(|b| *b == b'/') {
            let here = found.as_ref().map_or(self, |child| &child.below);
            match here.child(OsStr::from_bytes(part))? {
                Some(child) => found = Some(child),
                None => return Ok(None),
            }
        }
        Ok(found)
    }
}

/// The names in a directory, in no order.
pub(super) fn read_names(directory: &Path) -> Result<Vec<OsString>, TreeError> {
    let fail = |error: io::Error| TreeError::io("read the directory", directory)(error);
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(fail)? {
        names.push(entry.map_err(fail)?.file_name());
    }
    Ok(names)
}

/// Whether this is overlayfs' mark of something removed.
pub(super) fn is_whiteout(metadata: &Metadata) -> bool {
    metadata.file_type().is_char_device() && metadata.rdev() == 0
}

/// Whether a directory hides what the trees below have in it.
pub(super) fn is_opaque(path: &Path, flavour: Flavour) -> Result<bool, TreeError> {
    use rustix::io::Errno;
    let mut value = [0; 8];
    match rustix::fs::lgetxattr(path, flavour.opaque(), &mut value[..]) {
        Ok(size) => Ok(value[..size] == *b"y"),
        Err(Errno::NODATA | Errno::NOTSUP | Errno::PERM | Errno::RANGE) => Ok(false),
        Err(error) => Err(TreeError::io("read the attributes of", path)(error)),
    }
}
