use libc::{EACCES, ENETUNREACH, ENOSYS, EPERM, sock_filter};

use super::{
    Filter, Profile,
    arch::{AARCH64, ARM, Arch, I386, X86_64},
    calls::{CALLS, LAST, NONE},
    rule::Answer,
};

/// A system call as a filter sees it.
struct Call {
    number: u32,
    audit: u32,
    arguments: [u64; 6],
}

impl Call {
    fn word(&self, offset: u32) -> u32 {
        match offset {
            0 => self.number,
            4 => self.audit,
            16.. => {
                let argument = self.arguments[(offset as usize - 16) / 8];
                (if offset.is_multiple_of(8) { argument } else { argument >> 32 }) as u32
            }
            _ => panic!("no filter reads offset {offset}"),
        }
    }
}

/// Runs a program as the kernel does; only the instructions that ours have.
fn run(program: &[sock_filter], call: &Call) -> u32 {
    let (mut at, mut value) = (0, 0);
    loop {
        let instruction = program[at];
        at += 1;
        let k = instruction.k;
        let taken = match u32::from(instruction.code) {
            0x20 => {
                value = call.word(k);
                continue;
            }
            0x54 => {
                value &= k;
                continue;
            }
            0x06 => return k,
            0x05 => {
                at += k as usize;
                continue;
            }
            0x15 => value == k,
            0x35 => value >= k,
            0x45 => value & k != 0,
            other => panic!("instruction {other:#x} at {}", at - 1),
        };
        at += usize::from(if taken { instruction.jt } else { instruction.jf });
    }
}

const ALL: [Arch; 4] = [X86_64, I386, AARCH64, ARM];

fn answer(profile: &Profile, arch: Arch, name: &str, arguments: &[u64]) -> u32 {
    let number = arch.number_of(name).unwrap_or_else(|| panic!("{name} on {arch:?}"));
    answer_to(profile, arch, number, arguments)
}

fn answer_to(profile: &Profile, arch: Arch, number: u32, arguments: &[u64]) -> u32 {
    answer_of(&program(profile, arch), arch, number, arguments)
}

fn program(profile: &Profile, arch: Arch) -> Filter {
    profile.compile_for(&if arch == X86_64 || arch == I386 { [X86_64, I386] } else { [AARCH64, ARM] })
}

