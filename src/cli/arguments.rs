//! `imgbuild FLAGS` is `imgbuild build FLAGS`.

use std::ffi::{OsStr, OsString};

use clap::CommandFactory;

use super::command::Cli;
use crate::settings::Environment;

/// Puts `build` in front of the first argument that is no flag of every command, unless that is a command, asks for
/// help or the version, or is a word that is no directory either: a misspelled command.
pub(super) fn with_command(mut arguments: Vec<OsString>, environment: &Environment) -> Vec<OsString> {
    let command = Cli::command();
    let mut at = 1;
    while let Some(argument) = arguments.get(at) {
        match globals(&command, argument) {
            Some(width) => at += width,
            None => break,
        }
    }
    let build = match arguments.get(at) {
        None => true,
        Some(argument) => match argument.to_str() {
            Some("-h" | "--help" | "-V" | "--version" | "help") => false,
            Some(flag) if flag.starts_with('-') => true,
            Some(word) if command.find_subcommand(word).is_some() => false,
            _ => environment.current_dir().join(argument).is_dir(),
        },
    };
    if build {
        arguments.insert(at.min(arguments.len()), "build".into());
    }
    arguments
}

/// How many arguments a flag of every command takes up, itself included; `None` if it is none.
fn globals(command: &clap::Command, argument: &OsStr) -> Option<usize> {
    let text = argument.to_str()?;
    let (name, inline) = match text.split_once('=') {
        Some((name, _)) => (name, true),
        None => (text, false),
    };
    let found = command.get_arguments().find(|known| {
        let long = known.get_long().is_some_and(|long| name.strip_prefix("--") == Some(long));
        let short = known.get_short().is_some_and(|short| name == format!("-{short}"));
        known.is_global_set() && (long || short)
    })?;
    Some(if found.get_action().takes_values() && !inline { 2 } else { 1 })
}
