//! A root file system into a directory.

use std::{
    collections::HashSet,
    fs, io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags},
    io::Errno,
};

use super::{
    error::RootfsError,
    extract_node::{Maker, finish},
};
use crate::{
    event::Sink,
    layer::{Copier, Entry, EntryPath, Kind},
};

/// How to extract.
#[derive(Debug, Clone)]
pub struct ExtractOptions {
    /// Whether to give files their owners and make devices: possible for root only. Else all belong to the caller.
    pub as_root: bool,
    /// Where warnings go.
    pub sink: Sink,
}

impl ExtractOptions {
    /// Owners and devices if this process is root's.
    pub fn new(sink: Sink) -> Self {
        Self { as_root: rustix::process::geteuid().is_root(), sink }
    }
}

/// Writes entries, such as [`super::View::flatten`] gives them, into the directory `dest`, which is made if missing.
/// What is there under an entry's path is replaced, directories are merged.
///
/// Every path is opened relative to `dest` and no symbolic link is followed below it: a link on an entry's way, left
/// by the entries or by somebody else, is an error.
pub fn extract(entries: &[Entry], dest: &Path, options: &ExtractOptions) -> Result<(), RootfsError> {
    fs::create_dir_all(dest).map_err(RootfsError::io("create", dest))?;
    let root =
        rustix::fs::openat(CWD, dest, OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::PATH, Mode::empty())
            .map_err(|error| RootfsError::io("open", dest)(error.into()))?;
    let mut target = Target { root, dest, options, open: None, skipped: HashSet::new() };
    let mut copier = Copier::default();
    for entry in entries {
        target.entry(entry, &mut copier)?;
    }
    // Last and from the bottom up: writing into a directory changes its time and needs its permissions.
    for entry in entries.iter().rev().filter(|entry| entry.kind == Kind::Directory) {
        let fail = |(action, error): (&'static str, Errno)| {
            RootfsError::io(action, target.shown(&entry.path))(error.into())
        };
        let directory = target.directory(Some(&entry.path)).map_err(|error| fail(("open", error)))?;
        finish(directory.as_fd(), entry, options).map_err(fail)?;
    }
    Ok(())
}

struct Target<'a> {
    root: OwnedFd,
    dest: &'a Path,
    options: &'a ExtractOptions,
    /// The directory of the entry before.
    open: Option<(Option<EntryPath>, OwnedFd)>,
    skipped: HashSet<EntryPath>,
}

impl Target<'_> {
    fn shown(&self, path: &EntryPath) -> PathBuf {
        use std::os::unix::ffi::OsStrExt;
        self.dest.join(std::ffi::OsStr::from_bytes(path.as_bytes()))
    }

    fn directory(&self, path: Option<&EntryPath>) -> Result<OwnedFd, Errno> {
        let path = path.map_or(&b"."[..], EntryPath::as_bytes);
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve)
    }

    /// Opens the directory an entry goes into, making what is missing of it.
    fn parent(&mut self, path: Option<EntryPath>) -> Result<&OwnedFd, Errno> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != path) {
            let opened = match self.directory(path.as_ref()) {
                Err(Errno::NOENT) if path.is_some() => {
                    let missing = path.clone().ok_or(Errno::NOENT)?;
                    let above = self.parent(missing.parent())?;
                    match rustix::fs::mkdirat(above, missing.name(), Mode::from_raw_mode(0o755)) {
                        Ok(()) | Err(Errno::EXIST) => self.directory(Some(&missing))?,
                        Err(error) => return Err(error),
                    }
                }
                other => other?,
            };
            self.open = Some((path, opened));
        }
        self.open.as_ref().map(|(_, fd)| fd).ok_or(Errno::BADF)
    }

    fn entry(&mut self, entry: &Entry, copier: &mut Copier) -> Result<(), RootfsError> {
        let shown = self.shown(&entry.path);
        let options = self.options;
        let device = matches!(entry.kind, Kind::CharDevice { .. } | Kind::BlockDevice { .. });
        let to_skipped = matches!(&entry.kind, Kind::Hardlink(target) if self.skipped.contains(target));
        if to_skipped || device && !options.as_root {
            options.sink.warn(format!("left out the device /{}: only root can make it", entry.path));
            self.skipped.insert(entry.path.clone());
            return Ok(());
        }
        let linked = match &entry.kind {
            Kind::Hardlink(target) => {
                let directory = self.directory(target.parent().as_ref());
                Some((
                    directory.map_err(|e| RootfsError::io("open", self.shown(target))(e.into()))?,
                    target.name(),
                ))
            }
            _ => None,
        };
        let fail = |(action, error): (&'static str, io::Error)| RootfsError::io(action, shown.clone())(error);
        let parent = self
            .parent(entry.path.parent())
            .map_err(|error| fail(("open the directory of", error.into())))?;
        let (parent, name) = (parent.as_fd(), entry.path.name());
        let maker = Maker { parent, name, options };
        match maker.make(entry, linked.as_ref(), copier) {
            // Looked for only now: nothing is in the way of most entries.
            Err((_, error)) if error.kind() == io::ErrorKind::AlreadyExists => {
                let is_directory = entry.kind == Kind::Directory;
                let stays = clear(parent, name, is_directory).map_err(|error| fail(("replace", error)))?;
                if stays { maker.open_up() } else { maker.make(entry, linked.as_ref(), copier) }.map_err(fail)
            }
            made => made.map_err(fail),
        }
    }
}

/// Removes what is under this name, but for a directory where one is to be: then it tells that it stays.
fn clear(parent: rustix::fd::BorrowedFd<'_>, name: &[u8], keep_directory: bool) -> io::Result<bool> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(false),
        Err(Errno::ISDIR | Errno::PERM) if keep_directory => Ok(true),
        Err(Errno::ISDIR | Errno::PERM) => remove_tree(parent, name).map(|()| false),
        Err(error) => Err(error.into()),
    }
}

fn remove_tree(parent: rustix::fd::BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    for entry in rustix::fs::Dir::read_from(&directory)? {
        let entry = entry?;
        let inner = entry.file_name().to_bytes();
        if !matches!(inner, b"." | b"..") {
            clear(directory.as_fd(), inner, false)?;
        }
    }
    Ok(rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?)
}
