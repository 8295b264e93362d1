//! Arguments of the plain instructions.

use super::Context;
use crate::dockerfile::{
    json::{self, Json},
    split::{Parts, quoted_words},
    syntax::{Arg, ArgName, Pair, Pairs, Word},
    text::is_blank,
};

/// Tells that an instruction has nothing where something must be.
pub(super) fn missing(context: &mut Context<'_>, parts: &Parts, what: &str) {
    let keyword = parts.keyword.text.to_uppercase();
    let end = parts.line.span.end;
    context.error(format!("{keyword} needs {what}"), &(parts.keyword.span.start..end), "");
}

/// All that follows the keyword, as one argument.
pub(super) fn one(context: &mut Context<'_>, parts: &Parts, what: &str) -> Option<Word> {
    if parts.args.text.is_empty() {
        missing(context, parts, what);
        return None;
    }
    Some(parts.args.clone())
}

/// `EXPOSE`: ports between spaces.
pub(super) fn ports(context: &mut Context<'_>, parts: &Parts) -> Option<Vec<Word>> {
    let words = parts.args.split_at_any(is_blank);
    if words.is_empty() {
        missing(context, parts, "a port");
        return None;
    }
    Some(words)
}

/// A JSON array of strings, or words between spaces.
pub(super) fn list(context: &mut Context<'_>, args: &Word) -> Option<Vec<Word>> {
    match json::array(args) {
        Json::Strings(words) => Some(words),
        Json::NotStrings(item) => {
            context.error("a JSON array of arguments has strings only", &item.span, "not a string");
            None
        }
        Json::None => Some(args.split_at_any(is_blank)),
    }
}

/// `VOLUME`.
pub(super) fn volumes(context: &mut Context<'_>, parts: &Parts) -> Option<Vec<Word>> {
    let volumes: Vec<Word> = list(context, &parts.args)?.iter().map(Word::trim).collect();
    if volumes.is_empty() {
        missing(context, parts, "a path");
        return None;
    }
    for empty in volumes.iter().filter(|volume| volume.text.is_empty()) {
        context.error("the path of a volume is empty", &empty.span, "");
    }
    Some(volumes)
}

/// `ARG name[=value] …`.
pub(super) fn arg(context: &mut Context<'_>, parts: &Parts) -> Option<Arg> {
    let words = quoted_words(&parts.args, context.escape.character());
    if words.is_empty() {
        missing(context, parts, "a name");
        return None;
    }
    let mut args = Vec::with_capacity(words.len());
    for word in words {
        let (name, value) = match word.key_value() {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        check_name(context, &name, "argument");
        args.push(ArgName { name, value });
    }
    Some(Arg { args })
}

/// `ENV` and `LABEL`: `name=value …`, or `name value`.
pub(super) fn pairs(context: &mut Context<'_>, parts: &Parts) -> Option<Pairs> {
    let words = quoted_words(&parts.args, context.escape.character());
    let Some(first) = words.first() else {
        missing(context, parts, "name=value");
        return None;
    };
    if !first.text.contains('=') {
        return legacy(context, parts);
    }
    let mut pairs = Vec::with_capacity(words.len());
    for word in &words {
        let Some((name, value)) = word.key_value() else {
            let shown: String = word.text.chars().take(60).collect();
            context.error_with_hint(
                format!("{shown:?} has no `=`"),
                &word.span,
                "",
                "write name=value; put values with spaces into quotes",
            );
            continue;
        };
        check_name(context, &name, "variable");
        pairs.push(Pair { name, value });
    }
    Some(Pairs { pairs, legacy: false })
}

/// The old form: a name, and all that follows as its value.
fn legacy(context: &mut Context<'_>, parts: &Parts) -> Option<Pairs> {
    let args = &parts.args;
    let Some(end) = args.text.find(is_blank) else {
        missing(context, parts, "a value: write name=value");
        return None;
    };
    let value = args.rest(end);
    let start = value.text.find(|character| !is_blank(character)).unwrap_or(value.text.len());
    Some(Pairs { pairs: vec![Pair { name: args.slice(0..end), value: value.rest(start) }], legacy: true })
}

fn check_name(context: &mut Context<'_>, name: &Word, what: &str) {
    if name.text.is_empty() {
        let span = name.span.start..name.span.start + 1;
        context.error(format!("the name of the {what} is empty"), &span, "a name must come before `=`");
    }
}
