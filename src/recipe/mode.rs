//! Modes of files: set as a number, or changed in symbols.

use std::{fmt, str::FromStr};

/// Permission bits, `0o7777` at the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileMode(pub u32);

/// The modes of copied files and directories.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Modes {
    /// Of files.
    pub files: Option<ModeChange>,
    /// Of directories.
    pub directories: Option<ModeChange>,
}

/// A new mode, as `chmod` takes it: octal, or symbols such as `u=rwX,go-w` (POSIX, "chmod", "EXTENDED DESCRIPTION").
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ModeChange {
    /// This mode.
    Set(FileMode),
    /// The file's own mode, changed by each clause in turn.
    Change(Vec<ModeClause>),
}

/// One clause of a symbolic mode: `go-w`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ModeClause {
    /// Whose bits: the permission bits of user, group, others that may change, with setuid, setgid and sticky.
    who: u32,
    /// `+`, `-` or `=`.
    operation: Operation,
    /// The bits, for all three classes.
    bits: u32,
    /// Whether execution is meant for directories, and files that somebody may execute (`X`).
    search: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Operation {
    Add,
    Remove,
    Set,
}

/// A text that is no mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no mode; write it in octal, as 0644, or in symbols, as u=rwX,go=rX")]
pub struct ModeError {
    text: String,
}

impl From<FileMode> for ModeChange {
    fn from(mode: FileMode) -> Self {
        Self::Set(mode)
    }
}

impl ModeChange {
    /// The mode of a file or directory that had this one.
    pub fn apply(&self, mode: u32, directory: bool) -> u32 {
        match self {
            Self::Set(mode) => mode.0,
            Self::Change(clauses) => {
                clauses.iter().fold(mode & 0o7777, |mode, clause| clause.apply(mode, directory))
            }
        }
    }
}

impl ModeClause {
    fn apply(self, mode: u32, directory: bool) -> u32 {
        let search = if self.search && (directory || mode & 0o111 != 0) { 0o111 } else { 0 };
        let bits = (self.bits | search) & self.who;
        match self.operation {
            Operation::Add => mode | bits,
            Operation::Remove => mode & !bits,
            Operation::Set => mode & !self.who | bits,
        }
    }
}

impl FromStr for ModeChange {
    type Err = ModeError;

    fn from_str(text: &str) -> Result<Self, ModeError> {
        let error = || ModeError { text: text.to_owned() };
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let mode = u32::from_str_radix(text, 8).map_err(|_| error())?;
            return if mode <= 0o7777 { Ok(Self::Set(FileMode(mode))) } else { Err(error()) };
        }
        let clauses = text.split(',').map(clauses).collect::<Option<Vec<_>>>().ok_or_else(error)?;
        Ok(Self::Change(clauses.concat()))
    }
}

/// The clauses between two commas: one class may have several operations, as in `u+r-w`.
fn clauses(text: &str) -> Option<Vec<ModeClause>> {
    let start = text.find(['+', '-', '='])?;
    let mut who = 0;
    for class in text[..start].chars() {
        who |= match class {
            'u' => 0o4700,
            'g' => 0o2070,
            'o' => 0o1007,
            'a' => 0o7777,
            _ => return None,
        };
    }
    if who == 0 {
        who = 0o7777;
    }
    let mut found = Vec::new();
    let mut rest = &text[start..];
    while let Some(operation) = rest.chars().next() {
        let operation = match operation {
            '+' => Operation::Add,
            '-' => Operation::Remove,
            _ => Operation::Set,
        };
        let end = rest[1..].find(['+', '-', '=']).map_or(rest.len(), |at| at + 1);
        let (mut bits, mut search) = (0, false);
        for permission in rest[1..end].chars() {
            match permission {
                'r' => bits |= 0o444,
                'w' => bits |= 0o222,
                'x' => bits |= 0o111,
                'X' => search = true,
                's' => bits |= 0o6000,
                't' => bits |= 0o1000,
                _ => return None,
            }
        }
        found.push(ModeClause { who, operation, bits, search });
        rest = &rest[end..];
    }
    Some(found)
}

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_changed_as_chmod_does_it() {
        let cases = [
            ("755", 0o600, false, 0o755),
            ("04755", 0o600, false, 0o4755),
            ("u+x", 0o644, false, 0o744),
            ("+x", 0o644, false, 0o755),
            ("go-w", 0o666, false, 0o644),
            ("u=rwX,go=rX", 0o600, true, 0o755),
            ("u=rwX,go=rX", 0o600, false, 0o644),
            ("a+X", 0o744, false, 0o755),
            ("u+s", 0o755, false, 0o4755),
            ("+t", 0o777, true, 0o1777),
            ("u+r-w", 0o600, false, 0o400),
            ("g=", 0o2775, true, 0o705),
        ];
        for (text, before, directory, after) in cases {
            let change: ModeChange = text.parse().unwrap();
            assert_eq!(change.apply(before, directory), after, "{text} on {before:o}");
        }
        for text in ["", "rw", "u+q", "8", "17777", "u", ",u+x", "b+x"] {
            assert!(text.parse::<ModeChange>().is_err(), "{text}");
        }
    }
}
