//! One entry onto the disk. The order is owner, mode, attributes, times: changing the owner drops set-ID bits and
//! `security.capability`, and everything before the last changes times.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags, makedev},
    io::Errno,
};

use super::extract::ExtractOptions;
use crate::layer::{Copier, Entry, Kind, LayerError};

pub(super) struct Maker<'a> {
    pub(super) parent: BorrowedFd<'a>,
    pub(super) name: &'a [u8],
    pub(super) options: &'a ExtractOptions,
}

type Failed = (&'static str, io::Error);

impl Maker<'_> {
    /// Makes an entry where nothing is: else the error is that it exists. `linked` is where a hard link's target lies.
    pub(super) fn make(
        &self,
        entry: &Entry,
        linked: Option<&(OwnedFd, &[u8])>,
        copier: &mut Copier,
    ) -> Result<(), Failed> {
        let create = |error: Errno| ("create", io::Error::from(error));
        let private = Mode::from_raw_mode(0o600);
        match &entry.kind {
            Kind::Directory => {
                // Its owner, mode and times come at the end.
                return rustix::fs::mkdirat(self.parent, self.name, Mode::from_raw_mode(0o700))
                    .map_err(create);
            }
            Kind::File(content) => {
                let flags =
                    OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = rustix::fs::openat(self.parent, self.name, flags, private).map_err(create)?;
                let mut file = File::from(file);
                copier.copy(content, &mut file).map_err(|error| ("write", of_copy(error)))?;
                return finish(file.as_fd(), entry, self.options)
                    .map_err(|(action, error)| (action, error.into()));
            }
            Kind::Hardlink(_) => {
                let Some((directory, target)) = linked else { return Err(create(Errno::NOENT)) };
                return rustix::fs::linkat(directory, *target, self.parent, self.name, AtFlags::empty())
                    .map_err(|error| ("link", error.into()));
            }
            Kind::Symlink(target) => {
                rustix::fs::symlinkat(target.as_slice(), self.parent, self.name).map_err(create)?;
            }
            Kind::CharDevice { major, minor } => self.node(FileType::CharacterDevice, *major, *minor)?,
            Kind::BlockDevice { major, minor } => self.node(FileType::BlockDevice, *major, *minor)?,
            Kind::Fifo => self.node(FileType::Fifo, 0, 0)?,
            // Marks mean something in layers only.
            Kind::Whiteout | Kind::Opaque => return Ok(()),
        }
        self.finish_by_name(entry).map_err(|(action, error)| (action, error.into()))
    }

    /// A directory of somebody's that cannot be written to is made writable until its turn at the end.
    pub(super) fn open_up(&self) -> Result<(), Failed> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(self.parent, self.name, flags, Mode::empty());
        let directory = directory.map_err(|error| ("open", error.into()))?;
        rustix::fs::fchmod(&directory, Mode::from_raw_mode(0o700))
            .map_err(|error| ("set the mode of", error.into()))
    }

    fn node(&self, kind: FileType, major: u32, minor: u32) -> Result<(), Failed> {
        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(self.parent, self.name, kind, mode, makedev(major, minor))
            .map_err(|error| ("create", error.into()))
    }

    /// For what cannot be opened without following it or waiting for it.
    fn finish_by_name(&self, entry: &Entry) -> Result<(), (&'static str, Errno)> {
        let nofollow = AtFlags::SYMLINK_NOFOLLOW;
        if self.options.as_root {
            let (uid, gid) = owner(entry).map_err(|error| ("set the owner of", error))?;
            rustix::fs::chownat(self.parent, self.name, Some(uid), Some(gid), nofollow)
                .map_err(|error| ("set the owner of", error))?;
        }
        if !matches!(entry.kind, Kind::Symlink(_)) {
            rustix::fs::chmodat(self.parent, self.name, Mode::from_raw_mode(entry.mode), AtFlags::empty())
                .map_err(|error| ("set the mode of", error))?;
        }
        rustix::fs::utimensat(self.parent, self.name, &times(entry), nofollow)
            .map_err(|error| ("set the time of", error))
    }
}

/// Owner, mode, attributes and times of an open file or directory.
pub(super) fn finish(
    file: BorrowedFd<'_>,
    entry: &Entry,
    options: &ExtractOptions,
) -> Result<(), (&'static str, Errno)> {
    if options.as_root {
        let (uid, gid) = owner(entry).map_err(|error| ("set the owner of", error))?;
        rustix::fs::fchown(file, Some(uid), Some(gid)).map_err(|error| ("set the owner of", error))?;
    }
    rustix::fs::fchmod(file, Mode::from_raw_mode(entry.mode)).map_err(|error| ("set the mode of", error))?;
    for (name, value) in &entry.xattrs {
        match rustix::fs::fsetxattr(file, name.as_slice(), value, XattrFlags::empty()) {
            Ok(()) => {}
            // Attributes of namespaces that only root may write, or that this file system does not have or has no room
            // for: many have a block of 4 KiB for all of a file's. A full disk is told by what is written next.
            Err(error @ (Errno::NOTSUP | Errno::PERM | Errno::NOSPC | Errno::TOOBIG)) => {
                let why = match error {
                    Errno::NOSPC | Errno::TOOBIG => "the file system has no room for it".to_owned(),
                    error => error.to_string(),
                };
                let name = String::from_utf8_lossy(name);
                options.sink.warn(format!("left out the attribute {name} of /{}: {why}", entry.path));
            }
            Err(error) => return Err(("set an attribute of", error)),
        }
    }
    rustix::fs::futimens(file, &times(entry)).map_err(|error| ("set the time of", error))
}

fn owner(entry: &Entry) -> Result<(Uid, Gid), Errno> {
    // The highest number means "as it is" to the kernel.
    let id = |id: u64| u32::try_from(id).ok().filter(|id| *id != u32::MAX).ok_or(Errno::INVAL);
    Ok((Uid::from_raw(id(entry.uid)?), Gid::from_raw(id(entry.gid)?)))
}

fn times(entry: &Entry) -> Timestamps {
    let time = Timespec { tv_sec: entry.mtime, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

fn of_copy(error: LayerError) -> io::Error {
    match error {
        LayerError::Out(error) => error,
        other => io::Error::other(other),
    }
}
