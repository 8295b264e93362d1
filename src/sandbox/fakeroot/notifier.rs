//! Receives calls and answers them.

use std::{
    collections::HashMap,
    fmt, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use libc::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW};
use rustix::io::Errno;

use super::{
    super::{User, seccomp::HOST, sys::seccomp, tree::BareOwners},
    calls::{CALLS, Call, NARROW},
    ids::{Ids, Kind, MOST_GROUPS},
    owners::Owners,
    processes::Processes,
    target::Target,
};

/// The supervisor's side of the fake root of one command.
pub(in crate::sandbox) struct Notifier {
    listener: OwnedFd,
    calls: HashMap<(u32, u32), Call>,
    processes: Processes,
    owners: Owners,
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notifier").field("listener", &self.listener).finish_non_exhaustive()
    }
}

/// What is answered to a call.
enum Reply {
    /// It returns this.
    Value(u32),
    /// The kernel carries it out.
    CarryOut,
}

const DONE: Reply = Reply::Value(0);

impl Notifier {
    /// For the command that the descriptor came from ([`super::super::confinement::Confinement::apply`]). It seems to
    /// itself to be this user.
    pub(in crate::sandbox) fn new(listener: OwnedFd, user: &User) -> Self {
        let initial = Ids::new(user.uid, user.gid, user.groups.clone());
        let mut calls = HashMap::new();
        for arch in HOST {
            let narrow = CALLS.iter().zip(NARROW).map(|((_, call), name)| (name, *call));
            let wide = CALLS.iter().copied();
            let mut add = |(name, call): (&str, Call)| {
                if let Some(number) = arch.number_of(name) {
                    calls.insert((arch.audit, number), call);
                }
            };
            if arch.narrow { narrow.for_each(&mut add) } else { wide.for_each(&mut add) }
        }
        let owners = Owners::new((user.uid, user.gid));
        Self { listener, calls, processes: Processes::new(initial), owners }
    }

