//! What expansion takes and gives.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    ops::Range,
};

/// The values of variables.
pub trait Variables {
    /// The value of this variable; `None` if it is not set.
    fn value(&self, name: &str) -> Option<Cow<'_, str>>;
}

impl Variables for BTreeMap<String, String> {
    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name).map(|value| Cow::Borrowed(value.as_str()))
    }
}

impl Variables for HashMap<String, String> {
    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name).map(|value| Cow::Borrowed(value.as_str()))
    }
}

/// An environment: the last of a name counts.
impl Variables for [(String, String)] {
    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        self.iter().rev().find(|(key, _)| key == name).map(|(_, value)| Cow::Borrowed(value.as_str()))
    }
}

/// The same environment, where a sized type is wanted.
impl Variables for Vec<(String, String)> {
    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        self.as_slice().value(name)
    }
}

/// What an expansion gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expanded<T> {
    /// The word, or words.
    pub text: T,
    /// The variables that were asked for and are set.
    pub used: BTreeSet<String>,
    /// The variables that were asked for and are not set (check `UndefinedVar`). Those that are asked for with a word
    /// for this very case (`${x:-…}`, `${x+…}`) are not among them.
    pub unset: BTreeSet<String>,
    /// How much it took: bytes of values that were read and put in, and characters that were compared with those of
    /// patterns.
    pub work: usize,
}

/// Why a word cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordError {
    /// What is wrong, as a fragment.
    pub message: String,
    /// Where in the text.
    pub range: Range<usize>,
}

impl fmt::Display for WordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for WordError {}
