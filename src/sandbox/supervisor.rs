//! One for each job, outside of the step's namespaces: makes what the step stands on, captures what the command changed,
//! and clears up.

use std::{
    fs::{self, File},
    io,
    os::{
        fd::OwnedFd,
        unix::{
            fs::{MetadataExt, PermissionsExt, chown},
            net::UnixStream,
        },
    },
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use super::{
    Captured, Execution, Exit, Mode, Network,
    cgroup::Cgroup,
    chroot::Furniture,
    command::Outputs,
    confinement::Confinement,
    emulator::Opened,
    fault::Fault,
    ground::{Ground, Layers},
    init::Step,
    limits,
    mounts::MOST_LOWERS,
    protocol::{self, Descriptors, Done, Job, Reply},
    root::{self, Places},
    tree::{self, CaptureOptions, OwnersByPath, Snapshot},
    watch::{Watched, watch},
};
use crate::oci::Hasher;

/// Does one job: the life of a process that the worker forked.
pub(super) fn serve(ground: &Ground, scratch: &Path, descriptors: Descriptors) -> u8 {
    let Descriptors { socket, out, err, locks } = descriptors;
    let mut socket = UnixStream::from(socket);
    let Ok(Some(job)) = protocol::receive::<Job>(&mut socket) else { return 1 };
    let result = match job {
        Job::Run(execution) => {
            return run((ground, scratch), &execution, Outputs { out, err, calls: None }, locks, socket);
        }
        Job::Settle(from, to) => tree::settle(&from, &to).map(|()| Done::plain(Vec::new())),
        Job::Remove(path) => tree::remove(&path).map(|()| Done::plain(Vec::new())),
        Job::Unpack(job) => tree::unpack(&job.entries, &job.dir, &job.lowers, job.flavour).map(Done::plain),
        Job::List(job) => {
            let options = CaptureOptions { default_owner: job.owner, ..CaptureOptions::default() };
            let listed = tree::list(&job.dir, &[], job.flavour, &options);
            listed.map(|(entries, warnings)| Done { entries, ..Done::plain(warnings) })
        }
        Job::Pack(entries, out) => tree::pack(&entries, &out)
            .map(|captured| Done { captured: Some(captured), ..Done::plain(Vec::new()) }),
    };
    let reply = Reply::Done(result.map_err(Fault::from_error));
    u8::from(protocol::send(&mut socket, &reply).is_err())
}

fn run(
    (ground, scratch): (&Ground, &Path),
    execution: &Execution,
    outputs: Outputs,
    mut locks: Vec<OwnedFd>,
    mut socket: UnixStream,
) -> u8 {
    let emulator = protocol::emulator(execution, ground).filter(|_| !locks.is_empty());
    let emulator = emulator.map(|known| Opened { architecture: known.architecture, file: locks.remove(0) });
    let (work, _lock) = match work_directory(scratch) {
        Ok(made) => made,
        Err(fault) => return u8::from(protocol::send(&mut socket, &Reply::Done(Err(fault))).is_err()),
    };
    let result = run_step((ground, scratch), execution, (outputs, emulator, &locks), &mut socket, &work);
    // No process of the step is left; to clear up, they are not needed.
    drop(locks);
    if !matches!(&result, Ok(Done { exit: Exit::Code(0), .. })) {
        // Out of the way at once; the program need not wait until all of it is gone.
        let _ = fs::rename(&execution.root.upper, work.join("upper"));
        let _ = fs::remove_file(&execution.changes);
    }
    // Nobody may be there any more to hear it.
    let _ = protocol::send(&mut socket, &Reply::Done(result));
    drop(socket);
    u8::from(tree::remove(&work).is_err())
}

/// The directory that the steps of a worker mount on.
pub(super) fn stage(scratch: &Path) -> PathBuf {
    scratch.join("stage")
}

/// What the names of steps' directories begin with.
const STEP: &str = "step-";

/// How old a directory must be to be taken for one that nobody will lock any more.
const ABANDONED: Duration = Duration::from_secs(60);

/// Removes what steps have left that were killed with everything around them.
pub(super) fn sweep(scratch: &Path) -> u8 {
    let Ok(entries) = fs::read_dir(scratch) else { return 0 };
    for entry in entries.flatten() {
        let old = entry
            .metadata()
            .and_then(|found| found.modified())
            .is_ok_and(|time| time.elapsed().is_ok_and(|age| age > ABANDONED));
        if !old || !entry.file_name().to_string_lossy().starts_with(STEP) {
            continue;
        }
        if File::open(entry.path()).is_ok_and(|directory| directory.try_lock().is_ok()) {
            let _ = tree::remove(&entry.path());
        }
    }
    0
}

/// A new directory for a step, locked as long as the step lives.
fn work_directory(scratch: &Path) -> Result<(PathBuf, File), Fault> {
    let made = || {
        let path = tempfile::Builder::new().prefix(STEP).tempdir_in(scratch)?.keep();
        let directory = File::open(&path)?;
        directory.lock()?;
        Ok::<_, io::Error>((path, directory))
    };
    made().map_err(Fault::of(format!("make a directory in {}", scratch.display())))
}

fn run_step(
    (ground, scratch): (&Ground, &Path),
    execution: &Execution,
    (outputs, emulator, locks): (Outputs, Option<Opened>, &[OwnedFd]),
    socket: &mut UnixStream,
    work: &Path,
) -> Result<Done, Fault> {
    let mut warnings = limits::check(&execution.limits);
    make_upper(execution)?;
    let mut furniture = None;
    let (lowers, before) = lowers((ground, scratch), execution, work, (&mut warnings, &mut furniture))?;
    let upper = if before.is_some() { work.join("root") } else { execution.root.upper.clone() };
    let without_network = execution.network == Network::None && !root::own_network(ground, execution.network);
    let confinement = Confinement::new(ground.mode, execution.privileged, without_network);
    let places = Places { lowers: &lowers, upper: &upper, work, stage: &stage(scratch) };
    let cgroup = Cgroup::new(&execution.limits).unwrap_or_else(|fault| {
        warnings.extend(limits::without_cgroup(&execution.limits, &fault));
        None
    });
    let (emulator, cgroup_of_all) = (emulator.as_ref(), cgroup.as_ref());
    let step =
        Step { ground, execution, places, confinement: &confinement, emulator, locks, cgroup: cgroup_of_all };
    let Watched { mut exit, owners: bare_owners, init: _init } = watch(&step, outputs, socket)?;
    // A command may end with a status of its own when the kernel ended a program of it: `make` and `cargo` do.
    if matches!(exit, Exit::Signal(_) | Exit::Code(1..))
        && cgroup.as_ref().is_some_and(Cgroup::ran_out_of_memory)
    {
        exit = Exit::OutOfMemory;
    }
    protocol::send(socket, &Reply::Ended).map_err(Fault::of("tell that the command has ended"))?;
    let mut captured = None;
    if exit == Exit::Code(0) {
        // Inode numbers hold where the command worked.
        let bare_owners = tree::locate(&bare_owners, &upper, &lowers, ground.flavour);
        let bare_owners = bare_owners.map_err(Fault::from_error)?;
        if let Some(before) = before {
            let left_out = tree::compare(&before, &upper, &execution.root.upper, ground.flavour);
            warnings.extend(left_out.map_err(Fault::from_error)?);
            if let Some(furniture) = &furniture {
                furniture.take_out_of(&execution.root.upper)?;
            }
        }
        captured = Some(capture(ground, execution, &bare_owners)?);
        // With times set back in what was captured, the copy is not what the next step is to see.
        if upper != execution.root.upper && execution.latest_mtime.is_none() {
            // Where it cannot be kept, the next step makes it anew.
            let _ = furniture.take().map_or(Ok(()), Furniture::restore).map(|()| {
                let trees = [&lowers[..], std::slice::from_ref(&execution.root.upper)].concat();
                fs::rename(&upper, copied(scratch, &trees))
            });
        }
    }
    Ok(Done { exit, captured, entries: Vec::new(), warnings })
}

/// Where the copy of a stack of trees is that a step has left for the next one to take. A tree is known by its inode and
/// birth, which stay when it gets another name; one that says nothing is not told of.
fn copied(scratch: &Path, trees: &[PathBuf]) -> PathBuf {
    let mut hasher = Hasher::new();
    for tree in trees {
        let says = fs::read_dir(tree).is_ok_and(|mut entries| entries.next().is_some());
        if let (true, Ok(found)) = (says, fs::metadata(tree)) {
            let born = found.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            let identity = (found.dev(), found.ino(), found.mtime_nsec(), born);
            hasher.update(format!("{identity:?}").as_bytes());
        }
    }
    scratch.join(format!("copied-{}", hasher.finish().hex()))
}

/// Makes the upper tree, whose root looks as that of the tree below it.
fn make_upper(execution: &Execution) -> Result<(), Fault> {
    let upper = &execution.root.upper;
    let action = || format!("make {}", upper.display());
    fs::create_dir(upper).map_err(Fault::of(action()))?;
    let (mode, uid, gid) = match execution.root.lower.last().map(fs::metadata) {
        Some(Ok(below)) => (below.mode() & 0o7777, below.uid(), below.gid()),
        _ => (0o755, 0, 0),
    };
    if (uid, gid) != (0, 0) {
        chown(upper, Some(uid), Some(gid)).map_err(Fault::of(action()))?;
    }
    fs::set_permissions(upper, fs::Permissions::from_mode(mode)).map_err(Fault::of(action()))
}

/// The trees to stack, each once; or, where they cannot be stacked, a copy of them and how it is before the command.
fn lowers(
    (ground, scratch): (&Ground, &Path),
    execution: &Execution,
    work: &Path,
    (warnings, furniture): (&mut Vec<String>, &mut Option<Furniture>),
) -> Result<(Vec<PathBuf>, Option<Snapshot>), Fault> {
    let all = &execution.root.lower;
    // Of a tree that comes twice the upper one hides the lower one.
    let once = all.iter().enumerate().filter(|(at, lower)| !all[at + 1..].contains(lower));
    let mut lowers: Vec<PathBuf> = once.map(|(_, lower)| lower.clone()).collect();
    if ground.facts.layers == Layers::Copied {
        let root = work.join("root");
        // Perhaps the step before has left just this.
        if fs::rename(copied(scratch, &lowers), &root).is_err() {
            warnings.extend(tree::flatten(&lowers, &root, ground.flavour).map_err(Fault::from_error)?);
        }
        if ground.mode == Mode::Chroot {
            let mut furnished = Furniture::new(&root, work, execution, ground.flavour)?;
            warnings.append(&mut furnished.warnings);
            *furniture = Some(furnished);
        }
        let before = tree::snapshot(&root).map_err(Fault::from_error)?;
        return Ok((lowers, Some(before)));
    }
    if lowers.len() > MOST_LOWERS {
        // The lowest become one, so that the others keep hiding what they hide.
        let kept = lowers.split_off(lowers.len() - (MOST_LOWERS - 1));
        let root = work.join("lowest");
        warnings.extend(tree::flatten(&lowers, &root, ground.flavour).map_err(Fault::from_error)?);
        lowers = [root].into_iter().chain(kept).collect();
    }
    Ok((lowers, None))
}

fn capture(ground: &Ground, execution: &Execution, bare_owners: &OwnersByPath) -> Result<Captured, Fault> {
    let changes = &execution.changes;
    let mut out = File::create_new(changes).map_err(Fault::of(format!("make {}", changes.display())))?;
    let options = CaptureOptions {
        latest_mtime: execution.latest_mtime,
        default_owner: (execution.user.uid, execution.user.gid),
        bare_owners: Some(bare_owners),
    };
    tree::capture(&execution.root.upper, &execution.root.lower, ground.flavour, &options, &mut out)
        .map_err(Fault::from_error)
}
