//! Emulators: programs that run the programs of another platform.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::{AsRawFd, OwnedFd},
    path::PathBuf,
    process::{Command, Stdio},
};

use serde::{Deserialize, Serialize};

use super::{
    Architecture,
    architecture::{SELF_AS_INPUT, memory_file, program_for},
    fault::Fault,
    trial::{self, LIMIT},
};

/// A program that runs the programs of another platform (QEMU's user mode, or what is called as it is).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Emulator {
    /// Whose programs it runs.
    pub architecture: Architecture,
    /// The file of the host: a program that needs no others (statically linked). It need not be executable.
    pub path: PathBuf,
}

/// An emulator that was read while the host's files were in sight.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) architecture: Architecture,
    pub(super) file: OwnedFd,
}

impl Emulator {
    /// The size of the largest, in bytes: those of distributions take some ten megabytes.
    pub const LARGEST: u64 = 256 << 20;

    /// Reads it into memory, for where it lies files may not be executable, and a step that is root could write to what
    /// its programs are run by.
    pub(super) fn open(&self) -> Result<Opened, Fault> {
        let open = || memory_file("emulator", &self.read()?);
        let file = open().map_err(Fault::of(format!("read the emulator {}", self.path.display())))?;
        Ok(Opened { architecture: self.architecture, file })
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(&self.path)?.take(Self::LARGEST).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Whether it is a program that can be used in any root file system. Blocks.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self) -> io::Result<()> {
        fit(&self.read()?).map_err(io::Error::other)
    }

    /// Runs the smallest program of its architecture with it, as whoever runs this. Blocks, but some seconds at the most.
    ///
    /// # Errors
    /// Why it does not run it.
    pub fn try_out(&self) -> io::Result<()> {
        self.run(SELF_AS_INPUT, self.architecture.trial()?).map(drop)
    }

    /// The first line of what it says of its version; `None` too if it takes longer than some seconds to say it. Blocks.
    pub fn version(&self) -> Option<String> {
        let said = self.run("--version", Stdio::null()).ok()?;
        let line = String::from_utf8_lossy(&said).lines().next().unwrap_or_default().trim().to_owned();
        (!line.is_empty()).then_some(line)
    }

    fn run(&self, argument: &str, input: Stdio) -> io::Result<Vec<u8>> {
        let program = memory_file("emulator", &self.read()?)?;
        let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
        trial::run(command.arg(argument).env_clear().stdin(input), LIMIT)
    }
}

/// What keeps a file from being an emulator for all root file systems.
fn fit(file: &[u8]) -> Result<(), String> {
    let host = Architecture::host().map_or("this host", Architecture::name);
    match program_for(file) {
        None => Err("it is no program".to_owned()),
        Some(other) if other != host => Err(format!("it is a program for {other}, and this host is {host}")),
        Some(_) if asks_for_a_loader(file).unwrap_or(true) => {
            Err("it is not statically linked, so that it needs libraries that images do not have".to_owned())
        }
        Some(_) => Ok(()),
    }
}

/// Whether a program of this host's has a segment that names its loader (ELF specification, `PT_INTERP`); `None` if it
/// is cut off.
fn asks_for_a_loader(file: &[u8]) -> Option<bool> {
    const LOADER: [u8; 4] = 3_u32.to_ne_bytes();
    let half = |at: usize| Some(usize::from(u16::from_ne_bytes(file.get(at..at + 2)?.try_into().ok()?)));
    // Where the table is, and the size and number of its entries.
    let (table, size, number) = match file.get(4)? {
        2 => (u64::from_ne_bytes(file.get(32..40)?.try_into().ok()?), half(54)?, half(56)?),
        _ => (u32::from_ne_bytes(file.get(28..32)?.try_into().ok()?).into(), half(42)?, half(44)?),
    };
    let table = file.get(usize::try_from(table).ok()?..)?;
    let kinds = table.chunks(size.max(4)).take(number);
    Some(kinds.into_iter().any(|segment| segment.starts_with(&LOADER)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_programs_that_need_nothing_are_fit() {
        let own = std::fs::read("/proc/self/exe").unwrap();
        assert!(fit(&own).unwrap_err().contains("not statically linked"));
        assert_eq!(fit(b"#!/bin/sh\necho and more of it\n").unwrap_err(), "it is no program");
        let busybox = Emulator { architecture: Architecture::Arm64, path: "/bin/busybox".into() };
        busybox.check().unwrap();
        // It is one by its looks alone.
        assert_eq!(busybox.try_out().unwrap_err().to_string(), "it ended with exit status: 127");
    }

    #[test]
    fn emulators_are_tried_with_a_program_of_their_own() {
        for architecture in Architecture::ALL {
            let path = PathBuf::from(format!("/usr/bin/qemu-{}-static", architecture.qemu()));
            if path.exists() {
                let emulator = Emulator { architecture, path };
                emulator.try_out().unwrap_or_else(|error| panic!("{architecture}: {error}"));
                assert!(emulator.version().is_some_and(|version| version.starts_with("qemu-")));
                let wrong = Architecture::ALL.into_iter().find(|other| *other != architecture);
                let wrong = Emulator { architecture: wrong.unwrap(), ..emulator };
                wrong.try_out().unwrap_err();
            }
        }
    }
}
