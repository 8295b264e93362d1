//! Owner, mode, extended attributes and time of a file in a tree. The order of setting them is this one: changing the
//! owner drops set-ID bits and `security.capability`, and everything before the last changes the time.

use std::{
    fs::Metadata,
    os::{
        fd::BorrowedFd,
        unix::{ffi::OsStrExt, fs::MetadataExt},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags},
    io::Errno,
};

use super::{
    error::TreeError,
    flavour::{Flavour, OWNER, Owners},
    warnings::Warnings,
};
use crate::layer::{Entry, EntryPath};

/// The most bytes that the names of a file's attributes have together, and that a value has (`limits.h`).
const XATTR_MAX: usize = 64 << 10;

/// Extended attributes: name → value.
pub(super) type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// What a file in a tree has besides its content, as the file system is to keep it.
#[derive(Debug, Clone)]
pub(super) struct Attributes {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: (i64, i64),
    pub(super) xattrs: Xattrs,
}

impl Attributes {
    /// A directory that nobody told of.
    pub(super) fn directory() -> Self {
        Self { mode: 0o755, uid: 0, gid: 0, mtime: (0, 0), xattrs: Vec::new() }
    }

    /// Those of an entry.
    pub(super) fn of_entry(entry: &Entry, flavour: Flavour) -> Result<Self, TreeError> {
        let id = |id: u64| {
            // The highest number means "as it is" to the kernel.
            u32::try_from(id).ok().filter(|id| *id != u32::MAX).ok_or_else(|| {
                TreeError::refused(&entry.path, format!("belongs to {id}, which is no id of a user or group"))
            })
        };
        let (mut uid, mut gid) = (id(entry.uid)?, id(entry.gid)?);
        let mut xattrs: Xattrs = Vec::with_capacity(entry.xattrs.len());
        for (name, value) in &entry.xattrs {
            if name != OWNER && is_portable(name) {
                xattrs.push((flavour.escaped(name), value.clone()));
            }
        }
        if flavour.owners == Owners::Recorded {
            if (uid, gid) != (0, 0) {
                xattrs.push((OWNER.to_vec(), format!("{uid}:{gid}").into_bytes()));
            }
            (uid, gid) = (0, 0);
        }
        Ok(Self { mode: entry.mode & 0o7777, uid, gid, mtime: (entry.mtime, 0), xattrs })
    }

    /// Those of a file in a tree, without the marks of overlayfs.
    pub(super) fn of_file(path: &Path, metadata: &Metadata, flavour: Flavour) -> Result<Self, TreeError> {
        let mut xattrs = read_xattrs(path)?;
        let escape = [flavour.prefix(), b"overlay."].concat();
        xattrs.retain(|(name, _)| {
            is_portable(name) && (!name.starts_with(flavour.prefix()) || name.starts_with(&escape))
        });
        Ok(Self {
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
            xattrs,
        })
    }

    /// Sets them on an open file or directory that this process made: it belongs to 0:0.
    pub(super) fn set(
        &self,
        file: BorrowedFd<'_>,
        shown: &EntryPath,
        warnings: &mut Warnings,
    ) -> Result<(), Failed> {
        if (self.uid, self.gid) != (0, 0) {
            rustix::fs::fchown(file, Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))
                .map_err(self.owner_failed())?;
        }
        rustix::fs::fchmod(file, Mode::from_raw_mode(self.mode)).map_err(Failed::to("set the mode of"))?;
        for (name, value) in &self.xattrs {
            let set = rustix::fs::fsetxattr(file, name.as_slice(), value, XattrFlags::empty());
            tolerate(set, name, shown, warnings)?;
        }
        rustix::fs::futimens(file, &self.times()).map_err(Failed::to("set the time of"))
    }

    /// Sets them on what cannot be opened without following it or waiting for it.
    pub(super) fn set_by_name(
        &self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        is_link: bool,
    ) -> Result<(), Failed> {
        if (self.uid, self.gid) != (0, 0) {
            let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
            rustix::fs::chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
                .map_err(self.owner_failed())?;
        }
        if !is_link {
            rustix::fs::chmodat(parent, name, Mode::from_raw_mode(self.mode), AtFlags::empty())
                .map_err(Failed::to("set the mode of"))?;
        }
        rustix::fs::utimensat(parent, name, &self.times(), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(Failed::to("set the time of"))
    }

    fn times(&self) -> Timestamps {
        let time = Timespec { tv_sec: self.mtime.0, tv_nsec: self.mtime.1 };
        Timestamps { last_access: time, last_modification: time }
    }

    fn owner_failed(&self) -> impl FnOnce(Errno) -> Failed {
        let (uid, gid) = (self.uid, self.gid);
        move |error| match error {
            Errno::INVAL | Errno::OVERFLOW => Failed::Unmapped(uid, gid),
            error => Failed::Errno("set the owner of", error),
        }
    }
}

