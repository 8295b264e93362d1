//! `imgbuild check`, and what builds tell of the same.

use super::TestContext;

#[test]
fn findings_are_shown_with_their_lines() {
    let ctx = TestContext::new();
    ctx.write("Dockerfile", "FROM alpine AS Base\nCOPY . /app\nCMD serve --all\n");
    insta::assert_snapshot!(ctx.transcript(&["check"]));
    ctx.write("Dockerfile", "FROM alpine:3.20 AS base\nUSER app\n");
    insta::assert_snapshot!(ctx.transcript(&["check"]), @r"
    status: 0
    ----- stdout
    no findings
    ----- stderr
    ");
}

#[test]
fn the_status_is_one_if_findings_are_errors() {
    let ctx = TestContext::new();
    let bad = "FROM alpine:3.20 AS Base\nUSER app\n";
    for (text, arguments, status) in [
        (bad.to_owned(), &[][..], 0),
        (bad.to_owned(), &["--error"], 1),
        (format!("# check=error=true\n{bad}"), &[], 1),
        (format!("# check=skip=StageNameCasing;error=true\n{bad}"), &[], 0),
        (format!("# check=error=true\n{bad}"), &["--build-arg", "BUILDKIT_DOCKERFILE_CHECK=skip=all"], 0),
        ("FORM alpine\n".to_owned(), &[], 2),
        ("FROM $NOTHING\n".to_owned(), &[], 2),
    ] {
        ctx.write("Dockerfile", &text);
        let done = ctx.run(&[&["check"], arguments].concat());
        assert_eq!(done.status.code(), Some(status), "{text}: {}", ctx.describe(&done));
    }
}

#[test]
fn findings_are_json_for_machines() {
    let ctx = TestContext::new();
    ctx.write("app/Dockerfile", "FROM alpine:3.20 AS Base\nUSER app\n");
    let done = ctx.run(&["check", "--format", "json", "app"]);
    let value: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    let finding = &value["findings"][0];
    assert_eq!((&finding["rule"], &finding["line"]), (&"StageNameCasing".into(), &1.into()));
    assert_eq!(finding["file"], "app/Dockerfile");
}

#[test]
fn builds_warn_and_fail_if_asked() {
    let ctx = TestContext::new();
    let text = "FROM scratch AS Base\nLABEL a=$TYPO\n";
    ctx.write("Dockerfile", text);
    let done = ctx.run(&["build", "--platform", "linux/amd64,linux/arm64"]);
    let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{stderr}");
    for rule in ["StageNameCasing", "UndefinedVar"] {
        assert_eq!(stderr.matches(rule).count(), 1, "{stderr}");
    }
    // What is not Docker's is for `check`.
    assert!(!stderr.contains("NonRootUser"), "{stderr}");
    let (status, stderr) = ctx.refused(&format!("# check=error=true\n{text}"), &[]);
    assert!(status == 2 && stderr.contains("StageNameCasing, UndefinedVar"), "{stderr}");
}
