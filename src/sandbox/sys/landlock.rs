//! Landlock's rulesets.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    ptr,
};

/// `struct landlock_ruleset_attr` of version 6.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(in crate::sandbox) struct Ruleset {
    /// Access to files that needs a rule.
    pub(in crate::sandbox) handled_access_fs: u64,
    /// Access to the network that needs a rule.
    pub(in crate::sandbox) handled_access_net: u64,
    /// What is kept inside.
    pub(in crate::sandbox) scoped: u64,
}

const CREATE_RULESET_VERSION: libc::c_uint = 1;

/// The version of the interface that the kernel has.
pub(in crate::sandbox) fn version() -> io::Result<i64> {
    // SAFETY: with this flag the call takes null and 0 and only returns a number.
    let result = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            ptr::null::<Ruleset>(),
            0_usize,
            CREATE_RULESET_VERSION,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Makes a ruleset.
pub(in crate::sandbox) fn create(ruleset: &Ruleset) -> io::Result<OwnedFd> {
    // SAFETY: the structure is the kernel's, valid and of the size that is given.
    let result = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, ptr::from_ref(ruleset), size_of::<Ruleset>(), 0_u32)
    };
    let fd = i32::try_from(result).ok().filter(|fd| *fd >= 0).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: the kernel has just made it, for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Puts this thread and its children under it, for ever.
pub(in crate::sandbox) fn restrict_self(ruleset: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: takes numbers only.
    let result = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0_u32) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
