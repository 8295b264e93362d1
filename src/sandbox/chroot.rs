//! The rung without namespaces: what other rungs mount is put into a copy of the root file system, and left out of what
//! the command changed.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, FileType, Mode as FileMode, makedev, mknodat},
    process::{chdir, chroot},
};
use serde::{Deserialize, Serialize};

use super::{
    Execution, FileMount, Mode, RunMount,
    fault::Fault,
    inside::MountPoints,
    probe::in_child,
    root::{DEVICE_LINKS, DEVICES, give, not_the_root},
    tree::{self, Flavour},
};

/// What was put into a root that is not the image's.
#[derive(Debug)]
pub(super) struct Furniture {
    root: PathBuf,
    /// A directory on the same file system.
    work: PathBuf,
    flavour: Flavour,
    /// In the order in which it came.
    put: Vec<Put>,
    /// What could not be done as it was asked for.
    pub(super) warnings: Vec<String>,
}

/// One thing that was put into a root.
#[derive(Debug)]
struct Put {
    /// Where, relative to the root; without symbolic links when it was put there.
    place: PathBuf,
    /// Where that is meanwhile which the image has there.
    aside: PathBuf,
    /// What was made to put it at, relative to the root, outermost first.
    made: Vec<PathBuf>,
    /// Where it belongs, if it is a directory of the host that lies in the root for now.
    home: Option<PathBuf>,
}

/// Moves this process into the root.
pub(super) fn enter(root: &Path) -> Result<(), Fault> {
    chroot(root).and_then(|()| chdir("/")).map_err(Fault::of("change the root"))
}

impl Furniture {
    /// Puts mounts, files and devices into `root`. `work` is a directory on the same file system.
    pub(super) fn new(
        root: &Path,
        work: &Path,
        execution: &Execution,
        flavour: Flavour,
    ) -> Result<Self, Fault> {
        let (put, warnings) = (Vec::new(), Vec::new());
        let mut furniture = Self { root: root.to_owned(), work: work.to_owned(), flavour, put, warnings };
        // Paths are looked up from within the root, whose symbolic links are not to lead out of it; and each when what is
        // mounted before it is there, which has links of its own.
        let within = |look: &dyn Fn() -> Result<Point, Fault>| {
            in_child(|| {
                enter(root)?;
                look()
            })
        };
        within(&|| devices().map(|()| Point::default()))?;
        for mount in &execution.mounts {
            // Of what kind it is shows later: it takes the place of whatever there is.
            let here = furniture.clear(within(&|| point(mount.target(), true))?)?;
            furniture.mount(mount, &here)?;
        }
        for file in &execution.files {
            let here = furniture.clear(within(&|| point(&file.target, false))?)?;
            write(&root.join(here), file).map_err(Fault::of(format!("make {}", file.target)))?;
        }
        Ok(furniture)
    }

    /// Takes away what is in a place: what the image has there is not to be seen, but not to be lost either.
    fn clear(&mut self, point: Point) -> Result<PathBuf, Fault> {
        let Point { place, made } = point;
        let aside = self.spare("aside");
        fs::rename(self.root.join(&place), &aside)
            .map_err(Fault::of(format!("clear /{}", place.display())))?;
        self.put.push(Put { place: place.clone(), aside, made, home: None });
        Ok(place)
    }

    /// A path for what belongs to the next thing, or the last one.
    fn spare(&self, what: &str) -> PathBuf {
        self.work.join(format!("{what}-{}", self.put.len()))
    }

    /// Makes the root what it is without all this, for the next step.
    pub(super) fn restore(mut self) -> Result<(), Fault> {
        self.undo()
    }

    fn mount(&mut self, mount: &RunMount, place: &Path) -> Result<(), Fault> {
        let here = self.root.join(place);
        let action = || format!("put what is mounted into /{}", place.display());
        match mount {
            RunMount::Tmpfs { .. } => {
                fs::create_dir(&here).map_err(Fault::of(action()))?;
                fs::set_permissions(&here, Permissions::from_mode(0o1777)).map_err(Fault::of(action()))
            }
            RunMount::Bind { source, read_only, .. } => self.bind(source, *read_only, place),
            // It cannot be copied; a second name is as good as the first.
            RunMount::Socket { source, mode, uid, gid, .. } => {
                give(source, *mode, (*uid, *gid), Mode::Chroot)
                    .and_then(|()| fs::hard_link(source, &here))
                    .map_err(Fault::of(action()))
            }
            RunMount::Trees { lower, source, .. } => {
                let stack = self.spare("mount");
                tree::flatten(lower, &stack, self.flavour).map_err(Fault::from_error)?;
                let shown = super::root::within(&stack, source)?;
                fs::rename(shown, &here).map_err(Fault::of(action()))
            }
        }
    }

    /// A directory that is to be written to is moved here: so nobody else may need it meanwhile. Where it is here already,
    /// a link leads there.
    fn bind(&mut self, source: &Path, read_only: bool, place: &Path) -> Result<(), Fault> {
        let here = self.root.join(place);
        let action = || format!("put what is mounted into /{}", place.display());
        let first = self.put.iter().find(|put| put.home.as_deref() == Some(source)).map(|put| &put.place);
        match first {
            Some(first) if !read_only => {
                symlink(Path::new("/").join(first), here).map_err(Fault::of(action()))
            }
            Some(first) => {
                // Not at once to where it is seen: that may be within what is copied.
                let copied = self.spare("mount");
                copy(&self.root.join(first), &copied, self.flavour).map_err(Fault::from_error)?;
                fs::rename(copied, here).map_err(Fault::of(action()))
            }
            None if !read_only && source.is_dir() => {
                if fs::rename(source, &here).is_ok() {
                    if let Some(put) = self.put.last_mut() {
                        put.home = Some(source.to_owned());
                    }
                    return Ok(());
                }
                self.warnings.push(format!(
                    "/{} is a copy that this step cannot change: it is on another file system",
                    place.display()
                ));
                copy(source, &here, self.flavour).map_err(Fault::from_error)
            }
            None => copy(source, &here, self.flavour).map_err(Fault::from_error),
        }
    }

