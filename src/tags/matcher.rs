//! Regular expressions of rules, as JavaScript takes them: `v(.*)`, or `/v(.*)/i` with flags.

use regex::{Regex, RegexBuilder};

use super::error::Problem;

/// A regular expression.
#[derive(Debug, Clone)]
pub(super) struct Matcher {
    regex: Regex,
    /// All matches count, and not the groups of the first (the flag `g`).
    all: bool,
}

impl Matcher {
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let with_flags = text.strip_prefix('/').and_then(|text| text.rsplit_once('/'));
        let (pattern, flags) = with_flags.filter(|(pattern, _)| !pattern.is_empty()).unwrap_or((text, ""));
        let mut builder = RegexBuilder::new(pattern);
        let mut all = false;
        for flag in flags.chars() {
            match flag {
                'i' => _ = builder.case_insensitive(true),
                'm' => _ = builder.multi_line(true),
                's' => _ = builder.dot_matches_new_line(true),
                'g' => all = true,
                'u' | 'v' => {}
                _ => {
                    return Err(
                        Problem::new(format!("there is no flag `{flag}`")).hint("flags are i, g, m, s and u")
                    );
                }
            }
        }
        let regex = builder.build().map_err(|error| {
            // The last line says what it is; the ones before it draw the place.
            let told = error.to_string();
            let told = told.lines().last().unwrap_or_default().trim_start_matches("error: ");
            let problem = Problem::new(format!("the regular expression `{pattern}` is wrong: {told}"));
            match told.contains("look-around") || told.contains("backreference") {
                true => problem.hint("write it with groups: `group=1` takes what the first one matches"),
                false => problem,
            }
        })?;
        Ok(Self { regex, all })
    }

    /// The match and its groups; a group that takes no part is `None`. `None`: it does not match.
    pub(super) fn groups<'a>(&self, text: &'a str) -> Option<Vec<Option<&'a str>>> {
        if self.all {
            let all: Vec<_> = self.regex.find_iter(text).map(|found| Some(found.as_str())).collect();
            return (!all.is_empty()).then_some(all);
        }
        let captures = self.regex.captures(text)?;
        Some(captures.iter().map(|group| group.map(|group| group.as_str())).collect())
    }

    /// What a group matches.
    pub(super) fn group<'a>(&self, text: &'a str, group: usize) -> Option<&'a str> {
        self.groups(text)?.get(group).copied().flatten()
    }
}
