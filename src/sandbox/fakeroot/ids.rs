//! The ids of a process, and how it may change them (credentials(7)).

use rustix::io::Errno;

/// Ids of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Four {
    pub(super) real: u32,
    pub(super) effective: u32,
    pub(super) saved: u32,
    pub(super) file: u32,
}

/// The most groups that a process has.
pub(super) const MOST_GROUPS: usize = 65_536;

/// All ids of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) user: Four,
    pub(super) group: Four,
    pub(super) groups: Vec<u32>,
    /// Whether capabilities stay when the last of the user ids is no longer root's (`PR_SET_KEEPCAPS`).
    pub(super) keep_capabilities: bool,
    /// Whether they have stayed. The next program that is executed loses both.
    pub(super) capable: bool,
}

/// Which ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    User,
    Group,
}

impl Ids {
    /// Those of a process that has been nobody else.
    pub(super) fn new(user: u32, group: u32, groups: Vec<u32>) -> Self {
        let (user, group) = (Four::all(user), Four::all(group));
        Self { user, group, groups, keep_capabilities: false, capable: false }
    }

    /// What is left of it in another program.
    pub(super) fn executed(&mut self) {
        (self.keep_capabilities, self.capable) = (false, false);
    }

    pub(super) fn of(&self, kind: Kind) -> Four {
        match kind {
            Kind::User => self.user,
            Kind::Group => self.group,
        }
    }

    fn of_mut(&mut self, kind: Kind) -> &mut Four {
        match kind {
            Kind::User => &mut self.user,
            Kind::Group => &mut self.group,
        }
    }

    /// Root may take on any ids; others those that they have in some way.
    fn may_all(&self) -> bool {
        self.user.effective == 0 || self.capable
    }

    /// Whether it may give files to anybody.
    pub(super) fn may_give_away(&self) -> bool {
        self.user.file == 0 || self.capable
    }

    fn user_changed(&mut self, old: Four) {
        if old.has(0) && !self.user.has(0) {
            self.capable = self.keep_capabilities;
        }
    }

    /// Whether a file of this group may be given away to by a process that is not root.
    pub(super) fn is_in(&self, group: u32) -> bool {
        self.group.file == group || self.groups.contains(&group)
    }

    /// setuid(2), setgid(2)
    pub(super) fn set(&mut self, kind: Kind, id: Option<u32>) -> Result<(), Errno> {
        let id = id.ok_or(Errno::INVAL)?;
        let (may_all, user) = (self.may_all(), self.user);
        let four = self.of_mut(kind);
        if may_all {
            *four = Four::all(id);
        } else if id == four.real || id == four.saved {
            (four.effective, four.file) = (id, id);
        } else {
            return Err(Errno::PERM);
        }
        self.user_changed(user);
        Ok(())
    }

    /// setreuid(2), setregid(2)
    pub(super) fn set_two(
        &mut self,
        kind: Kind,
        real: Option<u32>,
        effective: Option<u32>,
    ) -> Result<(), Errno> {
        let (may_all, user) = (self.may_all(), self.user);
        let old = self.of(kind);
        let real_allowed = real.is_none_or(|id| [old.real, old.effective].contains(&id));
        let effective_allowed = effective.is_none_or(|id| old.has(id));
        if !(may_all || real_allowed && effective_allowed) {
            return Err(Errno::PERM);
        }
        let four = self.of_mut(kind);
        four.real = real.unwrap_or(old.real);
        four.effective = effective.unwrap_or(old.effective);
        four.file = four.effective;
        if real.is_some() || effective.is_some_and(|id| id != old.real) {
            four.saved = four.effective;
        }
        self.user_changed(user);
        Ok(())
    }

    /// setresuid(2), setresgid(2): real, effective, saved
    pub(super) fn set_three(&mut self, kind: Kind, ids: [Option<u32>; 3]) -> Result<(), Errno> {
        let (may_all, user) = (self.may_all(), self.user);
        let four = self.of_mut(kind);
        if !may_all && !ids.iter().flatten().all(|id| four.has(*id)) {
            return Err(Errno::PERM);
        }
        four.real = ids[0].unwrap_or(four.real);
        four.effective = ids[1].unwrap_or(four.effective);
        four.saved = ids[2].unwrap_or(four.saved);
        four.file = four.effective;
        self.user_changed(user);
        Ok(())
    }