/// Attributes of namespaces that this process may not write, or that the file system does not have, are left out.
fn tolerate(
    set: Result<(), Errno>,
    name: &[u8],
    shown: &EntryPath,
    warnings: &mut Warnings,
) -> Result<(), Failed> {
    let why = match set {
        Ok(()) => return Ok(()),
        Err(Errno::PERM | Errno::ACCESS) => "the sandbox may not set it",
        Err(Errno::NOTSUP) => "the file system does not have it",
        Err(Errno::INVAL) => "the kernel refuses its value",
        // Many have a block of 4 KiB for all of a file's. A full disk is told by what is written next.
        Err(Errno::NOSPC | Errno::TOOBIG) => "the file system has no room for it",
        Err(error) => return Err(Failed::Errno("set an attribute of", error)),
    };
    warnings.left_out(format!("the attribute {} of", String::from_utf8_lossy(name)), shown, why);
    Ok(())
}

/// Whether an attribute says something of the file, not of the security module (SELinux, IMA) of the host that it was
/// on, nor of its file system.
pub(super) fn is_portable(name: &[u8]) -> bool {
    name == b"security.capability"
        || name.starts_with(b"system.posix_acl_")
        || !(name.starts_with(b"security.") || name.starts_with(b"system."))
}

/// A failure that does not know its path yet.
#[derive(Debug)]
pub(super) enum Failed {
    Errno(&'static str, Errno),
    Unmapped(u32, u32),
}

impl Failed {
    pub(super) fn to(action: &'static str) -> impl Fn(Errno) -> Self {
        move |error| Self::Errno(action, error)
    }

    pub(super) fn at(self, dir: &Path, path: &EntryPath) -> TreeError {
        match self {
            Self::Errno(action, error) => TreeError::io(action, under(dir, path))(error),
            Self::Unmapped(uid, gid) => TreeError::Unmapped { path: path.clone(), uid, gid },
        }
    }
}

/// The path of an entry in a tree.
pub(super) fn under(dir: &Path, path: &EntryPath) -> PathBuf {
    dir.join(std::ffi::OsStr::from_bytes(path.as_bytes()))
}

/// The attributes of a file, which may be a symbolic link.
pub(super) fn read_xattrs(path: &Path) -> Result<Xattrs, TreeError> {
    let fail = |error| TreeError::io("read the attributes of", path)(error);
    // Nearly no file has any, nearly none many.
    let mut names = vec![0; 512];
    let size = match rustix::fs::llistxattr(path, &mut names[..]) {
        Err(Errno::RANGE) => {
            names.resize(XATTR_MAX, 0);
            rustix::fs::llistxattr(path, &mut names[..])
        }
        other => other,
    };
    let size = match size {
        Ok(size) => size,
        Err(Errno::NOTSUP) => 0,
        Err(error) => return Err(fail(error)),
    };
    let mut xattrs = Vec::new();
    for name in names[..size].split(|b| *b == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; XATTR_MAX];
        match rustix::fs::lgetxattr(path, name, &mut value[..]) {
            Ok(size) => value.truncate(size),
            // Not for us to read: overlayfs' own, or of a security module.
            Err(Errno::NODATA | Errno::PERM | Errno::ACCESS | Errno::NOTSUP) => continue,
            Err(error) => return Err(fail(error)),
        }
        value.shrink_to_fit();
        xattrs.push((name.to_vec(), value));
    }
    Ok(xattrs)
}

/// The owner that was recorded for a file.
pub(super) fn recorded_owner(path: &Path) -> Result<Option<(u32, u32)>, TreeError> {
    let mut value = [0; 32];
    match rustix::fs::lgetxattr(path, OWNER, &mut value[..]) {
        Ok(size) => Ok(parse_owner(&value[..size])),
        Err(Errno::NODATA | Errno::NOTSUP | Errno::PERM | Errno::RANGE) => Ok(None),
        Err(error) => Err(TreeError::io("read the attributes of", path)(error)),
    }
}

/// `uid:gid`; what a step wrote there itself may be anything.
pub(super) fn parse_owner(value: &[u8]) -> Option<(u32, u32)> {
    let (uid, gid) = std::str::from_utf8(value).ok()?.split_once(':')?;
    Some((uid.parse().ok()?, gid.parse().ok()?))
}
