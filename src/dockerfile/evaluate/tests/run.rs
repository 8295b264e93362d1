//! `RUN`.

use super::told;
use crate::recipe::{Mount, StepKind};

#[test]
fn commands() {
    insta::assert_snapshot!(told(
        "FROM python:3\nARG A=1 B\nENV E=2\nRUN echo \"$A\" && \\\n  x\nRUN [\"/bin/true\", \"$A\"]\n\
         SHELL [\"/bin/bash\", \"-c\"]\nWORKDIR /w\nUSER app:5\nRUN x\n\
         RUN <<EOF\na\nb $A\nEOF\nRUN <<-EOF\n\ta\nEOF\nRUN cat <<a > /x && cat <<-'b'\n1\na\n\t2\nb\n\
         RUN <<P\n#!/usr/bin/env python3\nprint(1)\nP\nRUN --network=none --security=insecure y\n"
    ));
}

#[test]
fn mounts() {
    insta::assert_snapshot!(told(
        "FROM busybox AS one\nFROM busybox\nWORKDIR /w\nENV D=/deps\n\
         RUN --mount=type=bind,target=. --mount=target=/c,source=/src/../x,rw \
         --mount=type=bind,from=one,target=$D,readwrite --mount=from=alpine:3,dst=/alpine \
         --mount=from=scratch,target=/empty x\n\
         RUN --mount=type=cache,target=/root/.cache --mount=type=cache,id=apt,target=apt,sharing=locked,\
         from=one,source=/seed,mode=0700,uid=5,gid=6,ro --mount=type=cache,from=scratch,target=/z x\n\
         RUN --mount=type=tmpfs,target=/t --mount=type=tmpfs,target=/t2,size=64m x\n\
         RUN --mount=type=secret,id=a --mount=type=secret,id=dir/b,target=/b,required,mode=0440,uid=1 \
         --mount=type=secret,id=c,env=C --mount=type=secret,id=d,env=D,target=d --mount=type=secret,target=/x/e x\n\
         RUN --mount=type=ssh --mount=type=ssh,id=k,required=true,target=/s,gid=7 --mount=type=ssh x\n"
    ));
}

#[test]
fn a_script_longer_than_an_argument_is_a_file() {
    let text = format!("FROM busybox\nRUN <<EOF\n{}EOF\nSHELL [\"/x\"]\nRUN y\n", "true\n".repeat(30_000));
    let recipe = super::evaluated(&text, &super::request(None, &[])).unwrap();
    let runs: Vec<_> = recipe
        .stages
        .last()
        .unwrap()
        .steps
        .iter()
        .filter_map(|step| match &step.kind {
            StepKind::Run(run) => Some(run),
            _ => None,
        })
        .collect();
    assert_eq!(runs[0].argv, ["/bin/sh", "/dev/pipes/script"]);
    assert!(matches!(&runs[0].mounts[..], [Mount::Bind(bind)] if bind.target == "/dev/pipes"));
    assert_eq!(runs[1].argv, ["/x", "y"]);
}