fn answer_of(program: &Filter, arch: Arch, number: u32, arguments: &[u64]) -> u32 {
    let mut all = [0; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    run(&program.0, &Call { number, audit: arch.audit, arguments: all })
}

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const DENY: u32 = libc::SECCOMP_RET_ERRNO | EPERM as u32;
const NO_CALL: u32 = libc::SECCOMP_RET_ERRNO | ENOSYS as u32;

#[test]
fn every_call_of_the_table_has_its_rule_on_every_architecture() {
    let profile = Profile::commands();
    for arch in ALL {
        let program = program(&profile, arch);
        for (name, numbers) in CALLS {
            let Some(number) = arch.number(numbers) else { continue };
            let expected = match *name {
                "io_uring_setup" => DENY,
                "clone3" => NO_CALL,
                _ => ALLOW,
            };
            assert_eq!(answer_of(&program, arch, number, &[]), expected, "{name} on {arch:?}");
        }
    }
}

#[test]
fn every_other_call_is_refused() {
    let profile = Profile::commands();
    for arch in ALL {
        let program = program(&profile, arch);
        let known: Vec<u32> = CALLS.iter().filter_map(|(_, numbers)| arch.number(numbers)).collect();
        for number in (0..=LAST).filter(|number| !known.contains(number)) {
            assert_eq!(answer_of(&program, arch, number, &[]), DENY, "{number} on {arch:?}");
        }
        for number in [LAST + 1, 1000, 0x3fff_ffff, 0x4000_0000, 0x4000_0001, u32::MAX] {
            assert_eq!(answer_of(&program, arch, number, &[]), NO_CALL, "{number:#x} on {arch:?}");
        }
    }
}

#[test]
fn refuses_the_dangerous_by_number() {
    // Numbers of x86_64: mount, umount2, pivot_root, reboot, swapon, init_module, delete_module, kexec_load, bpf,
    // perf_event_open, unshare, setns, open_by_handle_at, keyctl, add_key, request_key, userfaultfd, io_uring_setup,
    // pidfd_getfd, fsopen, move_mount, open_tree, settimeofday, acct, iopl, ioperm, quotactl, syslog, sethostname, vhangup.
    let numbers = [
        165, 166, 155, 169, 167, 175, 176, 246, 321, 298, 272, 308, 304, 250, 248, 249, 323, 425, 438, 430,
        429, 428, 164, 163, 172, 173, 179, 103, 170, 153,
    ];
    let profile = Profile::commands();
    for number in numbers {
        assert_eq!(answer_to(&profile, X86_64, number, &[]), DENY, "{number}");
    }
}

#[test]
fn looks_at_arguments() {
    let profile = Profile::commands();
    let cases: &[(&str, &[u64], u32)] = &[
        ("socket", &[1, 1, 0], ALLOW),
        ("socket", &[2, 1, 0], ALLOW),
        ("socket", &[16, 3, 0], ALLOW),
        ("socket", &[17, 3, 0], ALLOW),
        ("socket", &[12, 1, 0], DENY),
        ("socket", &[38, 5, 0], DENY),
        ("socket", &[40, 1, 0], DENY),
        ("socket", &[45, 1, 0], ALLOW),
        ("socket", &[46, 1, 0], DENY),
        ("socket", &[0x1_0000_0002, 1, 0], DENY),
        ("personality", &[0], ALLOW),
        ("personality", &[8], ALLOW),
        ("personality", &[0x2_0008], ALLOW),
        ("personality", &[0xffff_ffff], ALLOW),
        ("personality", &[0x4_0000], DENY),
        ("personality", &[u64::MAX], DENY),
        ("clone", &[0x11], ALLOW),
        ("clone", &[0x3d_0f00], ALLOW),
        ("clone", &[0x1000_0011], DENY),
        ("clone", &[0x2_0000], DENY),
        ("clone", &[0x4000_0000], DENY),
        ("clone", &[0xf_0000_0011], ALLOW),
        ("clone3", &[0, 88], NO_CALL),
        ("mknod", &[0, 0o60600, 0x800], ALLOW),
    ];
    for arch in ALL {
        for (name, arguments, expected) in cases {
            if arch.number_of(name).is_none() || (arch.narrow && arguments[0] > u64::from(u32::MAX)) {
                continue;
            }
            assert_eq!(
                answer(&profile, arch, name, arguments),
                *expected,
                "{name} {arguments:x?} on {arch:?}"
            );
        }
    }
}

#[test]
fn ends_programs_of_unknown_architectures() {
    let filter = Profile::commands().compile_for(&[X86_64, I386]);
    let call = Call { number: 0, audit: AARCH64.audit, arguments: [0; 6] };
    assert_eq!(run(&filter.0, &call), Answer::Kill.value());
}

#[test]
fn takes_the_network_away() {
    let unreachable = libc::SECCOMP_RET_ERRNO | ENETUNREACH as u32;
    for profile in [Profile::open().without_network(), Profile::commands().without_network()] {
        for arch in ALL {
            for (family, expected) in [(1, ALLOW), (2, unreachable), (10, unreachable), (16, ALLOW)] {
                assert_eq!(answer(&profile, arch, "socket", &[family]), expected, "{family} on {arch:?}");
            }
        }
        assert_eq!(answer(&profile, I386, "socketcall", &[1]), unreachable);
        assert_eq!(answer(&profile, I386, "socketcall", &[2]), ALLOW);
        let uring = answer(&profile, X86_64, "io_uring_setup", &[]);
        assert_eq!(uring, libc::SECCOMP_RET_ERRNO | EACCES as u32);
    }
    // The kernel cuts the family to 32 bits: so must we.
    let open = Profile::open().without_network();
    assert_eq!(answer(&open, X86_64, "socket", &[0x1_0000_0002]), unreachable);
    assert_eq!(answer_to(&open, X86_64, 0x4000_0029, &[2]), NO_CALL, "x32's socket");
    assert_eq!(answer_to(&open, X86_64, 165, &[]), ALLOW, "mount");
}

#[test]
fn passes_ids_and_owners_on() {
    let profile = Profile::commands().with_fake_root(crate::sandbox::fakeroot::calls());
    let pretended = libc::SECCOMP_RET_ERRNO;
    let cases: &[(Arch, &str, &[u64], u32)] = &[
        (X86_64, "chown", &[], libc::SECCOMP_RET_USER_NOTIF),
        (X86_64, "getuid", &[], libc::SECCOMP_RET_USER_NOTIF),
        (X86_64, "capset", &[], ALLOW),
        (X86_64, "mknod", &[0, 0o20666, 0x103], pretended),
        (X86_64, "mknodat", &[0, 0, 0o60600, 0x800], pretended),
        (X86_64, "mknodat", &[0, 0, 0o10600, 0], ALLOW),
        (X86_64, "mknod", &[0, 0o644], ALLOW),
        (X86_64, "mount", &[], DENY),
        (I386, "setuid32", &[], libc::SECCOMP_RET_USER_NOTIF),
        (AARCH64, "fchownat", &[], libc::SECCOMP_RET_USER_NOTIF),
    ];
    for (arch, name, arguments, expected) in cases {
        let number = arch.number_of(name).unwrap_or(165);
        assert_eq!(
            answer_to(&profile, *arch, number, arguments),
            *expected,
            "{name} {arguments:x?} on {arch:?}"
        );
    }
}

#[test]
fn fits_the_kernel() {
    let profile = Profile::commands().with_fake_root(crate::sandbox::fakeroot::calls());
    for host in [[X86_64, I386], [AARCH64, ARM]] {
        let length = profile.compile_for(&host).0.len();
        assert!(length < 4096, "{length}");
    }
}

#[test]
fn has_one_row_a_call_and_the_numbers_of_the_host() {
    assert!(CALLS.is_sorted_by(|a, b| a.0 < b.0));
    for column in 0..4 {
        let mut numbers: Vec<u32> = CALLS.iter().map(|row| row.1[column]).filter(|n| *n != NONE).collect();
        let all = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), all, "column {column} names a number twice");
    }
    let spots = [
        ("read", libc::SYS_read),
        ("openat2", libc::SYS_openat2),
        ("fchownat", libc::SYS_fchownat),
        ("statx", libc::SYS_statx),
        ("clone", libc::SYS_clone),
        ("seccomp", libc::SYS_seccomp),
    ];
    for (name, number) in spots {
        assert_eq!(super::HOST[0].number_of(name).map(i64::from), Some(number), "{name}");
    }
}
