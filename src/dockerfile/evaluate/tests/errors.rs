//! What is wrong, and what to do.

use super::{evaluated, request};
use crate::{
    dockerfile::{
        evaluate::{bases, mention},
        parse_bytes,
    },
    recipe::{BaseConfigs, BaseImage, ImageSource},
    source::Location,
};

#[test]
fn mistakes_are_explained() {
    let mut told = String::new();
    for text in [
        "FROM $NOTHING",
        "ARG X\nFROM ${X}",
        "ARG X=\nFROM ${X}",
        "ARG VERSION=1\nFROM alpine:$VERSOIN",
        "ARG I\nFROM ${I}:${T}",
        "FROM scratch\nARG V=1\nFROM alpine:$V",
        "FROM \"\"",
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

#[test]
fn images_are_mentioned_where_they_are_first_named() {
    let text = "ARG I=bulid\nFROM scratch AS build\nFROM alpine:3 AS unused\nFROM $I AS later\n\
                COPY --from=buidl /a /\nRUN --mount=from=late,target=/x true\nCOPY --from=bulid:1 a /\n\
                FROM later\nCOPY --from=tool a /\n";
    let file = parse_bytes("Dockerfile", text.as_bytes()).unwrap();
    let request = request(None, &[]);
    let bases = bases(&file, &request, &BaseConfigs::new()).unwrap();
    let base = |name: &str| BaseImage {
        image: ImageSource::Reference(name.parse().unwrap()),
        platform: request.platform.clone(),
    };
    assert_eq!(bases, [base("bulid")]);
    for (name, expected) in [
        ("bulid", Some((4, "$I", Some("build")))),
        ("buidl", Some((5, "buidl", Some("build")))),
        // A stage can use earlier ones only, and whoever writes a tag means an image.
        ("late", Some((6, "late", None))),
        ("bulid:1", Some((7, "bulid:1", None))),
        ("tool", Some((9, "tool", None))),
        ("alpine:3", None),
    ] {
        let mention = mention(&file, &request, &BaseConfigs::new(), &base(name)).unwrap();
        let mention = mention.as_ref().map(|mention| {
            let Location { file, range } = &mention.location;
            (mention.location.line(), &file.text()[range.clone()], mention.similar_stage.as_deref())
        });
        assert_eq!(mention, expected, "{name}");
    }
}
