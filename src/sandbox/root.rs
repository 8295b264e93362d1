//! The root file system of a step: trees, `/proc`, `/dev`, `/sys`, and what the caller wants to be seen.

use std::{
    fs, io,
    os::{
        fd::OwnedFd,
        unix::fs::{PermissionsExt, chown},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, FileType, Mode as FileMode, makedev, mknodat},
    mount::{
        MountAttrFlags, MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change,
        unmount,
    },
    process::{chdir, pivot_root},
};

use super::{
    Execution, FileContent, FileMount, Mode, Network, RunMount,
    fault::Fault,
    ground::{Ground, Layers, Proc},
    inside::{self, MountPoints},
    mounts::{Detached, INERT, Stage, Upper, tmpfs},
    tree::Marks,
};

/// The name of the host that a command sees.
pub const HOSTNAME: &str = "imgbuild";

/// What containers do not see of `/proc` and `/sys` (the list of container runtimes: these tell of the host or change it).
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// What containers may read and not write.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The devices that every program may expect: name, major and minor number.
pub(super) const DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

pub(super) const DEVICE_LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

const SHM_SIZE: u64 = 64 << 20;

/// The size of `/dev`, in bytes.
const DEV_SIZE: u64 = 64 << 20;

/// Directories of the host that a step's root is made from.
#[derive(Debug)]
pub(super) struct Places<'a> {
    /// Trees, lowest first.
    pub(super) lowers: &'a [PathBuf],
    /// The upper tree, which is there; for [`Layers::Copied`] the directory with the copy.
    pub(super) upper: &'a Path,
    /// A directory of the step alone, on the same file system.
    pub(super) work: &'a Path,
    /// An empty directory to mount on, which all steps share: each has a mount namespace of its own.
    pub(super) stage: &'a Path,
}

/// A mount that waits for the new root.
struct Waiting {
    mount: Detached,
    target: String,
    directory: bool,
}

/// Builds the root of a step and moves this process there, the first of its mount namespace and, with
/// [`Proc::Own`], of its pid namespace.
pub(super) fn enter(
    ground: &Ground,
    execution: &Execution,
    places: &Places<'_>,
) -> Result<MountPoints, Fault> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(Fault::of("part the mounts from the host's"))?;
    let mut stage = Stage::new(places.stage.to_owned())?;

    let mut waiting = Vec::new();
    for mount in &execution.mounts {
        waiting.extend(prepare(mount, ground, places, &mut stage)?);
    }
    for file in &execution.files {
        waiting.push(prepare_file(file, execution, ground, &mut stage)?);
    }
    let proc = proc(ground)?;
    let sys = sys(ground);
    let devices = devices(ground)?;

    let root = root(ground, execution, places, &mut stage, &waiting)?;
    chdir(&root).and_then(|()| pivot_root(".", ".")).map_err(Fault::of("change the root"))?;
    unmount(".", UnmountFlags::DETACH).map_err(Fault::of("let go of the host's root"))?;
    chdir("/").map_err(Fault::of("enter the root"))?;

    // From here on nothing of the host can be reached by a path.
    let mut points = MountPoints::default();
    for (target, mount) in [("/proc", &proc), ("/sys", &sys)] {
        let place = points.make(Path::new(target), true)?;
        if let Some(mount) = mount {
            mount.attach(place).map_err(Fault::of(format!("mount {target}")))?;
        }
    }
    dev(ground, execution, devices, points.make(Path::new("/dev"), true)?)?;
    limit_processes(ground);
    protect(ground)?;
    let mut waiting = waiting.into_iter();
    for mount in &execution.mounts {
        match mount {
            RunMount::Tmpfs { target, size } => {
                let place = points.make(Path::new(target), true)?;
                not_the_root(target)?;
                let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
                Detached::tmpfs(attributes, "1777", *size)
                    .and_then(|mount| mount.attach(place))
                    .map_err(Fault::of(format!("mount a tmpfs on {target}")))?;
            }
            RunMount::Bind { .. } | RunMount::Socket { .. } | RunMount::Trees { .. } => {
                attach(waiting.next(), &mut points)?
            }
        }
    }
    waiting.try_for_each(|file| attach(Some(file), &mut points))?;
    Ok(points)
}

fn attach(waiting: Option<Waiting>, points: &mut MountPoints) -> Result<(), Fault> {
    let Some(Waiting { mount, target, directory }) = waiting else { return Ok(()) };
    let place = points.make(Path::new(&target), directory)?;
    not_the_root(&target)?;
    mount.attach(place).map_err(Fault::of(format!("mount {target}")))
}

