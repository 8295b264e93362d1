//! Mounts that are made before they are put anywhere: what they show is opened while the host's files are in sight, and
//! where they go is looked up in the new root alone, whatever symbolic links an image has there.

use std::{
    ffi::CString,
    fs, io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::CWD,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags,
        fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount, move_mount, open_tree,
    },
};

use super::{fault::Fault, sys, tree::Marks};

/// What no file of a user may be used for.
pub(super) const INERT: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// A mount that is nowhere yet.
#[derive(Debug)]
pub(super) struct Detached(OwnedFd);

impl Detached {
    /// A second view of a file or directory, with all that is mounted in it.
    pub(super) fn view(path: &Path, attributes: MountAttrFlags) -> io::Result<Self> {
        Self::changed_view(path, attributes, MountAttrFlags::empty())
    }

    /// A view of a device that opens, also where those around it do not.
    pub(super) fn device(path: &Path) -> io::Result<Self> {
        let set = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        Self::changed_view(path, set, MountAttrFlags::MOUNT_ATTR_NODEV)
    }

    fn changed_view(path: &Path, set: MountAttrFlags, clear: MountAttrFlags) -> io::Result<Self> {
        let flags =
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
        let tree = open_tree(CWD, path, flags)?;
        if !set.is_empty() || !clear.is_empty() {
            sys::set_mount_attributes(tree.as_fd(), u64::from(set.bits()), u64::from(clear.bits()))?;
        }
        Ok(Self(tree))
    }

    /// A file system that has no options: `proc`, `sysfs`.
    pub(super) fn fresh(kind: &str, attributes: MountAttrFlags) -> io::Result<Self> {
        let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_create(context.as_fd())?;
        Ok(Self(fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?))
    }

    /// An empty file system in memory, whose root has this mode (in octal), with room for so many bytes; by default half
    /// of the memory.
    pub(super) fn tmpfs(attributes: MountAttrFlags, mode: &str, size: Option<u64>) -> io::Result<Self> {
        let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(context.as_fd(), "mode", mode)?;
        if let Some(size) = size {
            fsconfig_set_string(context.as_fd(), "size", size.to_string())?;
        }
        fsconfig_create(context.as_fd())?;
        Ok(Self(fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?))
    }

    /// The mount itself: it is there as long as this is open.
    pub(super) fn into_inner(self) -> OwnedFd {
        self.0
    }

    /// Puts it where it is to be seen: on a directory or file that was opened.
    pub(super) fn attach(&self, place: impl AsFd) -> io::Result<()> {
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        Ok(move_mount(self.0.as_fd(), "", place.as_fd(), "", flags)?)
    }
}

/// A directory of the step in memory, in which its mounts are prepared. It goes with the mount namespace.
#[derive(Debug)]
pub(super) struct Stage {
    path: PathBuf,
    overlays: usize,
    files: usize,
}

impl Stage {
    /// Covers `path`, an empty directory. The caller has a mount namespace of its own.
    pub(super) fn new(path: PathBuf) -> Result<Self, Fault> {
        tmpfs(&path, MountFlags::NOSUID | MountFlags::NODEV, "mode=755")
            .map_err(Fault::of("mount a tmpfs"))?;
        Ok(Self { path, overlays: 0, files: 0 })
    }

    /// A new directory.
    pub(super) fn directory(&self, name: &str) -> Result<PathBuf, Fault> {
        let path = self.path.join(name);
        fs::create_dir_all(&path).map_err(Fault::of("make a directory in a tmpfs"))?;
        Ok(path)
    }

    /// A path for a new file.
    pub(super) fn file(&mut self) -> PathBuf {
        self.files += 1;
        self.path.join(format!("file-{}", self.files))
    }

    /// Mounts trees, lowest first, on top of each other; returns where. Without `upper` it is read-only.
    ///
    /// The trees are given to the kernel by short names: its options have a page, and in the mount table that the
    /// command sees the host's paths are nobody's business.
    pub(super) fn overlay(
        &mut self,
        lowers: &[PathBuf],
        upper: Option<&Upper>,
        marks: Marks,
    ) -> Result<PathBuf, Fault> {
        self.overlays += 1;
        let links = self.directory(&format!("trees-{}", self.overlays))?;
        let target = self.directory(&format!("overlay-{}", self.overlays))?;
        let link = |path: &Path, name: &str| {
            std::os::unix::fs::symlink(path, links.join(name)).map_err(Fault::of("name a tree"))
        };
        let mut names = Vec::with_capacity(lowers.len());
        for (number, lower) in lowers.iter().enumerate().rev() {
            let name = format!("{number:x}");
            link(lower, &name)?;
            names.push(name);
        }
        let mut options = format!("lowerdir={}", names.join(":"));
        let mut flags = MountFlags::NODEV;
        match upper {
            Some(upper) => {
                link(&upper.tree, "u")?;
                link(&upper.work, "w")?;
                // Else the kernel writes all of the file system that the upper tree is on to the disk at the end.
                options.push_str(",upperdir=u,workdir=w,volatile");
            }
            None => flags |= MountFlags::RDONLY,
        }
        options.push_str(match marks {
            // Some distributions switch these on by default: trees would then say things that a layer cannot.
            Marks::Trusted => ",redirect_dir=nofollow,metacopy=off,index=off",
            Marks::User => ",userxattr",
        });
        let options = CString::new(options).map_err(Fault::of("name the trees"))?;
        rustix::process::chdir(&links).map_err(Fault::of("enter a directory"))?;
        let done = mount("overlay", &target, "overlay", flags, options.as_c_str());
        rustix::process::chdir("/").map_err(Fault::of("enter a directory"))?;
        done.map_err(|error| {
            let missing = lowers.iter().find(|lower| !lower.is_dir());
            match missing {
                Some(missing) => Fault::new("stack trees", format!("{} is no directory", missing.display())),
                None => Fault::of(format!("stack {} trees by overlayfs", lowers.len()))(error),
            }
        })?;
        Ok(target)
    }
}

/// Where changes of a stack go.
#[derive(Debug)]
pub(super) struct Upper {
    pub(super) tree: PathBuf,
    /// An empty directory on the same file system that overlayfs needs for itself. It serves once.
    pub(super) work: PathBuf,
}

/// Mounts a tmpfs.
pub(super) fn tmpfs(target: &Path, flags: MountFlags, options: &str) -> io::Result<()> {
    let options = CString::new(options)?;
    Ok(mount("tmpfs", target, "tmpfs", flags, options.as_c_str())?)
}

/// The most trees that are stacked: the kernel has 500, and one is the stub.
pub(super) const MOST_LOWERS: usize = 490;
