//! The whole help is a snapshot: a change of it is seen in review.

use crate::support::cli::TestContext;

#[test]
fn help_fits_a_screen() {
    let output = TestContext::new().run(&["--help"]);
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(help.lines().count() <= 30, "{help}");
    assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
}

#[test]
fn help_of_every_command() {
    let context = TestContext::new();
    let commands: [&[&str]; 16] = [
        &["--help"],
        &["build", "-h"],
        &["check", "-h"],
        &["convert", "-h"],
        &["inspect", "-h"],
        &["validate", "-h"],
        &["images", "-h"],
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
    let mut all = String::new();
    for command in commands {
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
