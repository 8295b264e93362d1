//! The rung without namespaces: what other rungs mount is put into a copy of the root file system, and left out of what
//! the command changed.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, FileType, Mode as FileMode, makedev, mknodat},
    process::{chdir, chroot},
};
use serde::{Deserialize, Serialize};

use super::{
    Execution, FileMount, RunMount,
    fault::Fault,
    inside::MountPoints,
    probe::in_child,
    root::{DEVICE_LINKS, DEVICES},
    tree::{self, Flavour},
};

/// What was put into a root that is not the image's.
#[derive(Debug, Default)]
pub(super) struct Furniture {
    root: PathBuf,
    /// Where, relative to the root; without symbolic links when it was put there.
    places: Vec<PathBuf>,
    /// Directories of the host that lie in the root for now: where they are, relative to it, and where they belong.
    lent: Vec<(PathBuf, PathBuf)>,
    /// What the image has in those places, relative to the root, and where it is meanwhile.
    aside: Vec<(PathBuf, PathBuf)>,
    /// What was made to put them at, relative to the root, outermost first.
    made: Vec<PathBuf>,
    /// What could not be done as it was asked for.
    pub(super) warnings: Vec<String>,
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
        let mut furniture = Self::default();
        root.clone_into(&mut furniture.root);
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
            let here = furniture.clear(within(&|| point(mount.target(), true))?, work)?;
            furniture.mount(mount, here, work, flavour)?;
        }
        for file in &execution.files {
            let here = furniture.clear(within(&|| point(&file.target, false))?, work)?;
            write(&root.join(here), file).map_err(Fault::of(format!("make {}", file.target)))?;
        }
        Ok(furniture)
    }

    /// Takes away what is in a place: what the image has there is not to be seen, but not to be lost either.
    fn clear(&mut self, point: Point, work: &Path) -> Result<PathBuf, Fault> {
        let Point { place, made } = point;
        let aside = work.join(format!("aside-{}", self.aside.len()));
        fs::rename(self.root.join(&place), &aside)
            .map_err(Fault::of(format!("clear /{}", place.display())))?;
        self.aside.push((place.clone(), aside));
        self.places.push(place.clone());
        self.made.extend(made);
        Ok(place)
    }

    /// Makes the root what it is without all this, for the next step.
    pub(super) fn restore(mut self) -> Result<(), Fault> {
        self.give_back();
        for (place, aside) in std::mem::take(&mut self.aside).into_iter().rev() {
            if !is_real(&self.root, &place) {
                let message = "the command put a link in its way";
                return Err(Fault::of(format!("put back /{}", place.display()))(io::Error::other(message)));
            }
            let here = self.root.join(&place);
            tree::remove(&here).map_err(Fault::from_error)?;
            fs::rename(aside, here).map_err(Fault::of(format!("put back /{}", place.display())))?;
        }
        for made in std::mem::take(&mut self.made).into_iter().rev() {
            let here = self.root.join(&made);
            if is_real(&self.root, &made) && fs::remove_dir(&here).is_err() {
                // What is used by now stays.
                let empty =
                    fs::symlink_metadata(&here).is_ok_and(|found| found.is_file() && found.len() == 0);
                if empty {
                    let _ = fs::remove_file(here);
                }
            }
        }
        Ok(())
    }

    fn mount(
        &mut self,
        mount: &RunMount,
        place: PathBuf,
        work: &Path,
        flavour: Flavour,
    ) -> Result<(), Fault> {
        let here = self.root.join(&place);
        let action = || format!("put what is mounted into /{}", place.display());
        match mount {
            RunMount::Tmpfs { .. } => {
                fs::create_dir(&here).map_err(Fault::of(action()))?;
                fs::set_permissions(&here, Permissions::from_mode(0o1777)).map_err(Fault::of(action()))
            }
            RunMount::Bind { source, read_only: false, .. } if source.is_dir() => {
                if fs::rename(source, &here).is_ok() {
                    self.lent.push((place, source.clone()));
                    return Ok(());
                }
                self.warnings.push(format!(
                    "/{} is a copy that this step cannot change: another step uses it, or it is on another file system",
                    place.display()
                ));
                copy(source, &here, flavour).map_err(Fault::from_error)
            }
            RunMount::Bind { source, .. } => copy(source, &here, flavour).map_err(Fault::from_error),
            RunMount::Trees { lower, source, .. } => {
                let stack = work.join(format!("mount-{}", self.aside.len()));
                tree::flatten(lower, &stack, flavour).map_err(Fault::from_error)?;
                let shown = super::root::within(&stack, source)?;
                fs::rename(shown, &here).map_err(Fault::of(action()))
            }
        }
    }

    /// Takes out of `upper` what the command changed of the furniture.
    pub(super) fn take_out_of(&self, upper: &Path) -> Result<(), Fault> {
        for place in self.places.iter().filter(|place| is_real(upper, place)) {
            tree::remove(&upper.join(place)).map_err(Fault::from_error)?;
        }
        Ok(())
    }

    /// Puts directories of the host back to where they belong, without secrets and other things that were put there.
    fn give_back(&mut self) {
        let lent = std::mem::take(&mut self.lent);
        let is_lent = |place: &Path| lent.iter().any(|(here, _)| *here == place);
        for place in self.places.iter().rev().filter(|place| !is_lent(place) && is_real(&self.root, place)) {
            let mut around = place.ancestors().skip(1);
            if around.any(is_lent) {
                let _ = tree::remove(&self.root.join(place));
            }
        }
        for (here, home) in lent.iter().rev() {
            let at = self.root.join(here);
            // Where the command put something else there, or it fails, the directory was a cache and is made anew.
            if is_real(&self.root, here) && fs::symlink_metadata(&at).is_ok_and(|found| found.is_dir()) {
                let _ = fs::rename(at, home);
            }
        }
    }
}

impl Drop for Furniture {
    fn drop(&mut self) {
        self.give_back();
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
        let _ = std::os::unix::fs::symlink(target, Path::new("/dev").join(name));
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
    chown(path, Some(file.uid), Some(file.gid))?;
    fs::set_permissions(path, Permissions::from_mode(file.mode))
}
