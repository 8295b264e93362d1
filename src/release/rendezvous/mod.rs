//! Parts of an image that several machines make.

use std::time::Duration;

/// A set of parts, as one of those who make it sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// What its jobs have in common, and no others.
    pub id: String,
    /// The names of all parts, in the order of the index.
    pub parts: Vec<String>,
    /// Which one is the own.
    pub own: usize,
    /// How long the others are waited for.
    pub wait: Duration,
}

/// What a part is called in a tag.
pub fn suffix(part: &str) -> String {
    part.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect()
}
