//! A layer into a tree.
//!
//! Every path is opened relative to the tree's root and no symbolic link is followed below it: whatever a layer says,
//! nothing outside of the tree is touched.

use std::{
    borrow::Borrow,
    collections::{BTreeMap, HashMap, HashSet},
    ffi::OsStr,
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{AtFlags, CWD, FileType, Mode, OFlags, XattrFlags, makedev},
    io::Errno,
};

use super::{
    attributes::{Attributes, Failed, under},
    copy::FileCopier,
    error::TreeError,
    flavour::Flavour,
    merged::Merged,
    remove::{open_below, open_directory, remove_at},
    warnings::Warnings,
};
use crate::layer::{Content, Copier, Entry, EntryPath, Kind};

/// Unpacks a layer's entries, in the order given, into `dir`: a new or empty directory. `lowers` are the trees below it,
/// lowest first: a directory that the layer does not tell of, only of things in it, is as they have it.
///
/// Returns what had to be left out: devices where the kernel lets only root of the host make them, and attributes.
///
/// # Errors
/// [`TreeError::Refused`] for entries that no tree can have: below a file or a symbolic link, or a hard link to
/// nothing. Everything else as it comes: no space, no permission, content that is not what it was.
pub fn unpack<I>(
    entries: I,
    dir: &Path,
    lowers: &[PathBuf],
    flavour: Flavour,
) -> Result<Vec<String>, TreeError>
where
    I: IntoIterator,
    I::Item: Borrow<Entry>,
{
    let mut unpacker = Unpacker::new(dir, lowers, flavour)?;
    for entry in entries {
        unpacker.entry(entry.borrow())?;
    }
    unpacker.finish()
}

/// Makes the root of a tree and opens it. Overlayfs shows the uppermost tree's root as the root.
pub(super) fn make_root(dir: &Path) -> Result<OwnedFd, TreeError> {
    fs::create_dir_all(dir).map_err(TreeError::io("create", dir))?;
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let root =
        rustix::fs::openat(CWD, dir, flags, Mode::empty()).map_err(TreeError::io::<Errno>("open", dir))?;
    rustix::fs::fchmod(&root, Mode::from_raw_mode(0o755))
        .map_err(TreeError::io::<Errno>("set the mode of", dir))?;
    // What the place where trees are kept has for new files is nothing that the image has.
    let _ = rustix::fs::fremovexattr(&root, "system.posix_acl_default");
    Ok(root)
}

/// What makes two entries names of one file: an index gives each the whole file's attributes and the same range.
type Range = (Arc<Path>, u64, u64);

struct Unpacker<'a> {
    root: OwnedFd,
    dir: &'a Path,
    lowers: Merged,
    flavour: Flavour,
    /// The directory of the entry before: entries mostly come after their siblings.
    open: Option<(Option<EntryPath>, Arc<OwnedFd>)>,
    /// All directories so far. They get their attributes last: writing into them changes their times.
    directories: BTreeMap<EntryPath, Directory>,
    ranges: HashMap<Range, Entry>,
    whiteouts: HashSet<EntryPath>,
    skipped: HashSet<EntryPath>,
    copier: Copier,
    warnings: Warnings,
}

#[derive(Default)]
struct Directory {
    /// `None` where the layer has not told of the directory.
    attributes: Option<Attributes>,
    opaque: bool,
}

