//! Processes, namespaces and mounts.

use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    io, mem,
    os::fd::{AsRawFd, BorrowedFd},
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
};

use rustix::{
    process::Pid,
    thread::{UnshareFlags, unshare_unsafe},
};

/// The exit status of a child that panicked.
const PANICKED: u8 = 70;

/// Runs `child` in a new process, which ends with the status that it gives.
///
/// Only for processes with one thread: the worker and what it forks.
pub(in crate::sandbox) fn fork(child: impl FnOnce() -> u8) -> io::Result<Pid> {
    // SAFETY: the worker never starts a thread, so no lock is held by a thread that the child lacks.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => exit(catch_unwind(AssertUnwindSafe(child)).unwrap_or(PANICKED)),
        pid => Pid::from_raw(pid).ok_or_else(|| io::Error::other("fork gave no process")),
    }
}

/// Runs `child` in a new process that shares this one's memory, as vfork(2) does: this process stands still until the other
/// has become another program or has ended. No page table is copied, which is most of what a fork of this program costs.
///
/// Only for processes with one thread. What `child` leaves in memory stays there.
pub(in crate::sandbox) fn fork_to_exec(child: impl FnOnce() -> u8) -> io::Result<Pid> {
    let stack = Stack::new()?;
    let mut child = Some(child);
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    let argument = ptr::from_mut(&mut child).cast();
    // SAFETY: the stack is large enough, of this call alone, and unmapped only after the kernel has let this process go on,
    // when the child does not use it any more. `child` lives as long. Nobody else runs in this memory meanwhile.
    match unsafe { libc::clone(run_child_of(&child), stack.top(), flags, argument) } {
        -1 => Err(io::Error::last_os_error()),
        pid => Pid::from_raw(pid).ok_or_else(|| io::Error::other("clone gave no process")),
    }
}

/// What the new process begins with, for a closure of this type.
fn run_child_of<F: FnOnce() -> u8>(_: &Option<F>) -> extern "C" fn(*mut c_void) -> c_int {
    extern "C" fn run<F: FnOnce() -> u8>(argument: *mut c_void) -> c_int {
        // SAFETY: `fork_to_exec` gives a pointer to its own place of this type, and stands still.
        let child = unsafe { &mut *argument.cast::<Option<F>>() }.take();
        exit(child.map_or(PANICKED, |child| catch_unwind(AssertUnwindSafe(child)).unwrap_or(PANICKED)))
    }
    run::<F>
}

/// Memory for a process to stand on, with a page below that ends it if it goes too deep.
struct Stack(*mut c_void);

impl Stack {
    /// As much as the program's threads have by default, of which what is not touched costs nothing.
    const SIZE: usize = 2 << 20;
    const GUARD: usize = 64 << 10;

    fn new() -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK;
        // SAFETY: new memory, where there was none; nothing is there until it is touched.
        let base = unsafe { libc::mmap(ptr::null_mut(), Self::SIZE, libc::PROT_NONE, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let stack = Self(base);
        // SAFETY: within the mapping above.
        let opened = unsafe {
            let above = base.byte_add(Self::GUARD);
            libc::mprotect(above, Self::SIZE - Self::GUARD, libc::PROT_READ | libc::PROT_WRITE)
        };
        if opened == 0 { Ok(stack) } else { Err(io::Error::last_os_error()) }
    }

    /// Where it begins: stacks grow downwards on all machines that this program is for.
    fn top(&self) -> *mut c_void {
        // SAFETY: one past the end of the mapping; page-aligned, as ABIs want it.
        unsafe { self.0.byte_add(Self::SIZE) }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this size, and nobody stands on it any more.
        unsafe { libc::munmap(self.0, Self::SIZE) };
    }
}

/// Ends the process at once: neither buffers nor temporary files of the parent are touched.
fn exit(status: u8) -> ! {
    // SAFETY: takes a number and does not return.
    unsafe { libc::_exit(c_int::from(status)) }
}

/// Replaces the process by a program. Returns only if that fails.
pub(in crate::sandbox) fn exec(program: &CStr, arguments: &[CString], environment: &[CString]) -> io::Error {
    let arguments = pointers(arguments);
    let environment = pointers(environment);
    // SAFETY: all are zero-terminated, the arrays end with a null pointer, and they outlive the call.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
}

/// Gives all signals their default action and lets all through, as programs expect when they start.
pub(in crate::sandbox) fn reset_signals() {
    for signal in 1..=64 {
        // SAFETY: the default action has no handler that could be wrong; signals that cannot be changed are refused.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: a zeroed set is a valid place for the empty set, and lives until both calls are done.
    unsafe {
        let mut none: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
    }
}

/// Kills all other processes of the pid namespace that this process is the first of.
pub(in crate::sandbox) fn kill_all_others() -> io::Result<()> {
    if !rustix::process::getpid().is_init() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    // SAFETY: a signal to others; the check above keeps it within the namespace.
    if unsafe { libc::kill(-1, libc::SIGKILL) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes the machine look like one of 32 bits to this process and what it becomes (personality(2)).
pub(in crate::sandbox) fn of_32_bits() -> io::Result<()> {
    /// `PER_LINUX32` of `linux/personality.h`.
    const PER_LINUX32: libc::c_ulong = 8;
    // SAFETY: takes a number, and changes only what the kernel tells of the machine.
    match unsafe { libc::personality(PER_LINUX32) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Moves this process into new namespaces.
pub(in crate::sandbox) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: the flags that this program uses leave the table of file descriptors shared as it is.
    unsafe { unshare_unsafe(flags) }.map_err(io::Error::from)
}

/// Closes all file descriptors from `first` on. For the start of the worker, before it has opened any.
pub(in crate::sandbox) fn close_from(first: u32) {
    // SAFETY: called before anything owns a descriptor at or above `first`. Old kernels refuse the call.
    unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0u32) };
}

/// Closes all file descriptors but these and the standard ones. For a child that never returns to where the others belong.
pub(in crate::sandbox) fn close_all_but(kept: &[BorrowedFd<'_>]) {
    let mut kept: Vec<u32> = kept.iter().map(|fd| fd.as_raw_fd().unsigned_abs()).collect();
    kept.sort_unstable();
    let mut first = 3;
    for last in kept.into_iter().chain([u32::MAX]) {
        if first < last {
            close_range(first, last - 1);
        }
        first = first.max(last.saturating_add(1));
    }
}

fn close_range(first: u32, last: u32) {
    /// As many as a process can have open by default.
    const MOST: u32 = 1024;
    // SAFETY: both calls take numbers alone. Whoever owned these descriptors is a copy of an object of the parent that this
    // process never comes back to.
    unsafe {
        if libc::syscall(libc::SYS_close_range, first, last, 0u32) != 0 {
            // Kernels before 5.9.
            for fd in first..=last.min(MOST) {
                libc::close(fd.cast_signed());
            }
        }
    }
}

/// Sets and clears attributes (`MOUNT_ATTR_*`) of a mount and all that is mounted in it.
pub(in crate::sandbox) fn set_mount_attributes(
    mount: BorrowedFd<'_>,
    set: u64,
    clear: u64,
) -> io::Result<()> {
    let attributes = libc::mount_attr { attr_set: set, attr_clr: clear, propagation: 0, userns_fd: 0 };
    // SAFETY: the path is zero-terminated, and the structure is valid for the size that is given.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Switches the loopback interface of the process's network namespace on.
pub(in crate::sandbox) fn loopback_up() -> io::Result<()> {
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None)?;
    // SAFETY: all zeros is a valid request; `lo` and its zero byte fit into the name.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: this request reads an `ifreq`, which outlives the call.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
