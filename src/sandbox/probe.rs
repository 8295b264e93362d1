//! What the host allows, found out by trying it in processes of its own: versions and settings tell too little.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use rustix::{
    mount::{MountAttrFlags, MountPropagationFlags, mount_change},
    pipe::{PipeFlags, pipe_with},
    process::{Pid, WaitOptions, chroot, geteuid, waitpid},
    thread::UnshareFlags,
};
use serde::{Deserialize, Serialize};

use super::{
    Mode, binfmt,
    fault::Fault,
    ground::{Facts, Ground, IdMap, Layers, Proc},
    mounts::{Detached, INERT, Stage, Upper},
    protocol::{self, Hello, Welcome},
    remedy::remedies,
    sys,
    tree::{self, Flavour, Marks, Owners},
    userns,
};

/// What came of trying a rung.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Examined {
    /// The rung.
    pub mode: Mode,
    /// Why it cannot be used, if it cannot.
    pub fault: Option<Fault>,
    /// What it lacks here though it can be used.
    pub notes: Vec<String>,
    /// Why steps cannot have emulators of their own on it, if they cannot.
    pub no_emulation: Option<Fault>,
}

impl Examined {
    /// The exact settings that would let it be used, where they are known. To be asked on the host, by the same user.
    pub fn remedies(&self) -> Vec<String> {
        remedies(self.mode, self.fault.as_ref())
    }
}

/// Tries the rungs, best first: up to one that can be used, or all.
pub(super) fn examine(hello: &Hello) -> Welcome {
    let mut welcome = Welcome { examined: Vec::new(), ground: None };
    for mode in Mode::ALL {
        if hello.mode.is_some_and(|forced| forced != mode) {
            continue;
        }
        welcome.examined.push(match try_mode(mode, hello) {
            Ok((ground, Found { notes, no_emulation, .. })) => {
                welcome.ground.get_or_insert(ground);
                Examined { mode, fault: None, notes, no_emulation }
            }
            Err(fault) => Examined { mode, fault: Some(fault), notes: Vec::new(), no_emulation: None },
        });
        if welcome.ground.is_some() && !hello.examine {
            break;
        }
    }
    welcome
}

/// The rung that was chosen could not be entered after all.
pub(super) fn disappoint(welcome: &mut Welcome, fault: Fault) {
    welcome.ground = None;
    if let Some(last) = welcome.examined.last_mut() {
        last.fault = Some(fault);
    }
}

fn try_mode(mode: Mode, hello: &Hello) -> Result<(Ground, Found), Fault> {
    let map = match mode {
        Mode::Root | Mode::Chroot => {
            let uid = geteuid().as_raw();
            if uid != 0 {
                return Err(Fault::new("", format!("this is user {uid}, not root")));
            }
            IdMap::None
        }
        Mode::UserNamespace => userns::range()?,
        Mode::SingleId => userns::single(),
    };
    let found = in_child(|| match mode {
        Mode::Chroot => try_chroot(),
        _ => {
            userns::enter(&map)?;
            // In a process of its own, which still has a `/proc` that knows it.
            // What costs time is left to those who ask what works: a build has steps to run.
            let trial = if hello.examine { binfmt::try_out } else { binfmt::try_registration };
            let no_emulation = in_child(trial).err();
            try_namespaces(&hello.scratch, mode, no_emulation)
        }
    })?;
    let owners = if mode == Mode::SingleId { Owners::Recorded } else { Owners::Real };
    let ground = Ground { mode, flavour: Flavour { marks: found.marks, owners }, map, facts: found.facts };
    Ok((ground, found))
}

#[derive(Debug, Serialize, Deserialize)]
struct Found {
    facts: Facts,
    marks: Marks,
    notes: Vec<String>,
    no_emulation: Option<Fault>,
}