impl<'a> Unpacker<'a> {
    fn new(dir: &'a Path, lowers: &[PathBuf], flavour: Flavour) -> Result<Self, TreeError> {
        Ok(Self {
            root: make_root(dir)?,
            dir,
            lowers: Merged::new(lowers, flavour),
            flavour,
            open: None,
            directories: BTreeMap::new(),
            ranges: HashMap::new(),
            whiteouts: HashSet::new(),
            skipped: HashSet::new(),
            copier: Copier::default(),
            warnings: Warnings::default(),
        })
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), TreeError> {
        let path = &entry.path;
        match &entry.kind {
            Kind::Whiteout => self.whiteout(path),
            Kind::Opaque => {
                self.directory(path)?.opaque = true;
                Ok(())
            }
            Kind::Directory => {
                let attributes = Attributes::of_entry(entry, self.flavour)?;
                self.directory(path)?.attributes = Some(attributes);
                Ok(())
            }
            Kind::File(content) => self.file(entry, content),
            Kind::Hardlink(target) => self.hardlink(entry, target),
            Kind::Symlink(target) => {
                self.special(entry, |parent, name| rustix::fs::symlinkat(target.as_slice(), parent, name))
            }
            Kind::Fifo => self.special(entry, |parent, name| mknod(parent, name, FileType::Fifo, 0, 0)),
            Kind::CharDevice { major: 0, minor: 0 } => {
                self.skipped.insert(path.clone());
                self.warnings.left_out("the device", path, "0:0 means to overlayfs that nothing is there");
                Ok(())
            }
            Kind::CharDevice { major, minor } => self.special(entry, |parent, name| {
                mknod(parent, name, FileType::CharacterDevice, *major, *minor)
            }),
            Kind::BlockDevice { major, minor } => {
                self.special(entry, |parent, name| mknod(parent, name, FileType::BlockDevice, *major, *minor))
            }
        }
    }

    fn finish(mut self) -> Result<Vec<String>, TreeError> {
        for (path, directory) in &self.directories {
            let attributes = match &directory.attributes {
                Some(attributes) => attributes.clone(),
                None => match self.lowers.find(path)? {
                    Some(found) if found.metadata.is_dir() => {
                        Attributes::of_file(&found.path, &found.metadata, self.flavour)?
                    }
                    // Its entries would land where the link leads to, which only the caller can know.
                    Some(found) if found.metadata.is_symlink() => {
                        return Err(TreeError::refused(path, "is a symbolic link in the layers below"));
                    }
                    _ => Attributes::directory(),
                },
            };
            let fd = open_below(&self.root, path).map_err(self.failed("open", path))?;
            if directory.opaque {
                rustix::fs::fsetxattr(&fd, self.flavour.opaque(), b"y", XattrFlags::empty())
                    .map_err(self.failed("mark as opaque", path))?;
            }
            attributes.set(fd.as_fd(), path, &mut self.warnings).map_err(|f| f.at(self.dir, path))?;
        }
        Ok(self.warnings.lines())
    }

    fn failed(&self, action: &'static str, path: &EntryPath) -> impl FnOnce(Errno) -> TreeError {
        TreeError::io(action, under(self.dir, path))
    }

    /// Opens the directory that an entry goes into, and makes what is missing of it.
    fn parent(&mut self, path: &EntryPath) -> Result<Arc<OwnedFd>, TreeError> {
        let parent = path.parent();
        if let Some((open, fd)) = &self.open
            && *open == parent
        {
            return Ok(fd.clone());
        }
        let fd = match &parent {
            None => self.root.try_clone().map_err(TreeError::io::<io::Error>("open", self.dir))?,
            Some(directory) => match open_below(&self.root, directory) {
                Err(Errno::NOENT | Errno::NOTDIR) => self.implicit(directory)?,
                Err(Errno::LOOP) => return Err(TreeError::refused(path, "lies below a symbolic link")),
                other => other.map_err(self.failed("open", directory))?,
            },
        };
        let fd = Arc::new(fd);
        self.open = Some((parent, fd.clone()));
        Ok(fd)
    }

    /// Makes a directory that the layer does not tell of, and those above it.
    fn implicit(&mut self, path: &EntryPath) -> Result<OwnedFd, TreeError> {
        let mut missing = vec![path.clone()];
        while let Some(above) = missing.last().and_then(EntryPath::parent) {
            missing.push(above);
        }
        let mut parent = self.root.try_clone().map_err(TreeError::io::<io::Error>("open", self.dir))?;
        for at in missing.iter().rev() {
            if !self.directories.contains_key(at) {
                self.make_directory(parent.as_fd(), at, false)?;
            }
            parent = open_directory(parent.as_fd(), at.name()).map_err(self.failed("open", at))?;
        }
        Ok(parent)
    }

    /// Makes a directory that the layer tells of, or finds the one that it has there already.
    fn directory(&mut self, path: &EntryPath) -> Result<&mut Directory, TreeError> {
        if !self.directories.contains_key(path) {
            let parent = self.parent(path)?;
            self.make_directory(parent.as_fd(), path, true)?;
        }
        // It was put there just now if it was not there before.
        Ok(self.directories.entry(path.clone()).or_default())
    }

