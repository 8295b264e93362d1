//! A YAML document as a tree that knows the place of everything.

use std::ops::Range;

/// A value, and the bytes of the file that it is written in.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) span: Range<usize>,
}

/// What is written.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// Nothing, `null` or `~`.
    Null,
    /// A scalar: its text, never read as a number, so that `1.10` stays `1.10`.
    Scalar {
        /// The text, escapes resolved.
        text: String,
        /// Whether it stands in no quotes.
        plain: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// A map, in the order written. Keys differ.
    Map(Vec<(Key, Node)>),
}

/// A map's key.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) span: Range<usize>,
}

impl Node {
    /// What it is, for messages.
    pub(super) fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Scalar { text, .. } => format!("{:?}", shorten(text)),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }
}

/// The first words of a long text.
pub(super) fn shorten(text: &str) -> String {
    const LONGEST: usize = 60;
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() > LONGEST || line.len() < text.trim_end().len() {
        let cut: String = line.chars().take(LONGEST).collect();
        return format!("{cut}…");
    }
    line.to_owned()
}
