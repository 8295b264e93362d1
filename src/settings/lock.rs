//! Whether builds go by `imgbuild.lock`.

use clap::Args;

/// Whether a build goes by the lock.
#[derive(Debug, Clone, Default, Args)]
pub struct LockFlags {
    /// Fail if imgbuild.lock is missing, or does not have an input
    #[arg(long, conflicts_with = "no_lock")]
    pub locked: bool,
    /// Look up all inputs, whatever imgbuild.lock says
    #[arg(long)]
    pub no_lock: bool,
}

/// What a lock means for a build.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LockUse {
    /// What it has is not looked up. It need not be there.
    #[default]
    Used,
    /// It must be there and have all inputs.
    Required,
    /// Nothing.
    Ignored,
}

impl LockFlags {
    /// What the flags ask for.
    pub fn resolve(&self) -> LockUse {
        match (self.locked, self.no_lock) {
            (true, _) => LockUse::Required,
            (false, true) => LockUse::Ignored,
            (false, false) => LockUse::Used,
        }
    }
}
