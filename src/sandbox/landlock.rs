//! What the host's network namespace would let a command reach besides the network: abstract unix sockets of the host's
//! services. Where no process namespace can be had, signals as well.

use std::{io, os::fd::AsFd};

use super::sys::landlock::{self, Ruleset};

/// The version that can keep sockets and signals in; Linux 6.12.
const SCOPES: i64 = 6;
const SCOPE_ABSTRACT_UNIX_SOCKET: u64 = 1;
const SCOPE_SIGNAL: u64 = 2;

/// Whether the kernel can do it.
pub(super) fn is_available() -> bool {
    landlock::version().is_ok_and(|version| version >= SCOPES)
}

/// From now on this thread and its children reach abstract unix sockets and processes only among themselves. Where the
/// kernel or the container we are in does not offer that, nothing happens; `true` if it did.
///
/// Needs CAP_SYS_ADMIN in the user namespace, or no_new_privs.
pub(super) fn keep_to_themselves() -> io::Result<bool> {
    if !is_available() {
        return Ok(false);
    }
    let scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL;
    let ruleset = landlock::create(&Ruleset { handled_access_fs: 0, handled_access_net: 0, scoped })?;
    match landlock::restrict_self(ruleset.as_fd()) {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => Ok(false),
        Err(error) => Err(error),
    }
}
