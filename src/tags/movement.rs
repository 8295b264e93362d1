//! When tags may be moved.

use semver::Version;

use super::{
    Event,
    plan::{Line, Movement, Scheme},
    template::{Node, Template},
    version,
};

/// A version that a tag was made of, and how versions of its kind look in the registry and in git.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) version: Version,
    pub(super) scheme: Scheme,
    /// What is before and after versions in tags of the registry.
    pub(super) prefix: String,
    pub(super) suffix: String,
    /// The releases that git has tags of.
    pub(super) in_git: Vec<Version>,
}

impl Found {
    /// The line of the versions that share the first so many numbers with this one.
    pub(super) fn line(&self, shared: usize) -> Line {
        let numbers = [self.version.major, self.version.minor, self.version.patch];
        let mut line = Line {
            suffix: self.suffix.clone(),
            scheme: self.scheme,
            ..Line::new(self.version.clone(), self.prefix.clone(), numbers[..shared.min(3)].to_vec())
        };
        let of_line = self.in_git.iter().filter(|version| line.has(version));
        line.in_git = of_line.max_by(|a, b| line.compare(a, b)).cloned();
        line
    }

    /// When a text that was cut out of a full version may be moved: `2.0` of 2.0.8.
    pub(super) fn of_part(&self, text: &str) -> Movement {
        let text = text.strip_prefix('v').unwrap_or(text);
        if text == version::plain(&self.version) {
            return Movement::Fixed;
        }
        let numbers = [self.version.major, self.version.minor, self.version.patch].map(|n| n.to_string());
        match (1..=3).find(|count| numbers[..*count].join(".") == text) {
            Some(shared) => Movement::Line(self.line(shared)),
            None => Movement::Free,
        }
    }
}

/// How many of a version's numbers a pattern keeps; `None`: all of it.
pub(super) fn shared(pattern: &Template) -> Option<usize> {
    let calls = pattern.calls();
    let has = |name: &str| calls.iter().any(|call| call.name == name);
    match (has("major"), has("minor"), has("patch")) {
        _ if has("raw") || has("version") => None,
        (true, true, true) => None,
        (true, true, false) => Some(2),
        (true, false, _) => Some(1),
        (false, ..) => Some(0),
    }
}

/// The plain texts that a pattern begins and ends with.
pub(super) fn ends(pattern: &Template) -> (&str, &str) {
    match &pattern.nodes[..] {
        [Node::Text(_)] | [] => ("", ""),
        [first, .., last] => (text_of(first), text_of(last)),
        [_] => ("", ""),
    }
}

fn text_of(node: &Node) -> &str {
    match node {
        Node::Text(text) => text,
        Node::Value { .. } | Node::If { .. } => "",
    }
}

/// The releases among git's tags, each read in this way.
pub(super) fn in_git(event: &Event, read: impl Fn(&str) -> Option<Version>) -> Vec<Version> {
    event.git_tags.iter().filter_map(|tag| read(tag)).filter(|version| version.pre.is_empty()).collect()
}
