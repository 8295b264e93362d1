//! What is answered to a system call.

use libc::{SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_USER_NOTIF, c_int};

use super::bpf::{self, Code, Test};

/// An answer to a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is carried out.
    Allow,
    /// It returns at once with this error; 0 is success.
    Errno(c_int),
    /// The supervisor answers.
    Notify,
    /// The process ends.
    Kill,
}

impl Answer {
    /// As the kernel's filter gives it.
    pub(super) fn value(self) -> u32 {
        match self {
            Self::Allow => SECCOMP_RET_ALLOW,
            // Error numbers are below 4096.
            Self::Errno(number) => SECCOMP_RET_ERRNO | number as u32,
            Self::Notify => SECCOMP_RET_USER_NOTIF,
            Self::Kill => SECCOMP_RET_KILL_PROCESS,
        }
    }

    fn code(self) -> Code {
        bpf::answer(self.value())
    }
}

/// The rule for one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rule {
    /// One answer.
    Always(Answer),
    /// By an argument.
    Argument(Argument),
}

/// A rule that looks at one argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Argument {
    /// Which, from 0.
    pub(super) index: u32,
    /// The bits that count.
    pub(super) mask: u64,
    /// Inclusive ranges of the masked value's lower half, where its upper half is 0; the first that fits counts.
    pub(super) answers: Vec<(u32, u32, Answer)>,
    /// The answer where none fits.
    pub(super) otherwise: Answer,
}

impl Rule {
    /// The program piece.
    pub(super) fn code(&self) -> Code {
        match self {
            Self::Always(answer) => answer.code(),
            Self::Argument(argument) => argument.code(),
        }
    }
}

/// Where the number, the architecture and the arguments lie in `struct seccomp_data`.
pub(super) const NUMBER: u32 = 0;
pub(super) const ARCH: u32 = 4;
const ARGUMENTS: u32 = 16;

impl Argument {
    fn code(&self) -> Code {
        let offset = ARGUMENTS + 8 * self.index;
        // Both known hosts are little-endian.
        let (lower, upper) = (offset, offset + 4);
        let starts =
            self.answers.iter().flat_map(|(first, last, _)| [Some(*first), last.checked_add(1)]).flatten();
        let pieces = pieces(starts, |value| self.lower(value));
        let code =
            bpf::load(lower, bpf::mask(self.mask as u32, bpf::search(&pieces, |answer| answer.code())));
        match (self.mask >> 32) as u32 {
            0 => code,
            bits => bpf::load(upper, bpf::branch(Test::AnyBit(bits), self.otherwise.code(), code)),
        }
    }

    fn lower(&self, value: u32) -> Answer {
        let found = self.answers.iter().find(|(first, last, _)| (*first..=*last).contains(&value));
        found.map_or(self.otherwise, |(_, _, answer)| *answer)
    }
}

/// The pieces of a function of a number that changes its value only at the given starts; neighbours that are alike
/// become one.
pub(super) fn pieces<T: PartialEq>(
    starts: impl Iterator<Item = u32>,
    value: impl Fn(u32) -> T,
) -> Vec<(u32, T)> {
    let mut starts: Vec<u32> = std::iter::once(0).chain(starts).collect();
    starts.sort_unstable();
    starts.dedup();
    let mut pieces: Vec<(u32, T)> = starts.into_iter().map(|start| (start, value(start))).collect();
    pieces.dedup_by(|next, kept| next.1 == kept.1);
    pieces
}
