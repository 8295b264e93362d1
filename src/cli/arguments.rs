//! `imgbuild FLAGS` is `imgbuild build FLAGS`, and `--flag=true` is `--flag`.

use std::ffi::{OsStr, OsString};

use clap::{ArgAction, CommandFactory};

use super::command::Cli;
use crate::{
    remote::Place,
    settings::{Environment, SettingsError, closest},
};

/// Puts `build` in front of the first argument that is no flag of every command, unless that is a command, or asks for
/// help or the version. An error if it is a word that is neither a command nor something that can be built.
pub(super) fn with_command(
    mut arguments: Vec<OsString>,
    environment: &Environment,
) -> Result<Vec<OsString>, SettingsError> {
    let mut command = Cli::command();
    // Tells the commands of the flags that all have.
    command.build();
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
            // With a value it is the image's.
            Some("--version") => arguments.len() > at + 1,
            Some("-h" | "--help" | "-V" | "help") => false,
            Some(flag) if flag.starts_with('-') => true,
            Some(word) if command.find_subcommand(word).is_some() => false,
            Some(word) => buildable(word, &command, environment)?,
            None => true,
        },
    };
    if build {
        arguments.insert(at.min(arguments.len()), "build".into());
    }
    let named = arguments.get(at).and_then(|word| command.find_subcommand(word));
    Ok(with_switches(named.unwrap_or(&command), arguments))
}

/// Whether it can only be meant as a context: a directory, a place elsewhere, or a path, be it wrong.
fn buildable(word: &str, command: &clap::Command, environment: &Environment) -> Result<bool, SettingsError> {
    let path = environment.current_dir().join(word);
    if path.is_dir() || word.contains('/') || word.starts_with('.') || Place::parse(word).is_some() {
        return Ok(true);
    }
    if path.exists() {
        let error = SettingsError::new(format!("{word} is a file, and neither a directory nor a command"));
        return Err(error.hint(format!("to build it, write -f {word}; `imgbuild --help` lists the commands")));
    }
    let error = SettingsError::new(format!("there is neither a directory nor a command {word}"));
    Err(match closest(word, command.get_subcommands().map(clap::Command::get_name)) {
        Some(meant) => error.hint(format!("did you mean `imgbuild {meant}`?")),
        None => error.hint("`imgbuild --help` lists the commands"),
    })
}

/// Takes away what a flag without a value is told by `=true` and `=false`, as Go's programs take it: the last counts.
fn with_switches(command: &clap::Command, arguments: Vec<OsString>) -> Vec<OsString> {
    let mut kept: Vec<OsString> = Vec::with_capacity(arguments.len());
    let mut rest = arguments.into_iter();
    // Where each switch is among those that are kept: what looks like one may be a value.
    let mut switches: Vec<usize> = Vec::new();
    while let Some(argument) = rest.next() {
        if argument == "--" {
            kept.push(argument);
            break;
        }
        match argument.to_str().and_then(|text| switch(command, text)) {
            None => {
                let width = width(command, &argument);
                switches.extend((width == Some(1)).then_some(kept.len()));
                kept.push(argument);
                kept.extend(rest.by_ref().take(width.unwrap_or(1) - 1));
            }
            Some((flag, on)) => {
                while let Some(found) = switches.iter().position(|at| kept[*at] == *flag) {
                    kept.remove(switches.remove(found));
                    switches[found..].iter_mut().for_each(|at| *at -= 1);
                }
                if on {
                    switches.push(kept.len());
                    kept.push(flag.into());
                }
            }
        }
    }
    kept.extend(rest);
    kept
}

/// `--flag=true` of a flag that takes no value.
fn switch<'a>(command: &clap::Command, argument: &'a str) -> Option<(&'a str, bool)> {
    let (flag, value) = argument.split_once('=')?;
    let on = match value {
        "true" | "True" | "TRUE" | "t" | "T" | "1" => true,
        "false" | "False" | "FALSE" | "f" | "F" | "0" => false,
        _ => return None,
    };
    let name = flag.strip_prefix("--")?;
    let known = command.get_arguments().find(|known| known.get_long() == Some(name))?;
    matches!(known.get_action(), ArgAction::SetTrue).then_some((flag, on))
}

/// How many arguments a flag of every command takes up, itself included; `None` if it is none.
fn globals(command: &clap::Command, argument: &OsStr) -> Option<usize> {
    flag(command, argument).filter(|(known, _)| known.is_global_set()).map(|(_, width)| width)
}

/// How many arguments a flag takes up, itself included; `None` if it is none.
fn width(command: &clap::Command, argument: &OsStr) -> Option<usize> {
    flag(command, argument).map(|(_, width)| width)
}

fn flag<'a>(command: &'a clap::Command, argument: &OsStr) -> Option<(&'a clap::Arg, usize)> {
    let text = argument.to_str()?;
    let (name, inline) = match text.split_once('=') {
        Some((name, _)) => (name, true),
        None => (text, false),
    };
    let found = command.get_arguments().find(|known| {
        let long = known.get_long().is_some_and(|long| name.strip_prefix("--") == Some(long));
        let short = known.get_short().is_some_and(|short| name == format!("-{short}"));
        long || short
    })?;
    let needs = found.get_num_args().map_or(1, |values| values.min_values());
    let follows = found.get_action().takes_values() && !inline && needs > 0;
    Some((found, if follows { 2 } else { 1 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(arguments: &str) -> Result<String, SettingsError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("app")).unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        let environment = Environment::of(folder.path(), [("HOME", "/")]);
        let all = ["imgbuild"].into_iter().chain(arguments.split_whitespace());
        let all = with_command(all.map(OsString::from).collect(), &environment)?;
        Ok(all[1..].iter().map(|argument| argument.to_str().unwrap()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn what_is_no_command_is_built() {
        for (arguments, expected) in [
            ("", "build"),
            (".", "build ."),
            ("app", "build app"),
            ("./none", "build ./none"),
            ("-", "build -"),
            ("https://github.com/me/app.git#main", "build https://github.com/me/app.git#main"),
            ("--home x -t y .", "--home x build -t y ."),
            ("images", "images"),
            ("--help", "--help"),
        ] {
            assert_eq!(resolved(arguments).as_deref(), Ok(expected), "{arguments}");
        }
        for word in ["file", "insepct", "none"] {
            assert!(resolved(word).is_err(), "{word}");
        }
    }

    #[test]
    fn switches_can_be_told_true_or_false() {
        for (arguments, expected) in [
            ("build --push=true .", "build --push ."),
            ("build --push=false .", "build ."),
            ("build --push --push=0 .", "build ."),
            ("build --load=1 --load=true .", "build --load ."),
            ("build --quiet=true .", "build --quiet ."),
            ("--pull=false .", "build ."),
            ("build --rm=true --check=false", "build --rm"),
            ("--home images build --push=true", "--home images build --push"),
            ("--home build images --quiet=true", "--home build images --quiet"),
            ("build --push --load -t --push --push=false .", "build --load -t --push ."),
            ("build --push --load --push=false --load=false .", "build ."),
            ("build --push=maybe", "build --push=maybe"),
            ("build --provenance=false", "build --provenance=false"),
            ("build -- --push=false", "build -- --push=false"),
        ] {
            assert_eq!(resolved(arguments).as_deref(), Ok(expected), "{arguments}");
        }
    }
}
