//! Huge pages, which are wrong for processes that live for milliseconds: the allocator asks for them, the kernel clears
//! two megabytes for the first byte that is written in each, and does so again in each of a step's processes. Where
//! memory is cold (a virtual machine whose idle memory was reclaimed), one takes milliseconds: that was a third of thirty
//! trivial steps. A build of a gigabyte of files is no slower without.

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::thread::{disable_transparent_huge_pages, transparent_huge_pages_are_disabled};

/// Whether this process, or one that it descends from, has switched them off.
static SWITCHED_OFF: AtomicBool = AtomicBool::new(false);

/// Switches huge pages off, for this process and what it starts; steps' commands get them back. Where that cannot be
/// done, builds are slower.
pub fn keep_pages_small() {
    if matches!(transparent_huge_pages_are_disabled(), Ok(false))
        && disable_transparent_huge_pages(true).is_ok()
    {
        SWITCHED_OFF.store(true, Ordering::Relaxed);
    }
}

/// Switches them on again, if this program switched them off: for work that needs much memory at once.
pub fn let_pages_be_huge() {
    restore();
    SWITCHED_OFF.store(false, Ordering::Relaxed);
}

/// Whether [`keep_pages_small`] did it. The switch outlives `exec`, what this process knows does not.
pub(super) fn switched_off() -> bool {
    SWITCHED_OFF.load(Ordering::Relaxed)
}

/// Tells this process that the one that started it has switched them off.
pub(super) fn inherited(switched_off: bool) {
    SWITCHED_OFF.fetch_or(switched_off, Ordering::Relaxed);
}

/// Lets a command, which would inherit the switch, have them as it would have them elsewhere.
pub(super) fn restore() {
    if switched_off() {
        let _ = disable_transparent_huge_pages(false);
    }
}
