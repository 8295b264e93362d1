//! Which system calls a command may make: a table of names and numbers, a profile that gives each name its rule, and the
//! kernel's filter that the profile is compiled to, once for all steps.
//!
//! The profile means what moby's default profile means for BuildKit's capabilities; `docs/sandbox.md` lists what differs.
//! This place does not know what the calls do nor who answers those that are passed on.

mod arch;
mod bpf;
mod calls;
mod profile;
mod rule;
#[cfg(test)]
mod tests;

use std::{io, os::fd::OwnedFd};

use libc::sock_filter;

pub(super) use arch::HOST;
pub(super) use profile::Profile;

use super::sys::seccomp;

/// A compiled filter.
#[derive(Clone)]
pub(super) struct Filter(Vec<sock_filter>);

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Filter({} instructions)", self.0.len())
    }
}

impl Filter {
    /// Puts it on this thread and its children, for ever. Needs CAP_SYS_ADMIN in the user namespace, or no_new_privs.
    pub(super) fn install(&self) -> io::Result<()> {
        if self.0.is_empty() { Ok(()) } else { seccomp::install(&self.0) }
    }

    /// The same, and gives the descriptor on which the calls arrive that are passed on. It is closed on exec.
    pub(super) fn install_with_listener(&self) -> io::Result<OwnedFd> {
        seccomp::install_with_listener(&self.0)
    }
}
