//! An ordered list of patterns of which the last that matches decides.

use super::pattern::{Pattern, PatternError, States, clean};

/// Patterns that exclude paths, and patterns with a `!` in front that include them again: the last one that matches a
/// path, or a directory above it, decides. An included path below an excluded directory is included.
///
/// These are the semantics of `.dockerignore` files. Nothing here touches a file system, so it serves contexts and
/// images alike.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    rules: Vec<Rule>,
}

/// One pattern of a [`Filter`].
#[derive(Debug, Clone)]
pub struct Rule {
    /// The pattern as it was written, with its `!`.
    pub written: String,
    /// The line it is on, from 1; its number in the list where it comes from no file.
    pub line: usize,
    reinclude: bool,
    pattern: Pattern,
}

/// What the patterns have come to at one directory: what its entries are judged by.
#[derive(Debug, Clone, Default)]
pub struct Below {
    /// The last rule that matches the directory or one above it.
    last: Option<usize>,
    /// The rules that may still match something below, with where they are. Those before `last` cannot matter.
    live: Vec<(usize, States)>,
}

/// What the patterns say of one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    last: Option<usize>,
    excluded: bool,
}

impl Verdict {
    /// Whether the path is excluded.
    pub fn excluded(self) -> bool {
        self.excluded
    }
}

impl Filter {
    /// Parses a list of patterns, as of `COPY --exclude` or a spec's `exclude`. The error carries the number, from 1,
    /// and the text of the pattern that is none.
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Result<Self, (usize, String, PatternError)> {
        let mut filter = Self::default();
        for (index, pattern) in patterns.iter().enumerate() {
            let written = pattern.as_ref().trim();
            filter
                .push(index + 1, written.as_bytes())
                .map_err(|error| (index + 1, written.to_owned(), error))?;
        }
        Ok(filter)
    }

    /// Adds a pattern as written on a line, without space around it.
    pub(super) fn push(&mut self, line: usize, written: &[u8]) -> Result<(), PatternError> {
        let (reinclude, text) = match written.strip_prefix(b"!") {
            Some(rest) => (true, rest.trim_ascii()),
            None => (false, written),
        };
        match text {
            b"" if reinclude => return Err(PatternError::Bare),
            b"" => return Ok(()),
            _ => {}
        }
        let cleaned = clean(text);
        let relative = match cleaned.as_slice() {
            [b'/', rest @ ..] if !rest.is_empty() => rest,
            all => all,
        };
        let pattern = Pattern::parse(relative)?;
        let written = String::from_utf8_lossy(written).into_owned();
        self.rules.push(Rule { written, line, reinclude, pattern });
        Ok(())
    }

    /// Whether there are no patterns.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether a relative path is excluded.
    pub fn matches(&self, path: impl AsRef<[u8]>) -> bool {
        self.follow(path.as_ref()).0.excluded
    }

    /// The rule that excludes a relative path, if it is excluded.
    pub fn why(&self, path: impl AsRef<[u8]>) -> Option<&Rule> {
        let verdict = self.follow(path.as_ref()).0;
        if verdict.excluded { self.rules.get(verdict.last?) } else { None }
    }

    /// Whether something below an excluded directory may be included again. If not, nobody needs to look there.
    pub fn may_reinclude_below(&self, directory: impl AsRef<[u8]>) -> bool {
        self.may_reinclude(&self.follow(directory.as_ref()).1)
    }

    /// What holds for the entries of the top directory.
    pub fn top(&self) -> Below {
        let live = self.rules.iter().enumerate().map(|(index, rule)| (index, rule.pattern.start())).collect();
        Below { last: None, live }
    }

    /// What the patterns say of the entry `name` of a directory.
    pub fn judge(&self, at: &Below, name: &[u8]) -> Verdict {
        let mut scratch = (States::new(), States::new());
        let own = at.live.iter().rev().find(|(index, states)| {
            let pattern = &self.rules[*index].pattern;
            pattern.may_end(name) && {
                pattern.run(states, name, &mut scratch);
                pattern.accepts(&scratch.0)
            }
        });
        let last = own.map(|(index, _)| *index).or(at.last);
        Verdict { last, excluded: last.is_some_and(|index| !self.rules[index].reinclude) }
    }

    /// What holds for the entries of the directory `name` of a directory, after its own verdict.
    pub fn enter(&self, at: &Below, name: &[u8], verdict: Verdict) -> Below {
        let mut scratch = (States::new(), States::new());
        let mut live = Vec::new();
        for (index, states) in &at.live {
            if verdict.last.is_some_and(|last| *index <= last) {
                continue;
            }
            let pattern = &self.rules[*index].pattern;
            pattern.run(states, name, &mut scratch);
            let reached = scratch.0.clone();
            pattern.run(&reached, b"/", &mut scratch);
            if !scratch.0.is_empty() {
                live.push((*index, scratch.0.clone()));
            }
        }
        Below { last: verdict.last, live }
    }

    /// Whether something in a directory, or below, may be included again.
    pub fn may_reinclude(&self, below: &Below) -> bool {
        below.live.iter().any(|(index, _)| self.rules[*index].reinclude)
    }

    /// The verdict on a path and what holds below it.
    pub(super) fn follow(&self, path: &[u8]) -> (Verdict, Below) {
        let mut verdict = Verdict { last: None, excluded: false };
        let mut below = self.top();
        for name in path.split(|b| *b == b'/').filter(|name| !name.is_empty()) {
            verdict = self.judge(&below, name);
            below = self.enter(&below, name, verdict);
        }
        (verdict, below)
    }
}
