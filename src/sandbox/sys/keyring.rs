//! Session keyrings.

use std::{io, ptr};

/// Leaves the session keyring for a new, empty one.
pub(in crate::sandbox) fn join_new_session() -> io::Result<()> {
    // SAFETY: this operation takes a name or null, and null asks for a keyring without a name.
    let result = unsafe {
        libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, ptr::null::<libc::c_char>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
