//! Filters of system calls and the descriptor on which calls are passed on.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    ptr,
};

use libc::{
    SECCOMP_FILTER_FLAG_NEW_LISTENER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, SECCOMP_SET_MODE_FILTER, c_long,
    c_ulong, sock_filter, sock_fprog,
};

/// Once the supervisor has read a call, only a deadly signal interrupts it; since Linux 5.19.
const WAIT_KILLABLE: c_ulong = 1 << 5;

/// Puts a filter on this thread and its children.
pub(in crate::sandbox) fn install(program: &[sock_filter]) -> io::Result<()> {
    // Without the flag, kernels before 5.16 switch off speculation in everything that has a filter, at a great cost.
    set(program, SECCOMP_FILTER_FLAG_SPEC_ALLOW).map(drop)
}

/// The same; the descriptor is where calls arrive.
pub(in crate::sandbox) fn install_with_listener(program: &[sock_filter]) -> io::Result<OwnedFd> {
    let flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW | SECCOMP_FILTER_FLAG_NEW_LISTENER;
    let result = match set(program, flags | WAIT_KILLABLE) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => set(program, flags),
        other => other,
    }?;
    let fd = i32::try_from(result).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
    // SAFETY: the kernel has just made it, for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn set(program: &[sock_filter], flags: c_ulong) -> io::Result<c_long> {
    let len = u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let program = sock_fprog { len, filter: program.as_ptr().cast_mut() };
    // SAFETY: the kernel reads `len` instructions from `filter`, which are there, and checks them; it writes nothing.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, ptr::from_ref(&program)) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The next call that was passed on; waits for one. ENOENT: its process ended meanwhile.
pub(in crate::sandbox) fn receive(listener: BorrowedFd<'_>) -> io::Result<libc::seccomp_notif> {
    // SAFETY: the structure consists of numbers, and the kernel demands zeros.
    let mut call: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel fills in the structure that the request's number names.
    let result = unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, ptr::from_mut(&mut call))
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(call) }
}

/// Answers a call. ENOENT: its process ended meanwhile.
pub(in crate::sandbox) fn send(
    listener: BorrowedFd<'_>,
    answer: &libc::seccomp_notif_resp,
) -> io::Result<()> {
    // SAFETY: the kernel reads the structure that the request's number names.
    let result =
        unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, ptr::from_ref(answer)) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether the call still waits, so that what was read of its process was read of the right one.
pub(in crate::sandbox) fn is_waiting(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the kernel reads the number.
    unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, ptr::from_ref(&id)) == 0 }
}
