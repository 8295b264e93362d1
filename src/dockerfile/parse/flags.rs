//! Flags, checked against those that an instruction has.

use super::Context;
use crate::{
    dockerfile::{
        split::Parts,
        syntax::{Flag, Word},
    },
    source::suggest,
};

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// A value, once.
    One,
    /// A value, any number of times.
    Many,
    /// `true` or `false`, or nothing, which is `true`.
    Bool,
}

use Takes::{Bool, Many, One};

/// The flags of the instruction.
fn known(keyword: &str) -> &'static [(&'static str, Takes)] {
    match keyword {
        "ADD" => &[
            ("chown", One),
            ("chmod", One),
            ("link", Bool),
            ("exclude", Many),
            ("keep-git-dir", Bool),
            ("checksum", One),
            ("unpack", Bool),
        ],
        "COPY" => &[
            ("from", One),
            ("chown", One),
            ("chmod", One),
            ("link", Bool),
            ("parents", Bool),
            ("exclude", Many),
        ],
        "FROM" => &[("platform", One)],
        "HEALTHCHECK" => &[
            ("interval", One),
            ("timeout", One),
            ("start-period", One),
            ("start-interval", One),
            ("retries", One),
        ],
        "RUN" => &[("mount", Many), ("network", One), ("security", One), ("device", Many)],
        _ => &[],
    }
}

/// The flags of an instruction, all of them known to it.
#[derive(Debug)]
pub(super) struct Flags<'a> {
    flags: &'a [Flag],
}

impl Flags<'_> {
    /// The value of a flag that takes one. An empty one is as good as none.
    pub(super) fn value(&self, name: &str) -> Option<Word> {
        self.values(name).next().filter(|value| !value.text.is_empty()).cloned()
    }

    /// The values of a flag that may be given many times.
    pub(super) fn values<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s Word> {
        self.flags.iter().filter(move |flag| flag.name.text == name).filter_map(|flag| flag.value.as_ref())
    }

    /// A flag that is true or false, if it is given.
    pub(super) fn boolean(&self, name: &str) -> Option<bool> {
        let flag = self.flags.iter().find(|flag| flag.name.text == name)?;
        Some(flag.value.as_ref().is_none_or(|value| value.text.eq_ignore_ascii_case("true")))
    }
}

/// Checks the flags of an instruction, and tells what is wrong with them.
pub(super) fn checked<'a>(context: &mut Context<'_>, keyword: &str, parts: &'a Parts) -> Flags<'a> {
    let known = known(keyword);
    for (index, flag) in parts.flags.iter().enumerate() {
        let name = flag.name.text.as_str();
        let Some((_, takes)) = known.iter().find(|(known, _)| *known == name) else {
            unknown(context, keyword, flag, known);
            continue;
        };
        if *takes != Many && parts.flags[..index].iter().any(|other| other.name.text == name) {
            context.error(format!("--{name} is given twice"), &flag.span, "");
        }
        check_value(context, flag, *takes);
    }
    Flags { flags: &parts.flags }
}

fn check_value(context: &mut Context<'_>, flag: &Flag, takes: Takes) {
    let name = &flag.name.text;
    match (&flag.value, takes) {
        (None, One | Many) => {
            let hint = format!("write --{name}=VALUE, without spaces");
            context.error_with_hint(format!("--{name} needs a value"), &flag.span, "", hint);
        }
        (Some(value), Bool)
            if !["true", "false"].iter().any(|word| value.text.eq_ignore_ascii_case(word)) =>
        {
            context.error(format!("--{name} is either true or false, not {:?}", value.text), &value.span, "");
        }
        _ => {}
    }
}

fn unknown(context: &mut Context<'_>, keyword: &str, flag: &Flag, known: &[(&str, Takes)]) {
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    let name = &flag.name.text;
    let hint = match suggest::closest(name, names.iter().copied()) {
        Some(near) => format!("did you mean --{near}?"),
        None if names.is_empty() => format!("{keyword} has no flags"),
        None => format!("flags of {keyword}: --{}", names.join(", --")),
    };
    context.error_with_hint(format!("{keyword} has no flag --{name}"), &flag.span, "", hint);
}