/// Refuses a place that leads to the root itself, by links of the image: what is mounted there is not seen, and on the rung
/// without mounts it would take the place of everything.
pub(super) fn not_the_root(target: &str) -> Result<(), Fault> {
    match fs::canonicalize(target) {
        Ok(real) if real == Path::new("/") => {
            let reason = format!("cannot mount on {target}: it leads to the root directory");
            Err(Fault::new("", reason).hint("choose a path that is not a link to / in the image"))
        }
        // What cannot be found is told of by what mounts there.
        _ => Ok(()),
    }
}

/// Mounts the trees. Below them lies one more, with a place for everything that will be mounted: so mount points need
/// not be made in the upper tree.
fn root(
    ground: &Ground,
    execution: &Execution,
    places: &Places<'_>,
    stage: &mut Stage,
    waiting: &[Waiting],
) -> Result<PathBuf, Fault> {
    if ground.facts.layers == Layers::Copied {
        let root = stage.directory("root")?;
        mount_bind(places.upper, &root).map_err(Fault::of("mount the root"))?;
        return Ok(root);
    }
    let stub = stage.directory("stub")?;
    let tmpfs = execution.mounts.iter().filter_map(|mount| match mount {
        RunMount::Tmpfs { target, .. } => Some((target.as_str(), true)),
        _ => None,
    });
    let fixed = ["/proc", "/sys", "/dev"].map(|path| (path, true));
    let targets = waiting.iter().map(|waiting| (waiting.target.as_str(), waiting.directory));
    for (target, directory) in fixed.into_iter().chain(tmpfs).chain(targets) {
        place(&stub, target, directory);
    }
    let mut lowers = vec![stub];
    lowers.extend_from_slice(places.lowers);
    let upper = Upper { tree: places.upper.to_owned(), work: places.work.join("work") };
    fs::create_dir(&upper.work).map_err(Fault::of("make a directory for overlayfs"))?;
    stage.overlay(&lowers, Some(&upper), ground.flavour.marks)
}

/// Makes a place for a mount in the stub. A target that cannot be there is made in the root later, which says why.
fn place(stub: &Path, target: &str, directory: bool) {
    let parts = target.split('/').filter(|part| !part.is_empty() && *part != ".");
    if target.contains("/../") || target.ends_with("/..") {
        return;
    }
    let path = stub.join(parts.collect::<PathBuf>());
    let _ = match directory {
        true => fs::create_dir_all(path),
        false => {
            path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::File::create(path).map(drop))
        }
    };
}

/// Opens what a mount of the caller shows. A tmpfs needs nothing of the host.
fn prepare(
    mount: &RunMount,
    ground: &Ground,
    places: &Places<'_>,
    stage: &mut Stage,
) -> Result<Option<Waiting>, Fault> {
    let (source, target, read_only) = match mount {
        RunMount::Tmpfs { .. } => return Ok(None),
        RunMount::Bind { target, source, read_only } => (source.clone(), target, *read_only),
        RunMount::Socket { target, source, mode, uid, gid } => {
            give(source, *mode, (*uid, *gid), ground.mode).map_err(Fault::of(format!("make {target}")))?;
            (source.clone(), target, false)
        }
        RunMount::Trees { target, lower, source, read_only } => {
            let mut lowers = vec![stage.directory("empty")?];
            lowers.extend_from_slice(lower);
            let upper = if *read_only { None } else { Some(scratch_upper(places.work, target)?) };
            let overlay = stage.overlay(&lowers, upper.as_ref(), ground.flavour.marks)?;
            (within(&overlay, source)?, target, *read_only)
        }
    };
    let mut attributes = MountAttrFlags::MOUNT_ATTR_NODEV;
    if read_only {
        attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY;
    }
    let shown = || format!("mount {} on {target}", source.display());
    let directory = fs::metadata(&source).map_err(Fault::of(shown()))?.is_dir();
    let mount = Detached::view(&source, attributes).map_err(Fault::of(shown()))?;
    Ok(Some(Waiting { mount, target: target.clone(), directory }))
}

fn scratch_upper(work: &Path, target: &str) -> Result<Upper, Fault> {
    let name: String = target.bytes().map(|byte| format!("{byte:02x}")).collect();
    let base = work.join(format!("mount-{}", &name[..name.len().min(200)]));
    let upper = Upper { tree: base.join("upper"), work: base.join("work") };
    for directory in [&upper.tree, &upper.work] {
        fs::create_dir_all(directory).map_err(Fault::of("make a directory for overlayfs"))?;
    }
    Ok(upper)
}

