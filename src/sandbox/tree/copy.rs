//! Files from tree to tree.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{File, Metadata},
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{
            ffi::OsStrExt,
            fs::{FileTypeExt, MetadataExt},
        },
    },
    path::Path,
};

use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, XattrFlags},
    io::Errno,
};

use super::{
    attributes::{Attributes, under},
    error::TreeError,
    flavour::Flavour,
    remove::open_below,
    unpack::make_root,
    warnings::Warnings,
};
use crate::layer::EntryPath;

/// Copies contents of files: shared where the file system can, else by the kernel.
#[derive(Debug, Default)]
pub(super) struct FileCopier {
    cannot_share: bool,
}

impl FileCopier {
    pub(super) fn copy(&mut self, from: &Path, to: BorrowedFd<'_>) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let from = rustix::fs::open(from, flags, Mode::empty())?;
        if !self.cannot_share {
            match rustix::fs::ioctl_ficlone(to, &from) {
                Ok(()) => return Ok(()),
                Err(_) => self.cannot_share = true,
            }
        }
        io::copy(&mut File::from(from), &mut File::from(to.try_clone_to_owned()?)).map(drop)
    }
}

/// Writes copies of files into a new tree.
pub(super) struct TreeWriter<'a> {
    root: OwnedFd,
    dir: &'a Path,
    flavour: Flavour,
    /// They get their attributes last: writing into them changes their times.
    directories: BTreeMap<EntryPath, (Attributes, bool)>,
    /// The copies of files that have more names.
    links: HashMap<(u64, u64), EntryPath>,
    copier: FileCopier,
    warnings: Warnings,
}

impl<'a> TreeWriter<'a> {
    pub(super) fn new(dir: &'a Path, flavour: Flavour) -> Result<Self, TreeError> {
        Ok(Self {
            root: make_root(dir)?,
            dir,
            flavour,
            directories: BTreeMap::new(),
            links: HashMap::new(),
            copier: FileCopier::default(),
            warnings: Warnings::default(),
        })
    }

    fn failed<E: Into<io::Error>>(
        &self,
        action: &'static str,
        path: &EntryPath,
    ) -> impl FnOnce(E) -> TreeError {
        TreeError::io(action, under(self.dir, path))
    }

    fn open(&self, path: Option<&EntryPath>) -> Result<OwnedFd, TreeError> {
        match path {
            None => self.root.try_clone().map_err(TreeError::io::<io::Error>("open", self.dir)),
            Some(path) => open_below(&self.root, path).map_err(self.failed::<Errno>("open", path)),
        }
    }

    pub(super) fn has_directory(&self, path: &EntryPath) -> bool {
        self.directories.contains_key(path)
    }

    /// Makes a copy of a directory without what is in it.
    pub(super) fn directory(
        &mut self,
        path: &EntryPath,
        from: &Path,
        metadata: &Metadata,
        opaque: bool,
    ) -> Result<(), TreeError> {
        if let Some((_, known)) = self.directories.get_mut(path) {
            *known |= opaque;
            return Ok(());
        }
        let parent = self.open(path.parent().as_ref())?;
        rustix::fs::mkdirat(&parent, path.name(), Mode::from_raw_mode(0o700))
            .map_err(self.failed::<Errno>("create", path))?;
        let attributes = Attributes::of_file(from, metadata, self.flavour)?;
        self.directories.insert(path.clone(), (attributes, opaque));
        Ok(())
    }

    /// Makes the mark that something is gone.
    pub(super) fn whiteout(&mut self, path: &EntryPath) -> Result<(), TreeError> {
        let parent = self.open(path.parent().as_ref())?;
        rustix::fs::mknodat(&parent, path.name(), FileType::CharacterDevice, Mode::empty(), 0)
            .map_err(self.failed::<Errno>("mark as removed", path))
    }

    /// Copies anything but a directory. Its directory has to be there.
    pub(super) fn file(
        &mut self,
        path: &EntryPath,
        from: &Path,
        metadata: &Metadata,
    ) -> Result<(), TreeError> {
        let parent = self.open(path.parent().as_ref())?;
        if metadata.is_file() && metadata.nlink() > 1 {
            if let Some(first) = self.links.get(&(metadata.dev(), metadata.ino())) {
                let directory = self.open(first.parent().as_ref())?;
                return rustix::fs::linkat(&directory, first.name(), &parent, path.name(), AtFlags::empty())
                    .map_err(self.failed::<Errno>("link", path));
            }
            self.links.insert((metadata.dev(), metadata.ino()), path.clone());
        }
        let attributes = Attributes::of_file(from, metadata, self.flavour)?;
        if metadata.is_file() {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = rustix::fs::openat(&parent, path.name(), flags, Mode::from_raw_mode(0o600))
                .map_err(self.failed::<Errno>("create", path))?;
            self.copier.copy(from, file.as_fd()).map_err(TreeError::io("copy", from))?;
            return attributes
                .set(file.as_fd(), path, &mut self.warnings)
                .map_err(|failed| failed.at(self.dir, path));
        }
        if !self.special(&parent, path, from, metadata)? {
            return Ok(());
        }
        attributes
            .set_by_name(parent.as_fd(), path.name(), metadata.is_symlink())
            .map_err(|failed| failed.at(self.dir, path))
    }

    /// Makes a link, pipe or device; `false` where that had to be left out.
    fn special(
        &mut self,
        parent: &OwnedFd,
        path: &EntryPath,
        from: &Path,
        metadata: &Metadata,
    ) -> Result<bool, TreeError> {
        let kind = metadata.file_type();
        let (node, device) = match () {
            () if kind.is_symlink() => {
                let target = std::fs::read_link(from).map_err(TreeError::io("read the link", from))?;
                return match rustix::fs::symlinkat(target.as_os_str().as_bytes(), parent, path.name()) {
                    Ok(()) => Ok(true),
                    Err(error) => Err(self.failed("create", path)(error)),
                };
            }
            () if kind.is_fifo() => (FileType::Fifo, 0),
            () if kind.is_block_device() => (FileType::BlockDevice, metadata.rdev()),
            () if kind.is_char_device() => (FileType::CharacterDevice, metadata.rdev()),
            () => {
                self.warnings.left_out("the socket", path, "it means nothing without its process");
                return Ok(false);
            }
        };
        match rustix::fs::mknodat(parent, path.name(), node, Mode::empty(), device) {
            Ok(()) => Ok(true),
            Err(Errno::PERM) if node != FileType::Fifo => {
                self.warnings.left_out("the device", path, "only root of the host can make it");
                Ok(false)
            }
            Err(error) => Err(self.failed("create", path)(error)),
        }
    }

    /// Gives the directories their attributes. Returns what was left out.
    pub(super) fn finish(mut self) -> Result<Vec<String>, TreeError> {
        for (path, (attributes, opaque)) in &self.directories {
            let fd = self.open(Some(path))?;
            if *opaque {
                rustix::fs::fsetxattr(&fd, self.flavour.opaque(), b"y", XattrFlags::empty())
                    .map_err(self.failed::<Errno>("mark as opaque", path))?;
            }
            attributes.set(fd.as_fd(), path, &mut self.warnings).map_err(|f| f.at(self.dir, path))?;
        }
        Ok(self.warnings.lines())
    }
}
