//! An emulator for the programs of another platform, known to the kernel within one step and nowhere else.
//!
//! Since Linux 6.7 each user namespace can have a registry of program formats (`binfmt_misc`) of its own. A step gets a
//! user namespace for it, with the ids that there are anyway: registered in the one that all steps share, programs of
//! another platform would run in native steps too, while an emulated one happens to run.
//!
//! The flags (kernel documentation, `admin-guide/binfmt-misc.rst`): `F` opens the emulator now, so that the root file
//! system need not have it; `P` keeps `argv[0]`; `C`, which implies `O`, lets programs gain the rights that they gain
//! natively, which `sudo` and `su` need.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use super::{
    Architecture,
    architecture::memory_file,
    emulator::Opened,
    fault::Fault,
    mounts::{Detached, INERT},
    sys, userns,
};
use rustix::{
    fs::{Mode as FileMode, OFlags, openat},
    thread::UnshareFlags,
};

/// The registration of an emulator. It holds as long as this is open.
#[derive(Debug)]
pub(super) struct Registration(pub(super) OwnedFd);

/// Moves this process into a user namespace of its own, with the same ids, and a registry of program formats of its own.
/// It needs a `/proc` that knows this process by its number.
pub(super) fn enter() -> Result<Registration, Fault> {
    userns::enter(&userns::unchanged()?)?;
    // Only who owns the mount namespace may mount at all.
    sys::unshare(UnshareFlags::NEWNS).map_err(Fault::of("make a mount namespace"))?;
    let registry = Detached::fresh("binfmt_misc", INERT).map_err(Fault::of("mount binfmt_misc"))?;
    Ok(Registration(registry.into_inner()))
}

impl Registration {
    /// Tells the kernel of an emulator.
    pub(super) fn add(&self, emulator: &Opened) -> Result<(), Fault> {
        let action = || format!("register an emulator of {}", emulator.architecture);
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let register =
            openat(self.0.as_fd(), "register", flags, FileMode::empty()).map_err(Fault::of(action()))?;
        let line = line(emulator.architecture, &format!("/proc/self/fd/{}", emulator.file.as_raw_fd()));
        rustix::io::write(register, line.as_bytes()).map(drop).map_err(Fault::of(action()))
    }
}

/// What is written to `register`: `:name:type:offset:magic:mask:interpreter:flags`.
fn line(architecture: Architecture, interpreter: &str) -> String {
    let escaped = |bytes: [u8; 20]| bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
    let (magic, mask) = architecture.magic();
    format!(":imgbuild-{architecture}:M:0:{}:{}:{interpreter}:POCF", escaped(magic), escaped(mask))
}

/// Tries what a step of another platform does: registers an emulator. For a process that then ends.
pub(super) fn try_registration() -> Result<(), Fault> {
    register(b"").map(drop)
}

/// Tries it to the end: another platform's program is run, by the smallest program of this one. For a process that then
/// ends.
pub(super) fn try_out() -> Result<(), Fault> {
    let host = Architecture::host().ok_or_else(|| Fault::new("", "this host's architecture is not known"))?;
    let (other, _registration) = register(&host.smallest())?;
    other.runs_here().map_err(Fault::of(format!("run a program for {other}")))
}

/// Registers an emulator of this content, for an architecture that is not this host's.
fn register(emulator: &[u8]) -> Result<(Architecture, Registration), Fault> {
    let arm = Architecture::host() == Some(Architecture::Arm64);
    let architecture = if arm { Architecture::Amd64 } else { Architecture::Arm64 };
    let file = memory_file("emulator", emulator).map_err(Fault::of("make a file in memory"))?;
    let registration = enter()?;
    registration.add(&Opened { architecture, file })?;
    Ok((architecture, registration))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_what_the_kernel_reads() {
        assert_eq!(
            line(Architecture::Arm64, "/q"),
            ":imgbuild-arm64:M:0:\\x7f\\x45\\x4c\\x46\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\xb7\\x00\
             :\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\xfe\\xff\\xff\\xff:/q:POCF"
        );
    }
}