/// A path in a tree, whose symbolic links are the tree's own: a view of it through a descriptor.
pub(super) fn within(root: &Path, path: &str) -> Result<PathBuf, Fault> {
    if path.trim_matches('/').is_empty() {
        return Ok(root.to_owned());
    }
    use rustix::fs::{OFlags, ResolveFlags, openat2};
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let action = || format!("find {path} in what is to be mounted");
    let root = rustix::fs::open(root, flags, FileMode::empty()).map_err(Fault::of(action()))?;
    let found =
        openat2(root, path, flags, FileMode::empty(), ResolveFlags::IN_ROOT).map_err(Fault::of(action()))?;
    let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&found));
    fs::read_link(link).map_err(Fault::of(action()))
}

/// The host's file, if what it has and who may read it is what the command is to see: hundreds of kilobytes are then not
/// copied for each step. A command that may do everything could make it writable.
fn as_it_is<'a>(file: &'a FileMount, execution: &Execution) -> Option<&'a Path> {
    let FileContent::Copy(path) = &file.content else { return None };
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o7777;
    (!execution.privileged && (file.uid, file.gid) == (0, 0) && mode == file.mode).then_some(path)
}

fn prepare_file(
    file: &FileMount,
    execution: &Execution,
    ground: &Ground,
    stage: &mut Stage,
) -> Result<Waiting, Fault> {
    let action = || format!("make {}", file.target);
    if let Some(path) = as_it_is(file, execution) {
        let attributes = INERT | MountAttrFlags::MOUNT_ATTR_RDONLY;
        let mount = Detached::view(path, attributes).map_err(Fault::of(action()))?;
        return Ok(Waiting { mount, target: file.target.clone(), directory: false });
    }
    let path = stage.file();
    fs::File::create(&path)
        .and_then(|mut made| file.content.write_to(&mut made))
        .map_err(Fault::of(action()))?;
    give(&path, file.mode, (file.uid, file.gid), ground.mode).map_err(Fault::of(action()))?;
    let mount =
        Detached::view(&path, INERT | MountAttrFlags::MOUNT_ATTR_RDONLY).map_err(Fault::of(action()))?;
    Ok(Waiting { mount, target: file.target.clone(), directory: false })
}

