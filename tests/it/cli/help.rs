//! The whole help is a snapshot: a change of it is seen in review.

use crate::support::cli::TestContext;

#[test]
fn help_fits_a_screen() {
    let output = TestContext::new().run(&["--help"]);
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(help.lines().count() <= 40, "{help}");
    assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
}

const COMMANDS: &[&[&str]] = &[
    &["--help"],
    &["build", "-h"],
    &["check", "-h"],
    &["convert", "-h"],
    &["lock", "-h"],
    &["inspect", "-h"],
    &["validate", "-h"],
    &["images", "-h"],
    &["tags", "-h"],
    &["push", "-h"],
    &["promote", "-h"],
    &["index", "-h"],
    &["rm", "-h"],
    &["release", "-h"],
    &["release", "status", "-h"],
    &["release", "resume", "-h"],
    &["release", "rollback", "-h"],
    &["index", "create", "-h"],
    &["cache", "keygen", "-h"],
    &["login", "-h"],
    &["logout", "-h"],
    &["cache", "-h"],
    &["cache", "ls", "-h"],
    &["cache", "du", "-h"],
    &["cache", "gc", "-h"],
    &["cache", "clear", "-h"],
    &["why", "-h"],
    &["logs", "-h"],
    &["schema", "-h"],
    &["doctor", "-h"],
];

#[test]
fn text_is_wrapped_for_the_terminal_and_not_before() {
    let context = TestContext::new();
    for command in COMMANDS {
        for width in [50, 80, 100] {
            let output = context.command(command).env("COLUMNS", width.to_string()).output().unwrap();
            let help = String::from_utf8(output.stdout).unwrap();
            let lines: Vec<&str> = help.lines().collect();
            for two in lines.windows(2).filter(|two| !two[0].ends_with(['.', ':'])) {
                let is_text = |line: &str| !line.is_empty() && !line.starts_with(' ');
                let first = two[1].split(' ').next().unwrap_or_default();
                // A word goes to the next line where it does not fit.
                let fits = two[0].chars().count() + 1 + first.chars().count() <= width;
                assert!(!is_text(two[0]) || !is_text(two[1]) || !fits, "{command:?} at {width}: {two:#?}");
            }
            // Lines to copy are whole on a usual terminal.
            let mut examples = lines.iter().skip_while(|line| !line.starts_with("Example")).skip(1);
            let whole = examples.all(|line| line.starts_with("  imgbuild "));
            assert!(whole || width < 80, "{command:?}: {help}");
        }
    }
}

#[test]
fn help_of_every_command() {
    let context = TestContext::new();
    let mut all = String::new();
    for command in COMMANDS {
        let output = context.run(command);
        assert!(output.status.success() && output.stderr.is_empty(), "{command:?}");
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(help.contains("  imgbuild ") || command.len() > 2, "{command:?} has no example");
        all.push_str(&format!("$ imgbuild {}\n{help}\n", command.join(" ")));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn long_and_short_help_are_the_same() {
    let context = TestContext::new();
    assert_eq!(context.run(&["build", "--help"]).stdout, context.run(&["build", "-h"]).stdout);
}
