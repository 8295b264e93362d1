//! The same input makes the same image, wherever and by whom it is built.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::Command,
};

use super::TestContext;
use crate::tools::{run, tool};

const SPEC: &str = "platforms: [linux/amd64, linux/arm64]
from: scratch
layers:
  - user: {name: app, uid: 1000}
  - {copy: src, to: /src, owner: app}
  - {copy: src/run, to: /usr/bin/run}
  - write: {path: /etc/arch, text: '${TARGETARCH}'}
";

fn fill(ctx: &TestContext) {
    ctx.spec(SPEC).write("src/run", "#!/bin/sh\n");
    for number in 0..50 {
        ctx.write(
            &format!("src/{}/{number}.txt", number % 7),
            format!("file {number}\n").repeat(number * 20),
        );
    }
    // Big enough for several blocks of compression.
    let noise: Vec<u8> = (0..1_500_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 23) as u8).collect();
    ctx.write("src/noise", noise);
    fs::set_permissions(ctx.project().join("src/run"), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("run", ctx.project().join("src/link")).unwrap();
}

fn project() -> TestContext {
    let ctx = TestContext::new();
    fill(&ctx);
    ctx
}

#[track_caller]
fn digest(command: &mut Command) -> String {
    run(command)
}

fn plain(ctx: &TestContext) -> String {
    digest(&mut ctx.command(&["build", "-q"]))
}

#[test]
fn cores_cache_and_clones_do_not_matter() {
    let ctx = project();
    let expected = plain(&ctx);
    for arguments in [&["build", "-q"][..], &["build", "-q", "--no-cache"]] {
        assert_eq!(digest(&mut ctx.command(arguments)), expected, "{arguments:?}");
    }
    for jobs in ["1", "2", "7"] {
        let other = project();
        assert_eq!(digest(&mut other.command(&["build", "-q", "--jobs", jobs])), expected, "{jobs} jobs");
        let mut again = ctx.command(&["build", "-q", "--no-cache", "--jobs", jobs]);
        assert_eq!(digest(&mut again), expected, "{jobs} jobs without a cache");
    }
    let other = project();
    let mut pinned = tool("taskset", "util-linux");
    pinned.args(["-c", "0", env!("CARGO_BIN_EXE_imgbuild"), "build", "-q"]).current_dir(other.project());
    pinned.env("IMGBUILD_HOME", other.store()).env("HOME", other.home());
    assert_eq!(digest(&mut pinned), expected);
}

#[test]
fn zstd_is_reproducible_too() {
    let arguments = ["build", "-q", "--compression", "zstd"];
    let expected = digest(&mut project().command(&arguments));
    for jobs in ["1", "7"] {
        let mut all = arguments.to_vec();
        all.extend(["--jobs", jobs]);
        assert_eq!(digest(&mut project().command(&all)), expected);
    }
    assert_ne!(expected, plain(&project()));
}

#[test]
fn umask_times_and_modes_of_a_clone_do_not_matter() {
    let expected = plain(&project());
    let other = TestContext::new();
    fill(&other);
    run(tool("sh", "dash")
        .args(["-ec", "chmod -R go-rwx src; chmod -R g+w src; find . -exec touch -h -d @1234567 {} +"])
        .current_dir(other.project()));
    let mut command = tool("sh", "dash");
    command.args(["-c", "umask 077; exec \"$0\" build -q", env!("CARGO_BIN_EXE_imgbuild")]);
    command.current_dir(other.project()).env("IMGBUILD_HOME", other.store()).env("HOME", other.home());
    assert_eq!(digest(&mut command), expected);
}

#[test]
fn the_user_does_not_matter() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let expected = plain(&project());
    let other = project();
    let root = other.project().parent().unwrap().to_owned();
    run(tool("chown", "coreutils").args(["-R", "65534:65534"]).arg(&root));
    // The folder of the build, which may lie in a home of root's, is not for others: a copy of the program is.
    let program = root.join("imgbuild");
    fs::copy(env!("CARGO_BIN_EXE_imgbuild"), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(&program);
    command.args(["build", "-q"]).current_dir(other.project()).uid(65534).gid(65534);
    command.env("IMGBUILD_HOME", other.store()).env("HOME", other.home());
    assert_eq!(digest(&mut command), expected);
}

#[test]
fn a_clone_of_a_commit_is_that_commit_wherever_it_lies() {
    let ctx = project();
    let git = |folder: &Path, arguments: &[&str]| {
        let identity =
            ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"];
        let mut command = tool("git", "git");
        command.args(identity).args(arguments).current_dir(folder).env("HOME", ctx.home());
        run(command
            .env("GIT_COMMITTER_DATE", "@1700000000 +0100")
            .env("GIT_AUTHOR_DATE", "@1600000000 +0000"));
    };
    git(&ctx.project(), &["init", "-q"]);
    git(&ctx.project(), &["add", "."]);
    git(&ctx.project(), &["commit", "-qm", "all"]);
    let expected = plain(&ctx);
    let other = TestContext::new();
    fs::remove_dir(other.project()).unwrap();
    let (from, to) = (ctx.project(), other.project());
    git(&ctx.home(), &["clone", "-q", from.to_str().unwrap(), to.to_str().unwrap()]);
    assert_eq!(plain(&other), expected);
    let image: serde_json::Value = serde_json::from_str(&run(&mut other.command(&["inspect", "--json", &{
        other.write("imgbuild.yaml", SPEC);
        run(&mut other.command(&["build", "-q", "-t", "app"]));
        "app".to_owned()
    }])))
    .unwrap();
    assert_eq!(image["platforms"][0]["created"], "2023-11-14T22:13:20Z");
}
