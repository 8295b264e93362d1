//! The architectures whose system calls a host takes: its own, and its 32-bit programs'. Programs of other architectures
//! run in an emulator that makes the host's own calls.

use super::calls::{CALLS, NONE};

/// A set of system calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) struct Arch {
    /// As the kernel names it to filters and tracers.
    pub(in crate::sandbox) audit: u32,
    /// Whether its registers have 32 bits.
    pub(in crate::sandbox) narrow: bool,
    /// Where a second set of numbers begins that is refused whole.
    pub(super) second_set: Option<u32>,
    column: usize,
}

pub(super) const X86_64: Arch =
    // x32's calls begin there; few kernels have them, and none of the programs we know.
    Arch { audit: 0xc000_003e, narrow: false, second_set: Some(0x4000_0000), column: 0 };
pub(super) const I386: Arch = Arch { audit: 0x4000_0003, narrow: true, second_set: None, column: 1 };
pub(super) const AARCH64: Arch = Arch { audit: 0xc000_00b7, narrow: false, second_set: None, column: 2 };
pub(super) const ARM: Arch = Arch { audit: 0x4000_0028, narrow: true, second_set: None, column: 3 };

/// Those of this host, its own first; none where the table does not know it: commands are then not filtered.
pub(in crate::sandbox) const HOST: &[Arch] = if cfg!(target_arch = "x86_64") {
    &[X86_64, I386]
} else if cfg!(target_arch = "aarch64") {
    &[AARCH64, ARM]
} else {
    &[]
};

impl Arch {
    /// Of a row of the table, the number here.
    pub(super) fn number(self, numbers: &[u32; 4]) -> Option<u32> {
        Some(numbers[self.column]).filter(|number| *number != NONE)
    }

    /// The number of the call of this name.
    pub(in crate::sandbox) fn number_of(self, name: &str) -> Option<u32> {
        let (_, numbers) = CALLS.iter().find(|(found, _)| *found == name)?;
        self.number(numbers)
    }
}
