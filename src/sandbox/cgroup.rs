//! Limits for a step as a whole: control groups of either version, where this user may make them.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::{Limits, fault::Fault};

const TOP: &str = "/sys/fs/cgroup";

/// The period that shares of processors are of, in microseconds: the kernel's default.
const PERIOD: u64 = 100_000;

/// The control groups of one step: one, or with version 1 one for each controller.
#[derive(Debug)]
pub(super) struct Cgroup {
    directories: Vec<PathBuf>,
    /// The file that counts the processes that the kernel ended for want of memory.
    out_of_memory: Option<PathBuf>,
}

impl Cgroup {
    /// Makes what the limits need.
    ///
    /// # Errors
    /// Where this user cannot make one, or the controllers are not at hand.
    pub(super) fn new(limits: &Limits) -> Result<Option<Self>, Fault> {
        if limits.memory.is_none() && limits.cpus.is_none() {
            return Ok(None);
        }
        let own = fs::read_to_string("/proc/self/cgroup").map_err(Fault::of("read /proc/self/cgroup"))?;
        let name = format!("imgbuild-{}", rustix::process::getpid().as_raw_pid());
        let unified = Path::new(TOP).join("cgroup.controllers").exists();
        let made =
            if unified { Self::unified(limits, &own, &name) } else { Self::legacy(limits, &own, &name) };
        made.map(Some).map_err(Fault::of("make a control group"))
    }

    fn unified(limits: &Limits, own: &str, name: &str) -> io::Result<Self> {
        let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
        let own = Path::new(TOP).join(own);
        // Groups with processes in them cannot have limited groups: so beside the own one.
        let parents =
            [Some(Path::new(TOP)), own.parent().filter(|parent| parent.starts_with(TOP)), Some(&own)];
        let mut failed = io::Error::from(io::ErrorKind::NotFound);
        for parent in parents.into_iter().flatten() {
            match Self::unified_in(parent, limits, name) {
                Ok(made) => return Ok(made),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    fn unified_in(parent: &Path, limits: &Limits, name: &str) -> io::Result<Self> {
        let directory = parent.join(name);
        create(&directory)?;
        let made = Self {
            out_of_memory: limits.memory.map(|_| directory.join("memory.events")),
            directories: vec![directory.clone()],
        };
        // They may be switched on already; if not, and if this fails, the files are not there.
        let _ = fs::write(parent.join("cgroup.subtree_control"), "+memory +cpu");
        if let Some(memory) = limits.memory {
            fs::write(directory.join("memory.max"), memory.to_string())?;
            limit_swap(&directory.join("memory.swap.max"), limits.swap)?;
        }
        if let Some(cpus) = limits.cpus {
            fs::write(directory.join("cpu.max"), format!("{} {PERIOD}", quota(cpus)))?;
        }
        Ok(made)
    }

    fn legacy(limits: &Limits, own: &str, name: &str) -> io::Result<Self> {
        let mut made = Self { directories: Vec::new(), out_of_memory: None };
        if let Some(memory) = limits.memory {
            let directory = made.controller("memory", own, name)?;
            fs::write(directory.join("memory.limit_in_bytes"), memory.to_string())?;
            // Here it is one number for both.
            let both = limits.swap.map(|swap| memory.saturating_add(swap));
            limit_swap(&directory.join("memory.memsw.limit_in_bytes"), both)?;
            made.out_of_memory = Some(directory.join("memory.oom_control"));
        }
        if let Some(cpus) = limits.cpus {
            let directory = made.controller("cpu", own, name)?;
            fs::write(directory.join("cpu.cfs_quota_us"), quota(cpus).to_string())?;
        }
        Ok(made)
    }

    /// Makes the group of one controller of version 1.
    fn controller(&mut self, controller: &str, own: &str, name: &str) -> io::Result<PathBuf> {
        let path = own.lines().find_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            controllers.split(',').any(|one| one == controller).then_some(path)
        });
        let Some(path) = path else { return Err(io::ErrorKind::NotFound.into()) };
        let own = Path::new(TOP).join(controller).join(path.trim_start_matches('/'));
        // In a container the path may be that of the host.
        let parent = if own.is_dir() { own } else { Path::new(TOP).join(controller) };
        let directory = parent.join(name);
        create(&directory)?;
        self.directories.push(directory.clone());
        Ok(directory)
    }

    /// Moves this process, and all that it will start, into the groups.
    pub(super) fn join(&self) -> Result<(), Fault> {
        for directory in &self.directories {
            fs::write(directory.join("cgroup.procs"), "0").map_err(Fault::of("join a control group"))?;
        }
        Ok(())
    }

    /// Whether the kernel has ended a process of it for want of memory.
    pub(super) fn ran_out_of_memory(&self) -> bool {
        let Some(file) = &self.out_of_memory else { return false };
        let text = fs::read_to_string(file).unwrap_or_default();
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count.is_some_and(|count| count.trim() != "0")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for directory in &self.directories {
            // The last process may take a moment to leave it.
            for _ in 0..100 {
                match fs::remove_dir(directory) {
                    Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                        thread::sleep(Duration::from_millis(1));
                    }
                    _ => break,
                }
            }
        }
    }
}

/// Sets a limit of swap. Kernels that do not count it have no file for it.
fn limit_swap(file: &Path, bytes: Option<u64>) -> io::Result<()> {
    match bytes {
        Some(bytes) if file.exists() => fs::write(file, bytes.to_string()),
        _ => Ok(()),
    }
}

/// Makes a group. One of this name that has no process is of a dead supervisor that had this process's number.
fn create(directory: &Path) -> io::Result<()> {
    let _ = fs::remove_dir(directory);
    fs::create_dir(directory)
}

/// Thousandths of cores as microseconds of a period; the kernel wants a thousand at least.
fn quota(cpus: u64) -> u64 {
    (cpus.saturating_mul(PERIOD) / 1000).max(1000)
}