/// Tries something in a process that then ends.
pub(super) fn in_child<T>(trial: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault>
where
    T: Serialize + serde::de::DeserializeOwned,
{
    let (from, to) = pipe_with(PipeFlags::CLOEXEC).map_err(Fault::of("make a pipe"))?;
    let (mut from, mut to) = (File::from(from), File::from(to));
    let child =
        sys::fork(|| u8::from(protocol::send(&mut to, &trial()).is_err())).map_err(Fault::of("fork"))?;
    drop(to);
    let found = protocol::receive::<Result<T, Fault>>(&mut from);
    reap(child);
    match found {
        Ok(Some(found)) => found,
        Ok(None) => Err(Fault::new("try it", "the process that did ended without a word")),
        Err(error) => Err(Fault::of("try it")(error)),
    }
}

fn reap(child: Pid) {
    while let Err(rustix::io::Errno::INTR) = waitpid(Some(child), WaitOptions::empty()) {}
}

fn try_namespaces(scratch: &Path, mode: Mode, no_emulation: Option<Fault>) -> Result<Found, Fault> {
    let flags = UnshareFlags::NEWNS | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS | UnshareFlags::NEWPID;
    sys::unshare(flags).map_err(Fault::of("make namespaces"))?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(Fault::of("change mounts"))?;
    let mut notes = Vec::new();
    let directory = Probing::new(scratch)?;
    let mut stage = Stage::new(directory.make("stage")?)?;
    Detached::view(Path::new("/dev/null"), MountAttrFlags::MOUNT_ATTR_NOSUID)
        .map_err(Fault::of("make a mount of /dev/null"))?;
    // Only root of the host may write the marks that overlayfs has by default.
    let kinds: &[Marks] = if mode == Mode::Root { &[Marks::Trusted, Marks::User] } else { &[Marks::User] };
    let (mut layers, mut marks) = (Layers::Copied, Marks::User);
    for kind in kinds {
        match try_overlay(&directory, &mut stage, *kind) {
            Ok(()) => {
                (layers, marks) = (Layers::Overlay, *kind);
                notes.clear();
                break;
            }
            Err(fault) => notes = vec![format!("each step copies its root file system: {fault}")],
        }
    }
    // The first process of the new pid namespace is the next child.
    let (proc, network) = in_child(|| {
        let proc = match Detached::fresh("proc", INERT) {
            Ok(_) => Proc::Own,
            Err(_) => Detached::view(Path::new("/proc"), INERT).map_or(Proc::Absent, |_| Proc::Shared),
        };
        Ok((proc, sys::unshare(UnshareFlags::NEWNET).and_then(|()| sys::loopback_up()).is_ok()))
    })?;
    match proc {
        Proc::Own => {}
        Proc::Shared => notes.push("commands see the processes of this container in /proc".to_owned()),
        Proc::Absent => notes.push("commands have no /proc".to_owned()),
    }
    let facts = Facts { layers, proc, network, emulation: no_emulation.is_none() && proc != Proc::Absent };
    Ok(Found { facts, marks, notes, no_emulation })
}

/// Tries overlayfs with what commands do to it: a mount alone proves nothing, since removing what is below may fail later.
fn try_overlay(directory: &Probing, stage: &mut Stage, marks: Marks) -> Result<(), Fault> {
    let base = directory.make(if marks == Marks::Trusted { "trusted" } else { "user" })?;
    let make = |name: &str| {
        let path = base.join(name);
        fs::create_dir_all(&path).map(|()| path).map_err(Fault::of("make a directory"))
    };
    let lower = make("lower")?;
    make("lower/directory/inner")?;
    fs::write(lower.join("file"), "x").map_err(Fault::of("write a file"))?;
    let upper = Upper { tree: make("upper")?, work: make("work")? };
    let merged = stage.overlay(&[lower], Some(&upper), marks)?;
    let (file, inner) = (merged.join("file"), merged.join("directory"));
    fs::remove_file(&file)
        .and_then(|()| fs::remove_dir_all(&inner))
        .and_then(|()| fs::create_dir(&inner))
        .map_err(Fault::of("remove files on overlayfs"))?;
    let empty = fs::read_dir(&inner).map_err(Fault::of("list a directory on overlayfs"))?.next().is_none();
    if !empty || file.exists() {
        return Err(Fault::new("remove files on overlayfs", "they are still there"));
    }
    Ok(())
}

fn try_chroot() -> Result<Found, Fault> {
    chroot("/").map_err(Fault::of("chroot"))?;
    let facts = Facts { layers: Layers::Copied, proc: Proc::Absent, network: false, emulation: false };
    let notes = vec!["commands have no /proc, and no mounts of their own".to_owned()];
    let no_emulation = Some(Fault::new("", "it has no user namespaces"));
    Ok(Found { facts, marks: Marks::User, notes, no_emulation })
}

/// A directory for a trial.
struct Probing(PathBuf);

impl Probing {
    fn new(scratch: &Path) -> Result<Self, Fault> {
        let path = scratch.join(format!("trial-{}", rustix::process::getpid().as_raw_pid()));
        let action = || format!("make {}", path.display());
        tree::remove(&path).map_err(Fault::from_error)?;
        fs::create_dir_all(&path).map_err(Fault::of(action()))?;
        Ok(Self(path))
    }

    fn make(&self, name: &str) -> Result<PathBuf, Fault> {
        let path = self.0.join(name);
        let made: io::Result<()> = fs::create_dir(&path);
        made.map(|()| path).map_err(Fault::of("make a directory"))
    }
}

impl Drop for Probing {
    fn drop(&mut self) {
        // The mounts in it are of this process's namespace; they hinder nothing once they are let go.
        let _ = rustix::mount::unmount(self.0.join("stage"), rustix::mount::UnmountFlags::DETACH);
        let _ = tree::remove(&self.0);
    }
}
