//! `RUN`, and commands.

use super::{Context, arguments::missing, flags::Flags, mount::mount_flag};
use crate::{
    dockerfile::{
        heredoc::{self, Heredoc},
        json::{self, Json},
        split::Parts,
        syntax::{CommandLine, Network, Run, Security, ShellLine, Word},
    },
    source::suggest,
};

/// `RUN`.
pub(super) fn run(
    context: &mut Context<'_>,
    parts: &Parts,
    flags: &Flags<'_>,
    heredocs: &mut Vec<Heredoc>,
) -> Option<Run> {
    let mounts = flags.values("mount").filter_map(|value| mount_flag(context, value)).collect();
    let network = flags.value("network").and_then(|value| {
        let known = [("default", Network::Default), ("none", Network::None), ("host", Network::Host)];
        choice(context, "network", &value, &known)
    });
    let security = flags.value("security").and_then(|value| {
        let known = [("sandbox", Security::Sandbox), ("insecure", Security::Insecure)];
        choice(context, "security", &value, &known)
    });
    let devices: Vec<Word> = flags.values("device").cloned().collect();
    if parts.args.text.is_empty() {
        missing(context, parts, "a command");
        return None;
    }
    let mut command = command(context, &parts.args)?;
    if let CommandLine::Shell(shell) = &mut command {
        shell.heredocs = std::mem::take(heredocs);
        if shell.heredocs.len() == 1 && heredoc::opening(&shell.line).is_some() {
            command = CommandLine::Script(shell.heredocs.remove(0));
        }
    }
    Some(Run { mounts, network, security, devices, command })
}

/// A value out of some; told if it is none of them.
pub(super) fn choice<T: Copy>(
    context: &mut Context<'_>,
    flag: &str,
    value: &Word,
    known: &[(&'static str, T)],
) -> Option<T> {
    let found = known.iter().find(|(name, _)| value.text.eq_ignore_ascii_case(name));
    if found.is_none() {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        context.error_with_hint(
            format!("--{flag} cannot be {:?}", value.text),
            &value.span,
            "",
            suggest::hint(&value.text, &names, "values known here"),
        );
    }
    found.map(|(_, value)| *value)
}

/// A command: a JSON array of strings, or whatever else as a line for the shell.
pub(super) fn command(context: &mut Context<'_>, args: &Word) -> Option<CommandLine> {
    match json::array(args) {
        Json::Strings(words) => Some(CommandLine::Exec(words)),
        Json::NotStrings(item) => {
            context.error("a JSON array of arguments has strings only", &item.span, "not a string");
            None
        }
        Json::None => {
            let malformed_json = json::looks_like_array(&args.text);
            Some(CommandLine::Shell(ShellLine { line: args.clone(), heredocs: Vec::new(), malformed_json }))
        }
    }
}

/// `SHELL`.
pub(super) fn shell(context: &mut Context<'_>, parts: &Parts) -> Option<Vec<Word>> {
    let hint = "as in `SHELL [\"/bin/bash\", \"-c\"]`";
    match command(context, &parts.args)? {
        CommandLine::Exec(words) if !words.is_empty() => return Some(words),
        _ if parts.args.text.is_empty() => {
            context.error_with_hint("SHELL needs a command", &parts.keyword.span, "", hint);
        }
        CommandLine::Exec(_) => {
            context.error_with_hint("SHELL needs a command", &parts.args.span, "", hint);
        }
        _ => context.error_with_hint("SHELL takes a JSON array of strings", &parts.args.span, "", hint),
    }
    None
}
