//! Everything that keeps a command from doing what it may not, in the order that works.

use std::{io, os::fd::OwnedFd, sync::OnceLock};

use super::{
    Mode, capabilities, landlock,
    seccomp::{Filter, Profile},
    sys::keyring,
};

/// What a command may do: made once, then put on in each command's process.
#[derive(Debug, Clone)]
pub(super) struct Confinement {
    filter: Option<Filter>,
    fake_root: bool,
    privileged: bool,
    needs_no_new_privileges: bool,
}

/// A command could not be confined.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what}: {source}")]
pub(super) struct NotConfined {
    what: &'static str,
    source: io::Error,
}

/// Makes what the steps of a mode have in common, once for all that are forked from this process.
pub(super) fn prepare(mode: Mode) {
    if mode != Mode::Chroot {
        standard(mode == Mode::SingleId);
    }
}

/// The filter of steps without anything special.
fn standard(fake_root: bool) -> &'static Filter {
    static PLAIN: OnceLock<Filter> = OnceLock::new();
    static FAKED: OnceLock<Filter> = OnceLock::new();
    let made = if fake_root { &FAKED } else { &PLAIN };
    made.get_or_init(|| profile(Profile::commands(), fake_root).compile())
}

fn profile(base: Profile, fake_root: bool) -> Profile {
    if fake_root { base.with_fake_root(super::fakeroot::calls()) } else { base }
}

impl Confinement {
    /// For commands of a mode. `without_network` refuses internet sockets: for modes that have no network namespaces.
    pub(super) fn new(mode: Mode, privileged: bool, without_network: bool) -> Self {
        let fake_root = mode == Mode::SingleId;
        // In a container that may not filter (CAP_SYS_ADMIN), a filter would take sudo and su away: the container's own
        // filter is there.
        let open = privileged || mode == Mode::Chroot;
        let base = || if open { Profile::open() } else { Profile::commands() };
        let filter = match (open, without_network) {
            (false, false) => Some(standard(fake_root).clone()),
            (_, true) => Some(profile(base(), fake_root).without_network().compile()),
            (true, false) => fake_root.then(|| profile(base(), fake_root).compile()),
        };
        let needs_no_new_privileges = mode == Mode::Chroot && without_network;
        Self { filter, fake_root, privileged, needs_no_new_privileges }
    }

    /// Confines this thread and its children, for ever: the last thing before the user is changed and the program run. It
    /// needs the capabilities of root in the user namespace. With [`Mode::SingleId`] it gives the descriptor that a
    /// [`super::fakeroot::Notifier`] must serve from now on.
    pub(super) fn apply(&self) -> Result<Option<OwnedFd>, NotConfined> {
        // Keys of whoever started us are not the command's. Containers refuse the call; the filter refuses the rest.
        let _ = keyring::join_new_session();
        if !self.privileged {
            let scoped = landlock::keep_to_themselves();
            scoped
                .map_err(|source| NotConfined { what: "keep it from the host's abstract sockets", source })?;
        }
        if self.needs_no_new_privileges {
            let set = rustix::thread::set_no_new_privs(true);
            set.map_err(|error| NotConfined { what: "set no_new_privs", source: error.into() })?;
        }
        // Before the capabilities: a filter needs CAP_SYS_ADMIN.
        let listener = match &self.filter {
            Some(filter) if self.fake_root => filter.install_with_listener().map(Some),
            Some(filter) => filter.install().map(|()| None),
            None => Ok(None),
        };
        let listener = listener.map_err(|source| NotConfined { what: "filter its system calls", source })?;
        if !self.privileged {
            let limited = capabilities::limit(capabilities::COMMANDS);
            limited.map_err(|error| NotConfined { what: "limit its capabilities", source: error.into() })?;
        }
        Ok(listener)
    }
}

#[cfg(test)]
#[path = "confinement_tests.rs"]
mod tests;
