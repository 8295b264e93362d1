//! Stages: what is built, on what, in which order.

use super::{evaluated, image, request, told, told_for};
use crate::{
    oci::Platform,
    recipe::{Base, ContextSource},
};

const STAGES: &str = "\
FROM --platform=$BUILDPLATFORM golang:1 AS Build
RUN make
FROM busybox AS unused
FROM scratch
COPY --from=build /a /a
COPY --from=0 /b /b
FROM build as test
RUN test
FROM --platform=linux/s390x build
COPY --from=alpine:3 /x /x
";

#[test]
fn only_what_the_target_needs_is_done() {
    for (target, stages) in [
        (None, "build stage-4"),
        (Some("build"), "build"),
        (Some("BUILD"), "build"),
        (Some("2"), "build stage-2"),
        (Some("stage-2"), "build stage-2"),
        (Some("test"), "build test"),
        (Some("unused"), "unused"),
    ] {
        let recipe = evaluated(STAGES, &request(target, &[])).unwrap();
        let names: Vec<&str> = recipe
            .stages
            .iter()
            .map(|stage| stage.name.as_str())
            .filter(|name| !name.starts_with("alpine"))
            .collect();
        assert_eq!(names.join(" "), stages, "{target:?}");
    }
}

#[test]
fn stages_have_platforms_and_places() {
    insta::assert_snapshot!(told_for(STAGES, &request(Some("2"), &[])));
    // The platform of a stage is that of the stage below; an image to copy from is the target's.
    insta::assert_snapshot!(told(STAGES));
}

#[test]
fn from_means_a_stage_then_a_context_then_an_image() {
    let mut request = request(None, &[]);
    let folder = ContextSource::Directory("/folder".into());
    request.contexts.insert("docker.io/library/python:3.11".into(), ContextSource::Image(image("mine:1")));
    request.contexts.insert("alpine".into(), ContextSource::Image(image("mine:2")));
    request.contexts.insert("files".into(), folder.clone());
    request.contexts.insert("replaced".into(), folder);
    for (from, base) in [
        ("FROM python:3.11", "mine:1"),
        ("FROM docker.io/library/alpine:latest", "mine:2"),
        ("FROM alpine:3", "alpine:3"),
        ("FROM alpine AS alpine\nFROM alpine", "stage mine:2"),
        ("FROM scratch AS scratch\nFROM scratch", "stage scratch"),
        ("FROM debian AS base\nFROM BASE", "stage debian"),
        ("FROM debian AS replaced\nRUN x\nFROM replaced", "stage context"),
        ("FROM files", "context"),
        ("ARG I=python\nFROM ${I}:3.11", "mine:1"),
    ] {
        let recipe = evaluated(from, &request).unwrap();
        let words = |stage: &crate::recipe::Stage| match &stage.base {
            Base::Scratch if stage.steps.iter().any(|step| step.name.starts_with("FROM ")) => {
                "context".into()
            }
            Base::Scratch => "scratch".to_owned(),
            Base::Image(image) => image.to_string(),
            Base::Stage(_) => "stage".to_owned(),
        };
        let found: Vec<String> = recipe.stages.iter().rev().map(words).collect();
        assert_eq!(found.join(" "), base, "{from}");
    }
}

#[test]
fn a_stage_leaves_environment_arguments_and_config_but_not_its_triggers() {
    insta::assert_snapshot!(told(
        "FROM busybox AS base\nARG A=1\nENV B=2\nWORKDIR /w\nUSER 5:6\nONBUILD RUN echo $A\nONBUILD COPY a b\n\
         CMD [\"x\"]\nFROM base AS next\nRUN two\nFROM next\nWORKDIR sub\nENTRYPOINT [\"e\"]\nRUN three\n"
    ));
}

#[test]
fn triggers_of_a_base_run_first_and_may_need_stages() {
    let text = "FROM debian AS other\nFROM debian AS unused\nFROM trigger:1\nRUN last\n";
    insta::assert_snapshot!(told(text));
}

#[test]
fn files_of_any_length_are_evaluated() {
    // A chain of stages as long as a file allows.
    let mut text = String::from("FROM busybox AS s0\n");
    for number in 1..20_000 {
        text.push_str(&format!("FROM s{} AS s{number}\n", number - 1));
    }
    assert_eq!(evaluated(&text, &request(None, &[])).unwrap().stages.len(), 20_000);
    let mut text = String::from("FROM busybox\nCOPY <<EOF /x\n");
    text.push_str(&"line\n".repeat(1_000_000));
    text.push_str("EOF\nRUN <<EOF\n");
    text.push_str(&"true\n".repeat(1_000_000));
    text.push_str("EOF\n");
    let recipe = evaluated(&text, &request(None, &[])).unwrap();
    for step in recipe.stages.iter().flat_map(|stage| &stage.steps) {
        assert!(step.name.len() < 2000 && step.created_by.len() < 70_000, "{}", step.created_by.len());
    }
    let triggers = "ONBUILD RUN true\n".repeat(10_000);
    let text = format!("FROM busybox AS a\n{triggers}FROM a AS b\n{triggers}FROM b\n");
    assert_eq!(evaluated(&text, &request(None, &[])).unwrap().stages[2].steps.len(), 10_000);
}

#[test]
fn platforms_are_read_from_arguments() {
    let text = "ARG P=linux/riscv64\nFROM --platform=$P busybox\nARG TARGETARCH\nARG BUILDPLATFORM\nRUN x\n";
    let recipe = evaluated(text, &request(None, &[])).unwrap();
    assert_eq!(recipe.stages[0].platform, "linux/riscv64".parse::<Platform>().unwrap());
}
