//! Which tags rules give.

mod build;
mod command;
mod readme;

use std::process::Command;

use crate::support::cli::TestContext;

/// Runs git in the project, at the second 1234.
fn git(context: &TestContext, arguments: &[&str]) {
    let status = Command::new("git")
        .args(["-c", "user.name=a", "-c", "user.email=a@b.example"])
        .args(arguments)
        .current_dir(context.project())
        .envs([("GIT_AUTHOR_DATE", "@1234 +0000"), ("GIT_COMMITTER_DATE", "@1234 +0000")])
        .output()
        .unwrap()
        .status;
    assert!(status.success(), "git {arguments:?}");
}

/// A repository with these tags, each on a commit of its own; the last one is checked out on `main`.
fn repository(tags: &[&str]) -> TestContext {
    let context = TestContext::new();
    git(&context, &["init", "-q", "-b", "main"]);
    git(&context, &["commit", "-q", "--allow-empty", "-m", "first"]);
    for tag in tags {
        git(&context, &["commit", "-q", "--allow-empty", "-m", tag]);
        git(&context, &["tag", tag]);
    }
    context
}

const SPEC: &str = "name: app
registries: [ghcr.io/me, localhost:5000]
tags: [semver, branch]
from: scratch
layers:
  - write: {path: /x, text: x}
";
