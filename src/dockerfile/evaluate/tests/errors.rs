//! What is wrong, and what to do.

use super::{evaluated, request};

#[test]
fn mistakes_are_explained() {
    let mut told = String::new();
    for text in [
        "FROM $NOTHING",
        "FROM Alpine",
        "FROM debian AS base\nFROM bsae:",
        "FROM --platform=$NOTHING alpine",
        "FROM --platform=arm alpine",
        "FROM scratch AS a\nCOPY --from=a x y",
        "FROM scratch AS a\nCOPY --from=1 x y\nFROM a",
        "FROM scratch AS a\nCOPY --from=7 x y",
        "FROM scratch AS a\nCOPY --from=b x y\nFROM scratch AS b\nFROM a",
        "FROM scratch\nCOPY --from=Up/x: a b",
        "FROM scratch\nCOPY a b c",
        "FROM scratch\nCOPY https://x.example/a b",
        "FROM scratch\nCOPY git@x.example:a/b b",
        "FROM scratch\nCOPY --chmod=9 a b",
        "FROM scratch\nCOPY --chown=a:b:c a b",
        "FROM scratch\nCOPY --chown=: a b",
        "FROM scratch\nADD --checksum=sha256:00 https://x.example/a b",
        "FROM scratch\nADD --checksum=sha256:00 a b",
        "FROM scratch\nADD https://x.example/a.git?wrong=1 b",
        "FROM scratch\nEXPOSE 80/http",
        "FROM scratch\nEXPOSE 70000",
        "FROM scratch\nENV A=1\nSTOPSIGNAL SIG$A",
        "FROM scratch\nENV A=\"${B:?must be set}\"",
        "FROM scratch\nVOLUME $A",
        "FROM scratch\nENV $A=1",
        "FROM scratch\nRUN []",
        "FROM scratch\nRUN --mount=type=tmpfs,target=/ x",
        "FROM scratch\nRUN --mount=target=/x,from=up: x",
        "FROM scratch\nRUN --device=gpu x",
        "FROM scratch\nUSER a:b:c\nWORKDIR /x",
    ] {
        let error = evaluated(text, &request(None, &[])).expect_err(text);
        told.push_str(&format!("{}\n  {error}\n", text.replace('\n', " ⏎ ")));
    }
    insta::assert_snapshot!(told);
}

#[test]
fn targets_that_are_not_there() {
    let text = "FROM scratch AS development\nFROM scratch AS production\nFROM scratch\n";
    for (target, expected) in [
        ("prodution", "has no stage \"prodution\" | did you mean `production`?"),
        ("zebra", "stages: development, production"),
        ("3", "has no stage \"3\""),
    ] {
        let error = evaluated(text, &request(Some(target), &[])).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}
