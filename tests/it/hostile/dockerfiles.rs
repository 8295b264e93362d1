//! Dockerfiles that want more than there is.

use std::fmt::Write as _;

use crate::support::cli::TestContext;

#[track_caller]
fn refused(text: &str, essentials: &[&str]) {
    let ctx = TestContext::new();
    let (done, told) = ctx.with_busybox().dockerfile(text, &[]);
    assert!(!done && !told.contains("panicked"), "{:.2000}", told);
    for essential in essentials {
        assert!(told.contains(essential), "{essential:?} is missing in {told:.2000}");
    }
    assert!(told.len() < 20_000, "{} bytes were told", told.len());
}

#[test]
fn scripts_may_be_long_and_command_lines_may_not() {
    let mut lines = String::new();
    for number in 0..1_000_000 {
        writeln!(lines, ": {number}").unwrap();
    }
    let ctx = TestContext::new();
    let (done, told) =
        ctx.with_busybox().dockerfile(&format!("FROM bb\nRUN <<EOF\n{lines}echo at the end\nEOF\n"), &[]);
    assert!(done && told.contains("at the end"), "{told:.2000}");
    refused(&format!("FROM bb\nRUN [\"echo\", \"{}\"]\n", "x".repeat(1 << 20)), &["Argument list too long"]);
}

#[test]
fn triggers_of_triggers_are_refused() {
    refused(&format!("FROM bb\n{}RUN true\n", "ONBUILD ".repeat(100_000)), &["ONBUILD", "Dockerfile:2"]);
}

#[test]
fn very_many_triggers_run() {
    let ctx = TestContext::new();
    let triggers = "ONBUILD ENV A=1\n".repeat(10_000);
    let (done, told) = ctx
        .with_busybox()
        .dockerfile(&format!("FROM bb AS base\n{triggers}FROM base\nRUN test $A = 1\n"), &[]);
    assert!(done, "{told:.2000}");
}
