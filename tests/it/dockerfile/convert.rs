//! A Dockerfile, and the spec that `imgbuild convert` writes of it: both are built, and come to the same image.

use std::collections::BTreeMap;

use super::{TestContext, built};
use crate::support::image::{Image, Member};

/// Later than what files have that are copied without a time of their own.
const AFTER_COPIES: u64 = 315_532_801;

/// What the layers come to, one on top of the other.
fn files(image: &Image) -> BTreeMap<String, Member> {
    let mut files = BTreeMap::new();
    for member in image.layers.iter().flatten() {
        let mut member = member.clone();
        // What a command wrote has the time at which it did.
        member.mtime = member.mtime.min(AFTER_COPIES);
        files.insert(String::from_utf8_lossy(&member.path).into_owned(), member);
    }
    files
}

/// Builds both, and gives the spec.
#[track_caller]
fn same(context: &TestContext, text: &str) -> String {
    context.write("Dockerfile", text);
    let _ = std::fs::remove_file(context.project().join("spec.yaml"));
    let done = context.run(&["convert", "-o", "spec.yaml"]);
    assert!(done.status.success(), "{}", context.describe(&done));
    let spec = std::fs::read_to_string(context.project().join("spec.yaml")).unwrap();
    let one = built(context, &["-f", "Dockerfile"]);
    let other = built(context, &["-f", "spec.yaml"]);
    assert_eq!(one.config["config"], other.config["config"], "{text}\n{spec}");
    for field in ["architecture", "os", "variant"] {
        assert_eq!(one.config[field], other.config[field]);
    }
    assert_eq!(files(&one), files(&other), "{text}\n{spec}");
    spec
}

#[test]
fn a_converted_dockerfile_builds_the_same_image() {
    let ctx = TestContext::new();
    for (path, content) in [
        ("a.txt", "a"),
        ("b.txt", "b"),
        ("dir/c.txt", "c"),
        ("dir/sub/d.md", "d"),
        ("[id].ts", "id"),
        ("Dockerfile.dockerignore", "out\n"),
    ] {
        ctx.write(path, content);
    }
    ctx.write("files.tar", super::tar(&["in/the", "tar"]));
    for text in [
        "FROM scratch\n",
        "ARG V=1\nFROM scratch AS a\nARG V\nENV A=$V B=\"x y\" PATH=/x:$PATH\nLABEL v=$A\nFROM a\nENV C=$B\n",
        "FROM scratch\nWORKDIR /app\nCOPY . .\nCOPY --chown=5:6 a.txt b.txt /opt/deep/dir/\nCOPY --chmod=600 a.txt x\n",
        "FROM scratch\nCOPY dir /tmp/\nCOPY a.txt /tmp\nCOPY *.txt none* /all/\nCOPY dir /root/x\n",
        "FROM scratch\nUSER 7\nWORKDIR /home/u/w\nCOPY --link a.txt sub/\nUSER 8\nWORKDIR /tmp\n",
        "FROM scratch\nCOPY --parents dir/sub/*.md /p/\nCOPY --exclude=**/*.md dir /q/\nCOPY --chmod=u+x,go=r a.txt /r\n",
        "FROM scratch\nARG N=you\nCOPY <<A <<'B' /etc/\nhi $N\nA\n$N ${N} $$\nB\n\
         COPY --chown=3 --chmod=0700 <<EOF /opt/bin/run\n#!/bin/sh\n  x\n\nEOF\n",
        "FROM scratch AS a\nCOPY a.txt /x/a\nFROM scratch\nCOPY --from=a /x /y\nCOPY --from=0 x/a /z/\n",
        "FROM scratch\nADD a.txt dir /x/\nADD files.tar /y/\nADD --unpack=false files.tar /z/\n",
        "FROM scratch\nUSER 5:6\nEXPOSE 8000-8001 53/udp\nVOLUME /data\nSTOPSIGNAL SIGINT\nSHELL [\"/bin/ash\", \"-c\"]\n\
         HEALTHCHECK --interval=30s --retries=3 CMD check it\nCMD run ${C} $$\nENTRYPOINT [\"/e\", \"$X\"]\nONBUILD COPY . /\n",
    ] {
        same(&ctx, text);
    }
}

#[test]
fn converted_commands_run_the_same() {
    let ctx = TestContext::new();
    ctx.with_busybox().write("a.txt", "a");
    let spec = same(
        &ctx,
        "ARG V=1\nFROM bb\nARG V\nWORKDIR /work\nCOPY a.txt .\nRUN echo \"$V\" > v && \\\n    chmod 700 v\n\
         USER 5\nRUN id -u > /tmp/id; [ -w /work ] || echo no >> /tmp/id\nUSER 0\n\
         RUN <<EOF\nset -e\nmkdir -p /d/e\nchown 5 /d\nEOF\nCOPY --chown=9 a.txt /d/e/f/\nWORKDIR /d\n\
         RUN --mount=target=/ctx,ro cat /ctx/a.txt > from\nCMD [\"x\"]\n",
    );
    assert!(spec.contains("user: \"5\""), "{spec}");
}

#[test]
fn what_is_not_converted_is_told() {
    let ctx = TestContext::new();
    ctx.write("Dockerfile", "FROM scratch\nMAINTAINER me\nENV A=1\n");
    let done = ctx.run(&["convert"]);
    assert_eq!(done.status.code(), Some(1), "{}", ctx.describe(&done));
    let spec = String::from_utf8(done.stdout).unwrap();
    assert!(spec.contains("# not converted: MAINTAINER me"), "{spec}");
    let told = String::from_utf8(done.stderr).unwrap();
    assert!(told.contains("warning: Dockerfile:2: not converted: "), "{told}");

    ctx.write("spec.yaml", "mine");
    let done = ctx.run(&["convert", "-o", "spec.yaml"]);
    assert_eq!(done.status.code(), Some(2), "{}", ctx.describe(&done));
    assert_eq!(ctx.run(&["convert", "-o", "spec.yaml", "--force"]).status.code(), Some(1));
}
