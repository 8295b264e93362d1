//! Programs of the kernel's classic packet filter, put together from pieces. Every piece ends in an answer on every
//! path and jumps only inside itself, so that pieces can stand anywhere.

use libc::{
    BPF_ABS, BPF_ALU, BPF_AND, BPF_JA, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W,
    sock_filter,
};

/// A piece of a program.
pub(super) type Code = Vec<sock_filter>;

/// A test of the accumulator.
#[derive(Debug, Clone, Copy)]
pub(super) enum Test {
    Equal(u32),
    AtLeast(u32),
    AnyBit(u32),
}

fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    // The classes and modes are all below 0x100.
    sock_filter { code: (code & 0xffff) as u16, jt, jf, k }
}

/// Answers.
pub(super) fn answer(value: u32) -> Code {
    vec![instruction(BPF_RET | BPF_K, value, 0, 0)]
}

/// Loads 32 bits of the call's description, at this offset in `struct seccomp_data`, then goes on.
pub(super) fn load(offset: u32, then: Code) -> Code {
    prefix(instruction(BPF_LD | BPF_W | BPF_ABS, offset, 0, 0), then)
}

/// Clears the bits that are not in the mask, then goes on.
pub(super) fn mask(bits: u32, then: Code) -> Code {
    if bits == u32::MAX { then } else { prefix(instruction(BPF_ALU | BPF_AND | BPF_K, bits, 0, 0), then) }
}

/// Goes on with one of two pieces.
pub(super) fn branch(test: Test, yes: Code, no: Code) -> Code {
    let (kind, value) = match test {
        Test::Equal(value) => (BPF_JEQ, value),
        Test::AtLeast(value) => (BPF_JGE, value),
        Test::AnyBit(value) => (BPF_JSET, value),
    };
    let code = BPF_JMP | kind | BPF_K;
    let mut all = Vec::with_capacity(yes.len() + no.len() + 2);
    match u8::try_from(yes.len()) {
        Ok(distance) => all.push(instruction(code, value, 0, distance)),
        // Conditional jumps reach 255 instructions; the unconditional one reaches all.
        Err(_) => {
            all.push(instruction(code, value, 1, 0));
            all.push(instruction(BPF_JMP | BPF_JA, yes.len() as u32, 0, 0));
        }
    }
    all.extend(yes);
    all.extend(no);
    all
}

/// Finds by halving which of the ascending beginnings the accumulator is not below, and goes on with the code of what
/// begins there. The first beginning is taken to be 0.
pub(super) fn search<T>(pieces: &[(u32, T)], code: impl Fn(&T) -> Code + Copy) -> Code {
    match pieces {
        [] => Vec::new(),
        [(_, only)] => code(only),
        _ => {
            let (below, from) = pieces.split_at(pieces.len() / 2);
            branch(Test::AtLeast(from[0].0), search(from, code), search(below, code))
        }
    }
}

fn prefix(first: sock_filter, mut then: Code) -> Code {
    then.insert(0, first);
    then
}