    /// The descriptor to poll. Readable: [`Self::handle`] has a call to answer. Hung up: the command and all that it
    /// started have ended.
    pub(in crate::sandbox) fn fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Receives a call and answers it; waits for one if there is none.
    ///
    /// # Errors
    /// When calls can no longer be received. What goes wrong with one call is that call's answer.
    pub(in crate::sandbox) fn handle(&mut self) -> io::Result<()> {
        let call = match seccomp::receive(self.listener.as_fd()) {
            Ok(call) => call,
            // Its process has ended, or a signal came.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut response = libc::seccomp_notif_resp { id: call.id, val: 0, error: 0, flags: 0 };
        match self.answer(&call) {
            Ok(Reply::Value(value)) => response.val = value.into(),
            Ok(Reply::CarryOut) => response.flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
            Err(error) => response.error = -error.raw_os_error(),
        }
        match seccomp::send(self.listener.as_fd(), &response) {
            Err(error) if error.raw_os_error() != Some(libc::ENOENT) => Err(error),
            _ => Ok(()),
        }
    }

    /// The owners of what can have no attributes.
    pub(in crate::sandbox) fn into_owners(self) -> BareOwners {
        self.owners.into_bare()
    }

    fn answer(&mut self, request: &libc::seccomp_notif) -> Result<Reply, Errno> {
        // The filter passes on other calls of these names: with ids of 16 bits.
        let key = (request.data.arch, request.data.nr.cast_unsigned());
        let Some(call) = self.calls.get(&key).copied() else { return Ok(Reply::CarryOut) };
        let (process, ids) = self.processes.of_thread(request.pid).ok_or(Errno::SRCH)?;
        let target = Target::new(request.pid);
        let arguments = request.data.args;
        match call {
            Call::Chown | Call::LChown | Call::FChown | Call::FChownAt => {
                self.change_owner(call, request, &target, &ids)
            }
            Call::GetUid => Ok(Reply::Value(ids.user.real)),
            Call::GetGid => Ok(Reply::Value(ids.group.real)),
            Call::GetEUid => Ok(Reply::Value(ids.user.effective)),
            Call::GetEGid => Ok(Reply::Value(ids.group.effective)),
            Call::GetResUid => self.three(request, &target, &ids, Kind::User),
            Call::GetResGid => self.three(request, &target, &ids, Kind::Group),
            Call::GetGroups => self.groups(request, &target, &ids),
            Call::SetGroups => {
                let count = arguments[0] as u32 as usize;
                if count > MOST_GROUPS {
                    return Err(Errno::INVAL);
                }
                let groups = target.read_numbers(arguments[1], count)?;
                self.change_ids(request, process, ids, |ids| ids.set_groups(groups).map(|()| 0))
            }
            Call::KeepCapabilities => {
                let keep = arguments[1] == 1;
                self.change_ids(request, process, ids, |ids| {
                    ids.keep_capabilities = keep;
                    Ok(0)
                })?;
                Ok(Reply::CarryOut)
            }
            _ => self.change_ids(request, process, ids, |ids| set(ids, call, arguments.map(id))),
        }
    }

    /// What was read of a process was read of the one that waits only if that still waits.
    fn check(&self, request: &libc::seccomp_notif) -> Result<(), Errno> {
        if seccomp::is_waiting(self.listener.as_fd(), request.id) { Ok(()) } else { Err(Errno::SRCH) }
    }

    fn change_ids(
        &mut self,
        request: &libc::seccomp_notif,
        process: u32,
        mut ids: Ids,
        change: impl FnOnce(&mut Ids) -> Result<u32, Errno>,
    ) -> Result<Reply, Errno> {
        let value = change(&mut ids)?;
        self.check(request)?;
        self.processes.set(process, ids);
        Ok(Reply::Value(value))
    }

    fn three(
        &self,
        request: &libc::seccomp_notif,
        target: &Target,
        ids: &Ids,
        kind: Kind,
    ) -> Result<Reply, Errno> {
        self.check(request)?;
        let four = ids.of(kind);
        for (address, id) in request.data.args.iter().zip([four.real, four.effective, four.saved]) {
            target.write_numbers(*address, &[id])?;
        }
        Ok(DONE)
    }

    fn groups(&self, request: &libc::seccomp_notif, target: &Target, ids: &Ids) -> Result<Reply, Errno> {
        self.check(request)?;
        let count = u32::try_from(ids.groups.len()).map_err(|_| Errno::INVAL)?;
        let room = request.data.args[0] as u32;
        if room != 0 {
            if room < count || room > i32::MAX as u32 {
                return Err(Errno::INVAL);
            }
            target.write_numbers(request.data.args[1], &ids.groups)?;
        }
        Ok(Reply::Value(count))
    }

    fn change_owner(
        &mut self,
        call: Call,
        request: &libc::seccomp_notif,
        target: &Target,
        ids: &Ids,
    ) -> Result<Reply, Errno> {
        let arguments = request.data.args;
        let descriptor = |argument: u64| argument as u32 as i32;
        let (file, owner) = match call {
            Call::FChown => (target.file(descriptor(arguments[0])), [arguments[1], arguments[2]]),
            Call::FChownAt => {
                let flags = arguments[4] as u32 as i32;
                if flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
                    return Err(Errno::INVAL);
                }
                let path = target.read_path(arguments[1])?;
                let directory = Some(descriptor(arguments[0])).filter(|number| *number != AT_FDCWD);
                let file = match directory {
                    Some(number) if path.is_empty() && flags & AT_EMPTY_PATH != 0 => target.file(number),
                    None if path.is_empty() && flags & AT_EMPTY_PATH != 0 => target.find(None, b".", true),
                    _ => target.find(directory, &path, flags & AT_SYMLINK_NOFOLLOW == 0),
                };
                (file, [arguments[2], arguments[3]])
            }
            _ => {
                let path = target.read_path(arguments[0])?;
                (target.find(None, &path, call == Call::Chown), [arguments[1], arguments[2]])
            }
        };
        self.check(request)?;
        let file = match file {
            Ok(file) => file,
            // A link of /proc, or what only that process can see.
            Err(Errno::LOOP | Errno::XDEV | Errno::ACCESS | Errno::PERM) => return Ok(Reply::CarryOut),
            Err(error) => return Err(error),
        };
        self.owners.give(&file, id(owner[0]), id(owner[1]), ids)?;
        Ok(DONE)
    }
}

/// An id among a call's arguments; -1 leaves it as it is.
fn id(argument: u64) -> Option<u32> {
    Some(argument as u32).filter(|id| *id != u32::MAX)
}

fn set(ids: &mut Ids, call: Call, [first, second, third, ..]: [Option<u32>; 6]) -> Result<u32, Errno> {
    match call {
        Call::SetUid => ids.set(Kind::User, first)?,
        Call::SetGid => ids.set(Kind::Group, first)?,
        Call::SetReUid => ids.set_two(Kind::User, first, second)?,
        Call::SetReGid => ids.set_two(Kind::Group, first, second)?,
        Call::SetResUid => ids.set_three(Kind::User, [first, second, third])?,
        Call::SetResGid => ids.set_three(Kind::Group, [first, second, third])?,
        Call::SetFsUid => return Ok(ids.set_file(Kind::User, first)),
        Call::SetFsGid => return Ok(ids.set_file(Kind::Group, first)),
        _ => return Err(Errno::NOSYS),
    }
    Ok(0)
}