    /// Makes a directory. What else the layer has there goes if it tells of the directory itself.
    fn make_directory(
        &mut self,
        parent: BorrowedFd<'_>,
        path: &EntryPath,
        told: bool,
    ) -> Result<(), TreeError> {
        let mode = Mode::from_raw_mode(0o700);
        let opaque = self.whiteouts.contains(path);
        let made = match rustix::fs::mkdirat(parent, path.name(), mode) {
            Err(Errno::EXIST) if told || opaque => {
                self.clear(parent, path)?;
                rustix::fs::mkdirat(parent, path.name(), mode)
            }
            Err(Errno::EXIST) => {
                return Err(TreeError::refused(path, "is no directory, but has something in it"));
            }
            other => other,
        };
        made.map_err(self.failed("create", path))?;
        self.directories.insert(path.clone(), Directory { attributes: None, opaque });
        Ok(())
    }

    /// Removes what an earlier entry has left at this path.
    fn clear(&mut self, parent: BorrowedFd<'_>, path: &EntryPath) -> Result<(), TreeError> {
        remove_at(parent, path.name()).map_err(TreeError::io("replace", under(self.dir, path)))?;
        if self.whiteouts.remove(path) {
            return Ok(());
        }
        if self.directories.contains_key(path) {
            self.directories.retain(|other, _| !other.starts_with(path));
            self.whiteouts.retain(|other| !other.starts_with(path));
            self.open = None;
        }
        self.skipped.retain(|other| !other.starts_with(path));
        self.ranges.retain(|_, first| !first.path.starts_with(path));
        Ok(())
    }

