//! Files that can have no attributes of users: symbolic links, named pipes, sockets. Where owners are recorded, theirs
//! are kept beside the files, by what tells one file from another.

use std::{
    collections::{BTreeMap, HashMap},
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, CWD, StatxFlags, statx},
    io::Errno,
    path::Arg,
};

use super::{attributes::under, compare::walk, error::TreeError, flavour::Flavour, merged::Merged};
use crate::layer::EntryPath;

/// What tells a file from all others of its file system, and from those that had its inode number before. The number of
/// the file system itself is not in it: overlayfs has its own, for the same files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId {
    inode: u64,
    born: (i64, u32),
}

impl FileId {
    /// Of an open file, `O_PATH` will do.
    pub fn of(file: impl AsFd) -> Result<Self, Errno> {
        Self::at(file, "", AtFlags::EMPTY_PATH)
    }

    fn of_name(path: &Path) -> Result<Self, Errno> {
        Self::at(CWD, path, AtFlags::SYMLINK_NOFOLLOW)
    }

    fn at(directory: impl AsFd, path: impl Arg, flags: AtFlags) -> Result<Self, Errno> {
        let found = statx(directory, path, flags, StatxFlags::INO | StatxFlags::BTIME)?;
        Ok(Self { inode: found.stx_ino, born: (found.stx_btime.tv_sec, found.stx_btime.tv_nsec) })
    }
}

/// User and group by file.
pub type BareOwners = HashMap<FileId, (u32, u32)>;

/// User and group by path.
pub type OwnersByPath = BTreeMap<EntryPath, (u32, u32)>;

/// Where below `dir` these files are by now, which lies on `lowers`, lowest first.
///
/// # Errors
/// A directory that cannot be read.
pub fn locate(
    owners: &BareOwners,
    dir: &Path,
    lowers: &[PathBuf],
    flavour: Flavour,
) -> Result<OwnersByPath, TreeError> {
    let mut located = BTreeMap::new();
    if owners.is_empty() {
        return Ok(located);
    }
    let below = Merged::new(lowers, flavour);
    for (path, stamp) in walk(dir)? {
        if stamp.takes_attributes() {
            continue;
        }
        let file = under(dir, &path);
        let id = FileId::of_name(&file).map_err(TreeError::io("look at", &file))?;
        let mut owner = owners.get(&id);
        if owner.is_none()
            && let Some(old) = below.find(&path)?
        {
            // Overlayfs shows what it has copied up with the number that it had before.
            owner = owners.get(&FileId { inode: old.metadata.ino(), ..id });
        }
        if let Some(owner) = owner {
            located.insert(path, *owner);
        }
    }
    Ok(located)
}