    /// Takes out of `upper` what the command changed of the furniture.
    pub(super) fn take_out_of(&self, upper: &Path) -> Result<(), Fault> {
        for put in self.put.iter().filter(|put| is_real(upper, &put.place)) {
            tree::remove(&upper.join(&put.place)).map_err(Fault::from_error)?;
        }
        Ok(())
    }

    /// Takes everything out again, last what came first: directories of the host go back to where they belong, without
    /// secrets and other things that were put into them.
    fn undo(&mut self) -> Result<(), Fault> {
        let mut result = Ok(());
        while let Some(put) = self.put.pop() {
            result = result.and(put.undo(&self.root));
        }
        result
    }
}

impl Drop for Furniture {
    fn drop(&mut self) {
        // What cannot be put back goes with the root.
        let _ = self.undo();
    }
}

impl Put {
    fn undo(self, root: &Path) -> Result<(), Fault> {
        let action = || format!("put back /{}", self.place.display());
        if !is_real(root, &self.place) {
            let message = "the command put a link in its way";
            return Err(Fault::of(action())(io::Error::other(message)));
        }
        let here = root.join(&self.place);
        if let Some(home) = &self.home
            && fs::symlink_metadata(&here).is_ok_and(|found| found.is_dir())
        {
            // Where the command put something else there, or it fails, the directory was a cache, and the next step that
            // wants it makes it anew.
            let _ = fs::rename(&here, home);
        }
        tree::remove(&here).map_err(Fault::from_error)?;
        fs::rename(&self.aside, here).map_err(Fault::of(action()))?;
        for made in self.made.iter().rev().filter(|made| is_real(root, made)) {
            let made = root.join(made);
            // What is used by now stays.
            if fs::remove_dir(&made).is_err()
                && fs::symlink_metadata(&made).is_ok_and(|found| found.is_file() && found.len() == 0)
            {
                let _ = fs::remove_file(made);
            }
        }
        Ok(())
    }
}

/// A tree, or a file with its mode and owner.
fn copy(source: &Path, to: &Path, flavour: Flavour) -> Result<(), tree::TreeError> {
    if source.is_dir() {
        return tree::flatten(&[source.to_owned()], to, flavour).map(drop);
    }
    fs::copy(source, to).map(drop).map_err(|source| tree::TreeError::Io {
        action: "copy to",
        path: to.to_owned(),
        source,
    })
}

/// Whether `path` is reached from `root` without a symbolic link: a command may have put one in the way, which leads out
/// of the root for whoever looks from outside.
fn is_real(root: &Path, path: &Path) -> bool {
    let above = path.ancestors().skip(1);
    above.into_iter().all(|part| fs::symlink_metadata(root.join(part)).is_ok_and(|found| found.is_dir()))
}

/// Makes the devices that are missing in this process's root.
fn devices() -> Result<(), Fault> {
    let mut points = MountPoints::default();
    let umask = rustix::process::umask(FileMode::empty());
    for directory in ["/dev", "/dev/shm", "/dev/pts", "/proc", "/sys"] {
        points.make(Path::new(directory), true)?;
    }
    fs::set_permissions("/dev/shm", Permissions::from_mode(0o1777)).map_err(Fault::of("make /dev/shm"))?;
    for (name, major, minor) in DEVICES {
        let path = Path::new("/dev").join(name);
        let mode = FileMode::from_raw_mode(0o666);
        match mknodat(CWD, &path, FileType::CharacterDevice, mode, makedev(major, minor)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(Fault::of(format!("make {}", path.display()))(error)),
        }
    }
    for (name, target) in DEVICE_LINKS {
        // There, or of no use without /proc.
        let _ = symlink(target, Path::new("/dev").join(name));
    }
    rustix::process::umask(umask);
    Ok(())
}

/// A place to put something at.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Point {
    /// Where, relative to the root, without symbolic links.
    place: PathBuf,
    /// What was not there, outermost first.
    made: Vec<PathBuf>,
}

/// Finds a place in this process's root; makes it where there is nothing.
fn point(target: &str, directory: bool) -> Result<Point, Fault> {
    let mut points = MountPoints::default();
    if fs::metadata(target).is_err() {
        points.make(Path::new(target), directory)?;
    }
    not_the_root(target)?;
    let real = fs::canonicalize(target).map_err(Fault::of(format!("find {target}")))?;
    Ok(Point { place: relative(&real), made: points.paths().map(relative).collect() })
}

fn relative(path: &Path) -> PathBuf {
    path.strip_prefix("/").unwrap_or(path).to_owned()
}

fn write(path: &Path, file: &FileMount) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    // A secret is nobody else's at any time.
    let mut made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.content.write_to(&mut made)?;
    give(path, file.mode, (file.uid, file.gid), Mode::Chroot)
}
