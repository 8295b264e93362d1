//! What had to be left out, in a few lines however much it was.

use std::collections::BTreeMap;

/// The first path of each kind of warning, and how many more there were.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    left_out: BTreeMap<(String, &'static str), (String, usize)>,
    noted: Vec<String>,
}

impl Warnings {
    /// Notes that `what` was left out at `path` for the reason `why`.
    pub(super) fn left_out(&mut self, what: impl Into<String>, path: impl ToString, why: &'static str) {
        let noted = self.left_out.entry((what.into(), why)).or_insert_with(|| (path.to_string(), 0));
        noted.1 += 1;
    }

    /// Notes anything else, up to a few lines.
    pub(super) fn note(&mut self, line: String) {
        const MOST: usize = 8;
        if self.noted.len() < MOST {
            self.noted.push(line);
        }
    }

    /// One line for each kind.
    pub(super) fn lines(self) -> Vec<String> {
        let line = |((what, why), (path, count))| match count {
            1 => format!("left out {what} /{path}: {why}"),
            _ => format!("left out {what} /{path} and {} more: {why}", count - 1),
        };
        self.left_out.into_iter().map(line).chain(self.noted).collect()
    }
}