/// Gives a file of root's an owner and a mode. With one id, everybody is its owner.
pub(super) fn give(path: &Path, mode: u32, (uid, gid): (u32, u32), rung: Mode) -> io::Result<()> {
    if rung != Mode::SingleId && (uid, gid) != (0, 0) {
        chown(path, Some(uid), Some(gid))?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

fn proc(ground: &Ground) -> Result<Option<Detached>, Fault> {
    match ground.facts.proc {
        Proc::Own => Detached::fresh("proc", INERT).map(Some).map_err(Fault::of("mount /proc")),
        Proc::Shared => Detached::view(Path::new("/proc"), INERT).map(Some).map_err(Fault::of("mount /proc")),
        Proc::Absent => Ok(None),
    }
}

/// `/sys`, read-only: a fresh one where that is allowed, else the host's, else none.
fn sys(ground: &Ground) -> Option<Detached> {
    let attributes = INERT | MountAttrFlags::MOUNT_ATTR_RDONLY;
    let fresh = || Detached::fresh("sysfs", attributes);
    let view = || Detached::view(Path::new("/sys"), attributes);
    match ground.flavour.marks {
        Marks::Trusted => fresh().or_else(|_| view()).ok(),
        Marks::User => view().ok(),
    }
}

/// Views of the host's devices, where new ones cannot be made.
fn devices(ground: &Ground) -> Result<Vec<Detached>, Fault> {
    if ground.flavour.marks == Marks::Trusted {
        return Ok(Vec::new());
    }
    let view = |(name, ..): (&str, u32, u32)| {
        let path = Path::new("/dev").join(name);
        // Read-only concerns the node: where root is the host's root, its mode would be changed for the whole host.
        // What is written to the device goes there all the same.
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NOEXEC
            | MountAttrFlags::MOUNT_ATTR_RDONLY;
        Detached::view(&path, attributes).map_err(Fault::of(format!("use the device {}", path.display())))
    };
    DEVICES.into_iter().map(view).collect()
}

/// `/dev`. Commands may make device nodes, as they may in containers, and those of root on the host would lead to the
/// host's devices: so none opens here but the views, unless the user trusts the command with everything.
fn dev(ground: &Ground, execution: &Execution, views: Vec<Detached>, place: OwnedFd) -> Result<(), Fault> {
    let dev = Path::new("/dev");
    let action = |what: &str| Fault::of::<io::Error>(format!("make /dev{what}"));
    let mut attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_STRICTATIME;
    if !execution.privileged {
        attributes |= MountAttrFlags::MOUNT_ATTR_NODEV;
    }
    Detached::tmpfs(attributes, "755", Some(DEV_SIZE))
        .and_then(|mount| mount.attach(place))
        .map_err(action(""))?;
    let umask = rustix::process::umask(FileMode::empty());
    let mut views = views.into_iter();
    for (name, major, minor) in DEVICES {
        let path = dev.join(name);
        let view = match views.next() {
            Some(view) => fs::File::create(&path).map(|_| view),
            None => own_device(&path, makedev(major, minor)),
        };
        view.and_then(|view| view.attach(inside::find(&path)?)).map_err(action(&format!("/{name}")))?;
    }
    for (name, target) in DEVICE_LINKS {
        std::os::unix::fs::symlink(target, dev.join(name)).map_err(action(&format!("/{name}")))?;
    }
    for name in ["pts", "shm", "mqueue"] {
        fs::create_dir(dev.join(name)).map_err(action(&format!("/{name}")))?;
    }
    rustix::process::umask(umask);
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    // Where the group `tty` is not mapped, terminals have the user's own.
    let pts = |options: &std::ffi::CStr| mount("devpts", "/dev/pts", "devpts", flags, options);
    pts(c"newinstance,ptmxmode=0666,mode=0620,gid=5")
        .or_else(|_| pts(c"newinstance,ptmxmode=0666,mode=0620"))
        .map_err(|error| action("/pts")(error.into()))?;
    let size = execution.limits.shm_size.unwrap_or(SHM_SIZE);
    tmpfs(&dev.join("shm"), flags | MountFlags::NODEV, &format!("mode=1777,size={size}"))
        .map_err(action("/shm"))?;
    if ground.facts.proc == Proc::Own {
        let _ = mount("mqueue", "/dev/mqueue", "mqueue", flags | MountFlags::NODEV, None);
    }
    Ok(())
}

/// A device node of the step's own: its mode may be changed, and unlike others in the same file system it opens.
fn own_device(path: &Path, device: u64) -> io::Result<Detached> {
    mknodat(CWD, path, FileType::CharacterDevice, FileMode::from_raw_mode(0o666), device)?;
    Detached::device(path)
}

/// The most processes and threads of a step: what the kernel once had for all. A fork bomb ends there.
const MOST_PROCESSES: u32 = 32_768;

/// Limits the number of processes, where a pid namespace has its own limit (Linux 6.14). Before that it would be the
/// host's.
fn limit_processes(ground: &Ground) {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers =
        release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if ground.facts.proc == Proc::Own && version >= (6, 14) {
        // Without it there is the host's limit.
        let _ = fs::write("/proc/sys/kernel/pid_max", MOST_PROCESSES.to_string());
    }
}

/// Hides what tells of the host, and makes read-only what changes it. What the kernel does not have needs no hiding; in
/// another's `/proc`, what cannot be covered is covered there already.
fn protect(ground: &Ground) -> Result<(), Fault> {
    let mut empty: Option<&str> = None;
    let view = |path, attributes| Detached::view(path, attributes)?.attach(inside::find(path)?);
    for path in MASKED {
        let Ok(metadata) = fs::symlink_metadata(path) else { continue };
        let done = match (metadata.is_dir(), empty) {
            (false, _) => mount_bind("/dev/null", path).map_err(io::Error::from),
            (true, Some(empty)) => mount_bind(empty, path).map_err(io::Error::from),
            (true, None) => {
                empty = Some(path);
                tmpfs(Path::new(path), MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV, "size=0")
            }
        };
        protected(ground, path, done)?;
    }
    for path in READ_ONLY.into_iter().filter(|path| fs::symlink_metadata(path).is_ok()) {
        let attributes = INERT | MountAttrFlags::MOUNT_ATTR_RDONLY;
        let done = view(Path::new(path), attributes);
        protected(ground, path, done)?;
    }
    Ok(())
}

fn protected(ground: &Ground, path: &str, done: io::Result<()>) -> Result<(), Fault> {
    if ground.facts.proc == Proc::Own { done.map_err(Fault::of(format!("protect {path}"))) } else { Ok(()) }
}

/// The network namespace that a step needs.
pub(super) fn own_network(ground: &Ground, network: Network) -> bool {
    network == Network::None && ground.facts.network
}
