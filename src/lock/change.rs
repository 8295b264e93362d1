//! What differs between two locks.

use super::{Input, Lock, Pin};

/// A name whose meaning differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<'a> {
    /// The name.
    pub input: &'a Input,
    /// What it meant; `None`: it was not there.
    pub before: Option<&'a Pin>,
    /// What it means; `None`: it is gone.
    pub after: Option<&'a Pin>,
}

/// What differs from one lock to another, by name. Which files use a name does not count.
pub fn changes<'a>(before: &'a Lock, after: &'a Lock) -> Vec<Change<'a>> {
    let mut all: Vec<&Input> = before.entries.keys().chain(after.entries.keys()).collect();
    all.sort();
    all.dedup();
    let change = |input| Change { input, before: before.pin(input), after: after.pin(input) };
    all.into_iter().map(change).filter(|change| change.before != change.after).collect()
}