    /// setfsuid(2), setfsgid(2): gives the old id and does not say whether it was changed
    pub(super) fn set_file(&mut self, kind: Kind, id: Option<u32>) -> u32 {
        let may_all = self.may_all();
        let four = self.of_mut(kind);
        let old = four.file;
        if let Some(id) = id.filter(|id| may_all || four.has(*id) || *id == old) {
            four.file = id;
        }
        old
    }

    /// setgroups(2)
    pub(super) fn set_groups(&mut self, groups: Vec<u32>) -> Result<(), Errno> {
        if !self.may_all() {
            return Err(Errno::PERM);
        }
        self.groups = groups;
        self.groups.sort_unstable();
        Ok(())
    }
}

impl Four {
    fn all(id: u32) -> Self {
        Self { real: id, effective: id, saved: id, file: id }
    }

    fn has(self, id: u32) -> bool {
        [self.real, self.effective, self.saved].contains(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(ids: &Ids) -> [u32; 4] {
        [ids.user.real, ids.user.effective, ids.user.saved, ids.user.file]
    }

    #[test]
    fn root_becomes_anybody_and_not_root_again() {
        let mut ids = Ids::new(0, 0, vec![]);
        assert_eq!(ids.set(Kind::Group, Some(5)), Ok(()));
        assert_eq!(ids.set(Kind::User, Some(1000)), Ok(()));
        assert_eq!(user(&ids), [1000; 4]);
        assert_eq!(ids.set(Kind::User, Some(0)), Err(Errno::PERM));
        assert_eq!(ids.set(Kind::User, None), Err(Errno::INVAL));
        assert_eq!(ids.set_groups(vec![1]), Err(Errno::PERM));
        assert_eq!(ids.set_three(Kind::User, [Some(1000), None, Some(0)]), Err(Errno::PERM));
        assert_eq!(ids.set_two(Kind::Group, Some(5), Some(6)), Err(Errno::PERM));
    }

    #[test]
    fn an_effective_id_is_put_on_and_off() {
        // What apt does before it fetches.
        let mut ids = Ids::new(0, 0, vec![0]);
        assert_eq!(ids.set_groups(vec![65534]), Ok(()));
        assert_eq!(ids.set_three(Kind::Group, [None, Some(65534), None]), Ok(()));
        assert_eq!(ids.set_three(Kind::User, [None, Some(42), None]), Ok(()));
        assert_eq!(user(&ids), [0, 42, 0, 42]);
        assert_eq!(ids.set_three(Kind::User, [None, Some(0), None]), Ok(()), "the saved id");
        assert_eq!(ids.set_two(Kind::User, Some(42), Some(42)), Ok(()));
        assert_eq!(user(&ids), [42; 4], "setreuid saves the effective id");
        assert_eq!(ids.set_two(Kind::User, None, Some(0)), Err(Errno::PERM));
    }

    #[test]
    fn setreuid_swaps() {
        let mut ids = Ids::new(0, 0, vec![]);
        ids.set_three(Kind::User, [Some(7), Some(8), Some(8)]).unwrap();
        assert_eq!(ids.set_two(Kind::User, Some(8), Some(7)), Ok(()));
        assert_eq!(user(&ids), [8, 7, 7, 7]);
    }

    #[test]
    fn capabilities_are_kept_until_the_next_program() {
        // What setpriv does: the user first.
        let mut ids = Ids::new(0, 0, vec![]);
        ids.keep_capabilities = true;
        assert_eq!(ids.set_three(Kind::User, [Some(33); 3]), Ok(()));
        assert_eq!(ids.set_three(Kind::Group, [Some(34); 3]), Ok(()));
        assert_eq!(ids.set_groups(vec![]), Ok(()));
        ids.executed();
        assert_eq!(ids.set(Kind::User, Some(0)), Err(Errno::PERM));
    }

    #[test]
    fn setfsuid_answers_with_the_old_one() {
        let mut ids = Ids::new(0, 0, vec![]);
        assert_eq!(ids.set_file(Kind::User, Some(3)), 0);
        assert_eq!(ids.set_file(Kind::User, None), 3);
        ids.set(Kind::User, Some(9)).unwrap();
        assert_eq!(ids.set_file(Kind::User, Some(3)), 9);
        assert_eq!(ids.set_file(Kind::User, Some(9)), 9);
    }
}
