//! Which rules are looked at.

use super::{Origin, Rule};
use crate::dockerfile::syntax::CheckDirective;

/// Which rules are looked at, and what a finding means: `# check=` in the file, or the build argument
/// `BUILDKIT_DOCKERFILE_CHECK` in its place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// The names of rules that are left out.
    pub skip: Vec<String>,
    /// Whether all are left out.
    pub skip_all: bool,
    /// The names of experimental rules that are looked at.
    pub experimental: Vec<String>,
    /// Whether all experimental rules are.
    pub experimental_all: bool,
    /// Whether a finding fails the build.
    pub error: bool,
}

/// A selection that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} does not say which checks to run; write skip=NAME,…;error=true")]
pub struct SelectionError {
    text: String,
}

impl Selection {
    /// Reads `skip=A,B;error=true;experimental=all`.
    pub fn parse(text: &str) -> Result<Self, SelectionError> {
        let wrong = || SelectionError { text: text.to_owned() };
        let mut selection = Self::default();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').ok_or_else(wrong)?;
            let value = value.trim();
            let names = || value.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>();
            match key.trim() {
                "skip" if value == "all" => selection.skip_all = true,
                "skip" => selection.skip = names(),
                "experimental" if value == "all" => selection.experimental_all = true,
                "experimental" => selection.experimental = names(),
                "error" => {
                    selection.error = match value {
                        "1" | "t" | "T" | "true" | "True" | "TRUE" => true,
                        "0" | "f" | "F" | "false" | "False" | "FALSE" => false,
                        _ => return Err(wrong()),
                    }
                }
                _ => return Err(wrong()),
            }
        }
        Ok(selection)
    }

    pub(in crate::dockerfile) fn of_directive(directive: &CheckDirective) -> Self {
        let texts =
            |words: &[crate::dockerfile::syntax::Word]| words.iter().map(|word| word.text.clone()).collect();
        Self {
            skip: texts(&directive.skip),
            skip_all: directive.skip_all,
            experimental: texts(&directive.experimental),
            experimental_all: directive.experimental_all,
            error: directive.error,
        }
    }

    /// Whether the rule of this name is left out.
    pub(super) fn skips(&self, name: &str) -> bool {
        self.skip_all || self.skip.iter().any(|skipped| skipped == name)
    }

    /// Whether a rule is looked at in a build.
    pub(super) fn has(&self, rule: &Rule) -> bool {
        let named = |names: &[String]| names.iter().any(|name| name == rule.name);
        if self.skips(rule.name) {
            return false;
        }
        match rule.origin {
            Origin::Documented => true,
            Origin::Experimental => self.experimental_all || named(&self.experimental),
            Origin::Own => false,
        }
    }

    /// Whether a rule is looked at by `imgbuild check`.
    pub(super) fn has_in_check(&self, rule: &Rule) -> bool {
        let own = Rule { origin: Origin::Documented, ..*rule };
        // Descriptions of stages and arguments are asked for by those who show them.
        self.has(if *rule == super::rule::INVALID_DEFINITION_DESCRIPTION { rule } else { &own })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::check::rule;

    #[test]
    fn rules_are_selected_by_name() {
        let all = Selection::parse("skip=all").unwrap();
        let some =
            Selection::parse(" skip = UndefinedVar, PinnedBase ; error = true;experimental=all").unwrap();
        let none = Selection::parse("").unwrap();
        assert!(some.error && !none.error);
        for (selection, rule, build, check) in [
            (&none, &rule::UNDEFINED_VAR, true, true),
            (&none, &rule::PINNED_BASE, false, true),
            (&none, &rule::COPY_IGNORED_FILE, false, true),
            (&none, &rule::INVALID_DEFINITION_DESCRIPTION, false, false),
            (&some, &rule::UNDEFINED_VAR, false, false),
            (&some, &rule::PINNED_BASE, false, false),
            (&some, &rule::COPY_IGNORED_FILE, true, true),
            (&some, &rule::INVALID_DEFINITION_DESCRIPTION, true, true),
            (&all, &rule::STAGE_NAME_CASING, false, false),
        ] {
            assert_eq!((selection.has(rule), selection.has_in_check(rule)), (build, check), "{}", rule.name);
        }
        for bad in ["skip", "error=maybe", "wrong=1", "all"] {
            assert!(Selection::parse(bad).is_err(), "{bad}");
        }
    }
}
