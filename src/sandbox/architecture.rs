//! What the programs of an architecture look like, and the smallest one of each.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::OwnedFd,
    process::{Command, Stdio},
};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use serde::{Deserialize, Serialize};

use super::trial::{self, LIMIT};

/// The length of the part of an ELF header that tells what a file is for: up to `e_machine`.
pub(super) const TOLD: usize = 20;

/// A program that is its own standard input.
pub(super) const SELF_AS_INPUT: &str = "/proc/self/fd/0";

/// An architecture whose programs can be emulated (ELF specification, "ELF Header"; the numbers of `e_machine`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Architecture {
    /// 32-bit x86.
    I386,
    /// 64-bit x86.
    Amd64,
    /// 32-bit ARM, little endian.
    Arm,
    /// 64-bit ARM, little endian.
    Arm64,
    /// 64-bit RISC-V.
    Riscv64,
    /// 64-bit IBM Z.
    S390x,
    /// 64-bit Power, little endian.
    Ppc64le,
    /// 64-bit LoongArch.
    Loong64,
}

impl Architecture {
    /// All.
    pub const ALL: [Self; 8] = [
        Self::Amd64,
        Self::Arm64,
        Self::Arm,
        Self::I386,
        Self::Loong64,
        Self::Ppc64le,
        Self::Riscv64,
        Self::S390x,
    ];

    /// The one that platforms call by this name (Go's `GOARCH`).
    pub fn of_platform(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|architecture| architecture.name() == name)
    }

    /// That of this program.
    pub fn host() -> Option<Self> {
        // What Rust calls them is one more list of names; what it was compiled to is in the file.
        let identity = machine_of(File::open("/proc/self/exe").ok()?)?;
        Self::ALL.into_iter().find(|known| known.identity() == identity)
    }

    /// The name that platforms have for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::I386 => "386",
            Self::Amd64 => "amd64",
            Self::Arm => "arm",
            Self::Arm64 => "arm64",
            Self::Riscv64 => "riscv64",
            Self::S390x => "s390x",
            Self::Ppc64le => "ppc64le",
            Self::Loong64 => "loong64",
        }
    }

    /// The name that QEMU has for it.
    pub fn qemu(self) -> &'static str {
        match self {
            Self::I386 => "i386",
            Self::Amd64 => "x86_64",
            Self::Arm => "arm",
            Self::Arm64 => "aarch64",
            Self::Riscv64 => "riscv64",
            Self::S390x => "s390x",
            Self::Ppc64le => "ppc64le",
            Self::Loong64 => "loongarch64",
        }
    }

    /// `EI_CLASS` in bits, whether `EI_DATA` is big endian, and `e_machine`.
    fn identity(self) -> (u8, bool, u16) {
        match self {
            Self::I386 => (32, false, 3),
            Self::Amd64 => (64, false, 62),
            Self::Arm => (32, false, 40),
            Self::Arm64 => (64, false, 183),
            Self::Riscv64 => (64, false, 243),
            Self::S390x => (64, true, 22),
            Self::Ppc64le => (64, false, 21),
            Self::Loong64 => (64, false, 258),
        }
    }

    /// How its programs begin, and which bits of that count: all but the ABI's, and `ET_EXEC` is as good as `ET_DYN`.
    pub(super) fn magic(self) -> ([u8; TOLD], [u8; TOLD]) {
        const EXECUTABLE: u16 = 2;
        const EITHER: u16 = !1;
        let mut mask = [0xff; TOLD];
        mask[7..16].fill(0);
        mask[16..18].copy_from_slice(&self.bytes(EITHER));
        (self.beginning(EXECUTABLE), mask)
    }

    fn beginning(self, kind: u16) -> [u8; TOLD] {
        let (bits, big, machine) = self.identity();
        let mut header = [0; TOLD];
        header[..4].copy_from_slice(b"\x7fELF");
        header[4..7].copy_from_slice(&[if bits == 64 { 2 } else { 1 }, if big { 2 } else { 1 }, 1]);
        header[16..18].copy_from_slice(&self.bytes(kind));
        header[18..20].copy_from_slice(&self.bytes(machine));
        header
    }

    fn bytes(self, number: u16) -> [u8; 2] {
        if self.identity().1 { number.to_be_bytes() } else { number.to_le_bytes() }
    }

    /// Whether this host runs its programs by itself: the processor can, or somebody has told the kernel how. Tried with
    /// the smallest program that there can be. Blocks.
    ///
    /// # Errors
    /// Why not.
    pub fn runs_here(self) -> io::Result<()> {
        trial::run(Command::new(SELF_AS_INPUT).stdin(self.trial()?), LIMIT).map(drop)
    }

    /// The smallest program, to be given as the standard input of whatever runs it: as [`SELF_AS_INPUT`] it has a name that
    /// an emulator, too, finds.
    pub(super) fn trial(self) -> io::Result<Stdio> {
        Ok(memory_file("imgbuild-trial", &self.smallest())?.into())
    }

    /// A program that ends with status 0 and does nothing else.
    pub(super) fn smallest(self) -> Vec<u8> {
        let (bits, big, _) = self.identity();
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        // The number of `exit` and its argument in the registers of the system call's convention, and the call.
        let code = match self {
            Self::I386 => vec![0x31, 0xdb, 0xb8, 1, 0, 0, 0, 0xcd, 0x80],
            Self::Amd64 => vec![0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05],
            Self::Arm => words(&[0xe3a0_0000, 0xe3a0_7001, 0xef00_0000]),
            Self::Arm64 => words(&[0xd280_0000, 0xd280_0ba8, 0xd400_0001]),
            Self::Riscv64 => words(&[0x0000_0513, 0x05d0_0893, 0x0000_0073]),
            Self::S390x => vec![0xa7, 0x29, 0, 0, 0x0a, 1],
            Self::Ppc64le => words(&[0x3860_0000, 0x3800_0001, 0x4400_0002]),
            Self::Loong64 => words(&[0x0280_0004, 0x0281_740b, 0x002b_0000]),
        };
        let flags: u32 = match self {
            Self::Arm => 0x0500_0000,
            Self::Ppc64le => 2,
            Self::Loong64 => 0x43,
            _ => 0,
        };
        let (header, entry) = if bits == 64 { (64_u64, 56_u64) } else { (52, 32) };
        // Loaded where a page begins on every one of them.
        let base = 0x0040_0000_u64;
        let start = header + entry;
        let size = start + code.len() as u64;
        let mut file = self.beginning(2).to_vec();
        let mut put = |bytes: usize, value: u64| {
            let (le, be) = (value.to_le_bytes(), value.to_be_bytes());
            file.extend_from_slice(if big { &be[8 - bytes..] } else { &le[..bytes] });
        };
        let word = usize::from(bits / 8);
        put(4, 1);
        put(word, base + start);
        put(word, header);
        put(word, 0);
        put(4, flags.into());
        for half in [header, entry, 1, 0, 0, 0] {
            put(2, half);
        }
        // One segment that is loaded (`PT_LOAD`) to be read and executed: its flags lie elsewhere in the smaller form.
        put(4, 1);
        if bits == 64 {
            put(4, 5);
        }
        for value in [0, base, base, size, size] {
            put(word, value);
        }
        if bits == 32 {
            put(4, 5);
        }
        put(word, 0x1_0000);
        file.extend_from_slice(&code);
        file
    }
}

