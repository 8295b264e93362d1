//! Huge pages, which are wrong for processes that live for milliseconds: the allocator asks for them, the kernel clears
//! two megabytes for the first byte that a fork writes, and does so in each of a step's processes. That was a quarter of
//! a trivial step's time.

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::thread::{disable_transparent_huge_pages, transparent_huge_pages_are_disabled};

/// Whether this process, or the one that it was forked from, has switched them off.
static SWITCHED_OFF: AtomicBool = AtomicBool::new(false);

/// Switches huge pages off, for this process and those forked from it. Where that cannot be done, steps are slower.
pub(super) fn keep_small() {
    if matches!(transparent_huge_pages_are_disabled(), Ok(false))
        && disable_transparent_huge_pages(true).is_ok()
    {
        SWITCHED_OFF.store(true, Ordering::Relaxed);
    }
}

/// Lets a command, which would inherit the switch, have them as it would have them elsewhere.
pub(super) fn restore() {
    if SWITCHED_OFF.load(Ordering::Relaxed) {
        let _ = disable_transparent_huge_pages(false);
    }
}
