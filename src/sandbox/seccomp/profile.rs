//! Which system calls a command may make: a value that is changed by name, then compiled.

use std::collections::HashMap;

use libc::{AF_INET, AF_INET6, EACCES, ENETUNREACH, ENOSYS, EPERM};

use super::{
    Filter,
    arch::{self, Arch},
    bpf::{self, Code, Test},
    calls::{CALLS, LAST},
    rule::{self, Answer, Argument, Rule},
};

/// Address families that may be had: all but the abandoned ones, the kernel's cryptography and those that reach a
/// hypervisor.
const FAMILIES: [(u32, u32); 8] =
    [(0, 11), (13, 18), (21, 22), (24, 24), (26, 33), (35, 36), (39, 39), (41, 45)];

/// Linux, with short inode numbers or not, on this machine or as 32 bits; the last asks without setting.
const PERSONALITIES: [u32; 5] = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// `CLONE_NEW*`: mount, cgroup, uts, ipc, user, pid and network namespaces.
const NEW_NAMESPACES: u64 = 0x7e02_0000;

/// Of `CALLS`, those that are there to be ruled out by name.
const NOT_ALLOWED: [&str; 1] = ["io_uring_setup"];

/// `SYS_SOCKET`, the first of the calls that 32-bit programs make through `socketcall`.
const SOCKETCALL_SOCKET: u32 = 1;

/// Rules for system calls by name.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Profile {
    rules: HashMap<&'static str, Rule>,
    /// For calls without a rule.
    otherwise: Answer,
    /// For calls that are newer than the table.
    newer: Answer,
}

impl Profile {
    /// What BuildKit lets a command do by default: moby's profile, for its 14 capabilities.
    pub(in crate::sandbox) fn commands() -> Self {
        let allowed = CALLS.iter().map(|(name, _)| *name).filter(|name| !NOT_ALLOWED.contains(name));
        let mut rules: HashMap<_, _> = allowed.map(|name| (name, Rule::Always(Answer::Allow))).collect();
        let deny = Answer::Errno(EPERM);
        let families = FAMILIES.map(|(first, last)| (first, last, Answer::Allow)).to_vec();
        let personalities = PERSONALITIES.map(|value| (value, value, Answer::Allow)).to_vec();
        rules.insert("socket", argument(0, u64::MAX, families, deny));
        rules.insert("personality", argument(0, u64::MAX, personalities, deny));
        rules.insert("clone", argument(0, NEW_NAMESPACES, vec![(0, 0, Answer::Allow)], deny));
        // Its flags lie in memory, where no filter can look; the libraries then use clone.
        rules.insert("clone3", Rule::Always(Answer::Errno(ENOSYS)));
        Self { rules, otherwise: deny, newer: Answer::Errno(ENOSYS) }
    }

    /// Everything is allowed.
    pub(in crate::sandbox) fn open() -> Self {
        Self { rules: HashMap::new(), otherwise: Answer::Allow, newer: Answer::Allow }
    }

    /// The same without internet sockets, for where a network namespace cannot be had. Loopback is gone too.
    pub(in crate::sandbox) fn without_network(mut self) -> Self {
        let unreachable = Answer::Errno(ENETUNREACH);
        let mut socket = match self.rules.remove("socket") {
            Some(Rule::Argument(socket)) => socket,
            // The kernel looks at the lower half only.
            _ => Argument { index: 0, mask: 0xffff_ffff, answers: Vec::new(), otherwise: Answer::Allow },
        };
        for family in [AF_INET as u32, AF_INET6 as u32] {
            socket.answers.insert(0, (family, family, unreachable));
        }
        self.rules.insert("socket", Rule::Argument(socket));
        // Its family lies in memory.
        let call = vec![(SOCKETCALL_SOCKET, SOCKETCALL_SOCKET, unreachable)];
        self.rules.insert("socketcall", argument(0, 0xffff_ffff, call, Answer::Allow));
        // It can open sockets as well.
        self.rules.insert("io_uring_setup", Rule::Always(Answer::Errno(EACCES)));
        self
    }

    /// The same with the supervisor answering these calls (of `prctl`, only `PR_SET_KEEPCAPS`), and with device nodes made in appearance only.
    pub(in crate::sandbox) fn with_fake_root(mut self, calls: impl Iterator<Item = &'static str>) -> Self {
        for name in calls {
            self.rules.insert(name, Rule::Always(Answer::Notify));
        }
        let keep = libc::PR_SET_KEEPCAPS as u32;
        let keep = vec![(keep, keep, Answer::Notify)];
        self.rules.insert("prctl", argument(0, 0xffff_ffff, keep, Answer::Allow));
        let devices = || [libc::S_IFCHR, libc::S_IFBLK].map(|kind| (kind, kind, Answer::Errno(0))).to_vec();
        self.rules.insert("mknod", argument(1, u64::from(libc::S_IFMT), devices(), Answer::Allow));
        self.rules.insert("mknodat", argument(2, u64::from(libc::S_IFMT), devices(), Answer::Allow));
        self
    }

    /// As a program of the kernel.
    pub(in crate::sandbox) fn compile(&self) -> Filter {
        self.compile_for(arch::HOST)
    }

    pub(super) fn compile_for(&self, arches: &[Arch]) -> Filter {
        if arches.is_empty() {
            return Filter(Vec::new());
        }
        let unknown = bpf::answer(Answer::Kill.value());
        let code = arches
            .iter()
            .rev()
            .fold(unknown, |others, arch| bpf::branch(Test::Equal(arch.audit), self.numbers(*arch), others));
        Filter(bpf::load(rule::ARCH, code))
    }

    fn numbers(&self, arch: Arch) -> Code {
        let rules: HashMap<u32, &Rule> = CALLS
            .iter()
            .filter_map(|(name, numbers)| Some((arch.number(numbers)?, self.rules.get(name)?)))
            .collect();
        let otherwise = Rule::Always(self.otherwise);
        let newer = Rule::Always(self.newer);
        let no_such_call = Rule::Always(Answer::Errno(ENOSYS));
        let starts = rules.keys().flat_map(|number| [*number, number + 1]);
        let starts = starts.chain([LAST + 1]).chain(arch.second_set);
        let pieces = rule::pieces(starts, |number| {
            let second = arch.second_set.is_some_and(|start| number >= start);
            let rule = if second { Some(&no_such_call) } else { rules.get(&number).copied() };
            rule.unwrap_or(if number > LAST { &newer } else { &otherwise })
        });
        bpf::load(rule::NUMBER, bpf::search(&pieces, |rule| rule.code()))
    }
}

fn argument(index: u32, mask: u64, answers: Vec<(u32, u32, Answer)>, otherwise: Answer) -> Rule {
    Rule::Argument(Argument { index, mask, answers, otherwise })
}