    /// Makes something where nothing is; what an earlier entry has left there goes.
    fn make<T>(
        &mut self,
        path: &EntryPath,
        make: impl Fn(BorrowedFd<'_>, &[u8]) -> Result<T, Errno>,
    ) -> Result<Result<T, Errno>, TreeError> {
        let parent = self.parent(path)?;
        match make(parent.as_fd(), path.name()) {
            Err(Errno::EXIST) => {
                self.clear(parent.as_fd(), path)?;
                Ok(make(parent.as_fd(), path.name()))
            }
            other => Ok(other),
        }
    }

    /// A whiteout says something of the layers below only: what this layer has at the path stays.
    fn whiteout(&mut self, path: &EntryPath) -> Result<(), TreeError> {
        if let Some(directory) = self.directories.get_mut(path) {
            directory.opaque = true;
            return Ok(());
        }
        let parent = self.parent(path)?;
        match mknod(parent.as_fd(), path.name(), FileType::CharacterDevice, 0, 0) {
            Ok(()) => drop(self.whiteouts.insert(path.clone())),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(self.failed("mark as removed", path)(error)),
        }
        Ok(())
    }

    fn file(&mut self, entry: &Entry, content: &Content) -> Result<(), TreeError> {
        let path = &entry.path;
        if let Content::Range { file, offset, size, .. } = content {
            let range = (file.clone(), *offset, *size);
            match self.ranges.get(&range) {
                Some(first) if same_file(first, entry) => {
                    let target = first.path.clone();
                    return self.hardlink(entry, &target);
                }
                Some(_) => {}
                None => drop(self.ranges.insert(range, entry.clone())),
            }
        }
        let attributes = Attributes::of_entry(entry, self.flavour)?;
        let fd = self.make(path, create_file)?.map_err(self.failed("create", path))?;
        let mut file = File::from(fd);
        self.copier.copy(content, &mut file).map_err(|error| match error {
            crate::layer::LayerError::Out(error) => TreeError::io("write", under(self.dir, path))(error),
            error => error.into(),
        })?;
        attributes.set(file.as_fd(), path, &mut self.warnings).map_err(|failed| failed.at(self.dir, path))
    }

    fn hardlink(&mut self, entry: &Entry, target: &EntryPath) -> Result<(), TreeError> {
        let path = &entry.path;
        if self.skipped.contains(target) {
            self.skipped.insert(path.clone());
            return Ok(());
        }
        let nothing = || TreeError::refused(path, format!("is a hard link to /{target}, which is not there"));
        if target == path {
            return Err(TreeError::refused(path, "is a hard link to itself"));
        }
        let directory = match target.parent() {
            None => self.root.try_clone().map_err(|_| Errno::MFILE),
            Some(parent) => open_below(&self.root, &parent),
        };
        let linked = match directory {
            Ok(_) if self.whiteouts.contains(target) => return Err(nothing()),
            Ok(directory) => self.make(path, |parent, name| {
                rustix::fs::linkat(&directory, target.name(), parent, name, AtFlags::empty())
            })?,
            Err(error) => Err(error),
        };
        match linked {
            Ok(()) => Ok(()),
            Err(Errno::NOENT) => self.copy_up(path, target, nothing),
            Err(Errno::LOOP | Errno::NOTDIR) => {
                let why = format!("is a hard link to /{target}, which lies below a link or a file");
                Err(TreeError::refused(path, why))
            }
            Err(Errno::PERM) if self.directories.contains_key(target) => {
                Err(TreeError::refused(path, format!("is a hard link to the directory /{target}")))
            }
            Err(error) => Err(self.failed("link", path)(error)),
        }
    }

    /// A hard link to a file of the layers below: a copy of it, since trees share no files.
    fn copy_up(
        &mut self,
        path: &EntryPath,
        target: &EntryPath,
        nothing: impl FnOnce() -> TreeError,
    ) -> Result<(), TreeError> {
        let found = self.lowers.find(target)?.filter(|found| found.metadata.is_file()).ok_or_else(nothing)?;
        let attributes = Attributes::of_file(&found.path, &found.metadata, self.flavour)?;
        let fd = self.make(path, create_file)?.map_err(self.failed("create", path))?;
        FileCopier::default().copy(&found.path, fd.as_fd()).map_err(TreeError::io("copy", &found.path))?;
        attributes.set(fd.as_fd(), path, &mut self.warnings).map_err(|failed| failed.at(self.dir, path))
    }

    /// Makes what cannot be opened: links, pipes and devices.
    fn special(
        &mut self,
        entry: &Entry,
        make: impl Fn(BorrowedFd<'_>, &[u8]) -> Result<(), Errno>,
    ) -> Result<(), TreeError> {
        let path = &entry.path;
        let attributes = Attributes::of_entry(entry, self.flavour)?;
        match self.make(path, make)? {
            Ok(()) => {}
            Err(Errno::PERM) if matches!(entry.kind, Kind::CharDevice { .. } | Kind::BlockDevice { .. }) => {
                self.skipped.insert(path.clone());
                self.warnings.left_out("the device", path, "only root of the host can make it");
                return Ok(());
            }
            Err(error) => return Err(self.failed("create", path)(error)),
        }
        let parent = self.parent(path)?;
        let is_link = matches!(entry.kind, Kind::Symlink(_));
        let set = attributes.set_by_name(parent.as_fd(), path.name(), is_link);
        set.map_err(|failed: Failed| failed.at(self.dir, path))?;
        // Attributes of namespaces other than `user`, which links and devices cannot have: by path, as nothing else can.
        let whole = under(self.dir, path);
        for (name, value) in &attributes.xattrs {
            let set = rustix::fs::lsetxattr(&whole, OsStr::from_bytes(name), value, XattrFlags::empty());
            if set.is_err() && name != super::flavour::OWNER {
                let what = format!("the attribute {} of", String::from_utf8_lossy(name));
                self.warnings.left_out(what, path, "a link, pipe or device cannot have it");
            }
        }
        Ok(())
    }
}

fn create_file(parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o600))
}

fn mknod(parent: BorrowedFd<'_>, name: &[u8], kind: FileType, major: u32, minor: u32) -> Result<(), Errno> {
    // The mode that overlayfs gives its own whiteouts; other nodes get theirs later.
    rustix::fs::mknodat(parent, name, kind, Mode::empty(), makedev(major, minor))
}

fn same_file(first: &Entry, entry: &Entry) -> bool {
    first.path != entry.path
        && (first.mode, first.uid, first.gid, first.mtime) == (entry.mode, entry.uid, entry.gid, entry.mtime)
        && first.xattrs == entry.xattrs
}

/// The path of a name in a directory; the root is `None`.
pub(super) fn path_of(directory: Option<&EntryPath>, name: &OsStr) -> Option<EntryPath> {
    match directory {
        Some(directory) => Some(directory.join(name.as_bytes())),
        None => EntryPath::new(name.as_bytes()),
    }
}