impl std::fmt::Display for Architecture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The identity of the program that a file is.
fn machine_of(mut file: impl io::Read) -> Option<(u8, bool, u16)> {
    let mut header = [0; TOLD];
    file.read_exact(&mut header).ok()?;
    if !header.starts_with(b"\x7fELF") {
        return None;
    }
    let (bits, big) = (if header[4] == 2 { 64 } else { 32 }, header[5] == 2);
    let machine = [header[18], header[19]];
    Some((bits, big, if big { u16::from_be_bytes(machine) } else { u16::from_le_bytes(machine) }))
}

/// What a file is a program for: the architecture's name, or its number where that has none here; `None` if it is none.
pub(super) fn program_for(file: impl io::Read) -> Option<String> {
    let identity = machine_of(file)?;
    let known = Architecture::ALL.into_iter().find(|known| known.identity() == identity);
    Some(known.map_or_else(|| format!("ELF machine {}", identity.2), |known| known.name().to_owned()))
}

/// A file in memory, which can be executed wherever files may not be, and changed by nobody.
pub(super) fn memory_file(name: &str, content: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    file.write_all(content)?;
    fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use std::os::{fd::AsRawFd, unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn programs_are_known_by_their_headers() {
        for architecture in Architecture::ALL {
            let program = architecture.smallest();
            assert_eq!(program_for(&program[..]).as_deref(), Some(architecture.name()));
            let (magic, mask) = architecture.magic();
            let fits = |program: &[u8]| (0..TOLD).all(|at| program[at] & mask[at] == magic[at] & mask[at]);
            assert!(fits(&program), "{architecture}");
            let others = Architecture::ALL.into_iter().filter(|other| *other != architecture);
            others.for_each(|other| assert!(!fits(&other.smallest()), "{architecture}, {other}"));
            assert_eq!(Architecture::of_platform(architecture.name()), Some(architecture));
        }
        assert_eq!(program_for(&b"#!/bin/sh\n and more than that"[..]), None);
        // The registration that distributions have for it.
        let (magic, mask) = Architecture::Arm64.magic();
        assert_eq!(magic[..8], *b"\x7fELF\x02\x01\x01\x00");
        assert_eq!((&magic[16..], &mask[16..]), (&[2, 0, 0xb7, 0][..], &[0xfe, 0xff, 0xff, 0xff][..]));
    }

    #[test]
    fn nobody_writes_to_what_is_shared() {
        let file = memory_file("shared", b"all of it").unwrap();
        let again = format!("/proc/self/fd/{}", file.as_raw_fd());
        assert!(File::from(file.try_clone().unwrap()).write_all(b"x").is_err());
        assert!(std::fs::write(&again, b"x").is_err());
        assert_eq!(std::fs::read(&again).unwrap(), b"all of it");
    }

    #[test]
    fn the_smallest_programs_end_well() {
        let host = Architecture::host().unwrap();
        host.runs_here().unwrap();
        for architecture in Architecture::ALL {
            // Those that are installed.
            let emulator = format!("/usr/bin/qemu-{}-static", architecture.qemu());
            if std::path::Path::new(&emulator).exists() {
                let program = tempfile::NamedTempFile::new().unwrap();
                std::fs::write(program.path(), architecture.smallest()).unwrap();
                let executable = std::fs::Permissions::from_mode(0o755);
                std::fs::set_permissions(program.path(), executable).unwrap();
                let output = Command::new(emulator).arg(program.path()).output().unwrap();
                assert!(output.status.success(), "{architecture}: {output:?}");
            }
        }
    }
}
