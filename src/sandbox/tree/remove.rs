//! Trees away, whatever is in them.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags},
    io::Errno,
};

use super::error::TreeError;
use crate::layer::EntryPath;

/// How many directories are open at a time. What lies deeper is moved up to the top and removed from there: a step can
/// nest directories deeper than paths, or open files, can be many.
const DEPTH: usize = 64;

/// Opens a directory below `root` through directories alone.
pub(super) fn open_below(root: &OwnedFd, path: &EntryPath) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::openat2(root, path.as_bytes(), flags, Mode::empty(), resolve)
}

/// Opens a directory in a directory, not one that is mounted there.
pub(super) fn open_directory(parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    rustix::fs::openat2(parent, name, flags, Mode::empty(), resolve)
}

/// Removes what is at `path`, a tree or a file, if anything is; another process may be doing the same. No symbolic link in it is followed, and nothing
/// that is mounted in it is touched: that is an error.
pub fn remove(path: &Path) -> Result<(), TreeError> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(TreeError::io::<io::Error>("remove", path)(io::ErrorKind::InvalidInput.into()));
    };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
    match rustix::fs::open(parent, flags, Mode::empty()) {
        Ok(parent) => remove_at(parent.as_fd(), std::os::unix::ffi::OsStrExt::as_bytes(name))
            .map_err(TreeError::io("remove", path)),
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(TreeError::io("open", parent)(error)),
    }
}

/// Removes what is under this name, if anything is.
pub(super) fn remove_at(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) => return Ok(()),
        Err(Errno::NOTEMPTY | Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let Some(top) = open_to_empty(parent, name)? else { return Ok(()) };
    let mut emptier = Emptier { top, moved: 0 };
    // What was moved to the top is emptied in the next round.
    loop {
        let before = emptier.moved;
        let top = emptier.top.try_clone()?;
        emptier.empty(top.as_fd(), 0)?;
        if emptier.moved == before {
            break;
        }
    }
    match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

struct Emptier {
    top: OwnedFd,
    moved: u64,
}

impl Emptier {
    fn empty(&mut self, directory: BorrowedFd<'_>, depth: usize) -> io::Result<()> {
        for entry in Dir::read_from(directory)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            if entry.file_type() != FileType::Directory {
                match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
                    Ok(()) | Err(Errno::NOENT) => continue,
                    Err(Errno::ISDIR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            self.remove_directory(directory, name, depth)?;
        }
        Ok(())
    }

    fn remove_directory(&mut self, parent: BorrowedFd<'_>, name: &[u8], depth: usize) -> io::Result<()> {
        if depth >= DEPTH {
            match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
                Err(Errno::NOTEMPTY | Errno::EXIST) => {}
                Ok(()) | Err(Errno::NOENT) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            return self.move_up(parent, name);
        }
        let Some(directory) = open_to_empty(parent, name)? else { return Ok(()) };
        self.empty(directory.as_fd(), depth + 1)?;
        match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn move_up(&mut self, parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
        loop {
            let unused = format!(".imgbuild-removed-{}", self.moved);
            self.moved += 1;
            let flags = rustix::fs::RenameFlags::NOREPLACE;
            match rustix::fs::renameat_with(parent, name, &self.top, unused, flags) {
                Err(Errno::EXIST) => {}
                Ok(()) | Err(Errno::NOENT) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Opens a directory whose entries are to go; `None`: it is gone. Overlayfs leaves some of mode 000, which not everybody
/// may read.
fn open_to_empty(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<Option<OwnedFd>> {
    match open_directory(parent, name) {
        Err(Errno::NOENT) => Ok(None),
        Err(Errno::ACCESS) => {
            // The open has seen a directory there, no link, and nobody else writes to the tree.
            rustix::fs::chmodat(parent, name, Mode::from_raw_mode(0o700), AtFlags::empty())?;
            Ok(Some(open_directory(parent, name)?))
        }
        Err(Errno::XDEV) => Err(io::Error::other("something is mounted in it")),
        other => Ok(Some(other?)),
    }
}
