//! Paths in the root of a step, which an image and commands before have filled with links of their choice.
//!
//! Symbolic links lead to what they lead to in this process's root. The links of `/proc` (`/proc/self/fd/3`,
//! `/proc/self/exe`) are no paths but doors to whatever a process has open, out of the root too: they are never followed.

use std::{
    ffi::OsStr,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{
        AtFlags, CWD, FileType, Mode as FileMode, OFlags, ResolveFlags, fstat, mkdirat, openat, openat2,
        readlinkat, statat, unlinkat,
    },
    io::Errno,
    mount::{UnmountFlags, unmount},
};

use super::fault::Fault;

/// Opens what is at a path, to look at it, to mount on it or to enter it.
pub(super) fn find(path: &Path) -> io::Result<OwnedFd> {
    let (flags, mode) = (OFlags::PATH | OFlags::CLOEXEC, FileMode::empty());
    match openat2(CWD, path, flags, mode, ResolveFlags::NO_MAGICLINKS) {
        // Kernels before 5.6, and containers of their time: they have the rung without `/proc` alone.
        Err(Errno::NOSYS | Errno::PERM) => Ok(openat(CWD, path, flags, mode)?),
        found => Ok(found?),
    }
}

/// Whether what was found is a directory.
pub(super) fn is_directory(found: impl AsFd) -> io::Result<bool> {
    Ok(FileType::from_raw_mode(fstat(found)?.st_mode).is_dir())
}

/// Finds a directory or file, or makes it and the directories above it; `made` hears of each, outermost first.
///
/// # Errors
/// [`io::ErrorKind::IsADirectory`] and [`io::ErrorKind::NotADirectory`] where it is the other one.
pub(super) fn make(path: &Path, directory: bool, made: &mut dyn FnMut(&Path, bool)) -> io::Result<OwnedFd> {
    match find(path) {
        Ok(found) => {
            return match (is_directory(&found)?, directory) {
                (true, false) => Err(Errno::ISDIR.into()),
                (false, true) => Err(Errno::NOTDIR.into()),
                _ => Ok(found),
            };
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Errno::NOENT.into());
    };
    let above = make(parent, true, made)?;
    // A link to what is not there: that is made.
    if let Ok(link) = readlinkat(&above, name, Vec::new()) {
        return make(&parent.join(OsStr::from_bytes(link.as_bytes())), directory, made);
    }
    if directory {
        mkdirat(&above, name, FileMode::from_raw_mode(0o755))?;
    } else {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&above, name, flags, FileMode::from_raw_mode(0o644))?;
    }
    made(path, directory);
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(&above, name, flags, FileMode::empty())?)
}

/// A directory or file that was made for something to be mounted on.
#[derive(Debug)]
struct MountPoint {
    path: PathBuf,
    directory: bool,
}

/// Mount points that were made, outermost first.
#[derive(Debug, Default)]
pub(super) struct MountPoints(Vec<MountPoint>);

impl MountPoints {
    /// Makes sure that there is something to mount on.
    pub(super) fn make(&mut self, path: &Path, directory: bool) -> Result<OwnedFd, Fault> {
        let shown = path.display();
        let mut made = |path: &Path, directory| self.0.push(MountPoint { path: path.to_owned(), directory });
        make(path, directory, &mut made).map_err(|error| match error.kind() {
            io::ErrorKind::IsADirectory => {
                Fault::new("", format!("cannot mount a file on {shown}: it is a directory"))
            }
            io::ErrorKind::NotADirectory => {
                Fault::new("", format!("cannot mount a directory on {shown}: it is a file"))
            }
            _ => Fault::of(format!("make {shown} to mount on"))(error),
        })
    }

    /// What was made, outermost first.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|point| point.path.as_path())
    }

    /// Takes away those that nothing came to be in.
    pub(super) fn remove(&self) {
        for MountPoint { path, directory } in self.0.iter().rev() {
            let _ = unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { continue };
            let Ok(above) = find(parent) else { continue };
            // What has become something else, or is used, stays.
            let empty = |stat: rustix::fs::Stat| {
                FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_size == 0
            };
            let _ = match directory {
                true => unlinkat(&above, name, AtFlags::REMOVEDIR),
                false if statat(&above, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(empty) => {
                    unlinkat(&above, name, AtFlags::empty())
                }
                false => Ok(()),
            };
        }
    }
}
