//! Arguments, environment and config.

use super::{evaluated, request, told, told_for};
use crate::recipe::StepKind;

/// The environment of the last command, without the search path.
fn env(text: &str, args: &[(&str, &str)]) -> String {
    let recipe = evaluated(&format!("{text}\nRUN x\n"), &request(None, args)).unwrap();
    let step = recipe.stages.last().unwrap().steps.last().unwrap().clone();
    let StepKind::Run(run) = step.kind else { panic!("the last step is RUN") };
    let pairs =
        run.env.iter().filter(|(name, _)| name != "PATH").map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join(" ")
}

#[test]
fn arguments_have_scopes_and_precedence() {
    let none: &[(&str, &str)] = &[];
    for (text, args, expected) in [
        // Outside of stages they are for FROM, unless a stage takes them over.
        ("ARG A=1\nFROM scratch", none, ""),
        ("ARG A=1\nFROM scratch\nARG A", none, "A=1"),
        ("ARG A=1\nFROM scratch\nARG A=2", none, "A=2"),
        ("ARG A=1\nFROM scratch\nARG A", &[("A", "9")], "A=9"),
        ("ARG A=1\nFROM scratch\nARG A=2", &[("A", "9")], "A=9"),
        ("ARG A=1\nARG B=$A-$A\nFROM scratch\nARG B", none, "B=1-1"),
        // Without a value they are declared and not set.
        ("FROM scratch\nARG A", none, ""),
        ("FROM scratch\nARG A=", none, "A="),
        ("FROM scratch\nARG A\nARG A=1", none, "A=1"),
        ("FROM scratch", &[("A", "9")], ""),
        ("FROM scratch\nARG A=1 B=${A}2", none, "A=1 B=12"),
        // The later of ARG and ENV counts.
        ("FROM scratch\nARG A=1\nENV A=2", none, "A=2"),
        ("FROM scratch\nENV A=2\nARG A=1", none, "A=1"),
        ("FROM scratch\nENV A=2\nARG A", none, "A=2"),
        ("FROM scratch\nARG A=1\nENV A=${A:-x}y", none, "A=1y"),
        ("FROM scratch\nENV A=1\nENV A=2 B=$A", none, "A=2 B=1"),
        // A stage has those of the stage it starts from.
        ("FROM scratch AS a\nARG A=1\nENV B=2\nFROM a", none, "A=1 B=2"),
        ("FROM scratch AS a\nARG A=1\nFROM scratch", none, ""),
        // Platforms are there for those who declare them.
        ("FROM scratch\nARG TARGETARCH BUILDPLATFORM", none, "TARGETARCH=arm64 BUILDPLATFORM=linux/amd64"),
        ("FROM scratch\nARG TARGETVARIANT", none, "TARGETVARIANT="),
        ("FROM scratch\nARG TARGETARCH=x", none, "TARGETARCH=x"),
        ("FROM scratch\nARG TARGETARCH", &[("TARGETARCH", "z80")], "TARGETARCH=z80"),
        ("FROM scratch AS Last\nARG TARGETSTAGE", none, "TARGETSTAGE=last"),
        ("FROM scratch\nARG TARGETSTAGE", none, "TARGETSTAGE=default"),
        // Proxies are given to commands by those who carry them out; expansion wants a declaration.
        ("FROM scratch\nENV A=$http_proxy", &[("http_proxy", "http://p")], "A="),
        ("FROM scratch\nARG http_proxy\nENV A=$http_proxy", &[("http_proxy", "p")], "http_proxy=p A=p"),
        ("FROM python:3", none, "LANG=C.UTF-8"),
        ("FROM python:3\nENV X=$LANG LANG=C", none, "LANG=C X=C.UTF-8"),
    ] {
        assert_eq!(env(text, args), expected, "{text} {args:?}");
    }
}

#[test]
fn the_epoch_is_an_argument() {
    let mut request = request(None, &[]);
    request.source_date_epoch = Some(12);
    let recipe = evaluated("FROM scratch\nARG SOURCE_DATE_EPOCH\n", &request).unwrap();
    assert_eq!(recipe.stages[0].steps.last().unwrap().created_by, "ARG SOURCE_DATE_EPOCH=12");
}

#[test]
fn every_config_instruction() {
    insta::assert_snapshot!(told(
        r#"FROM python:3
MAINTAINER A. U. Thor <a@example.com>
ARG V=1 W
ENV A="x y" B=$V
ENV OLD form with spaces
LABEL a=$A "b c"='d $A' e=
EXPOSE 80 8000-8002/UDP $V${V}53
VOLUME /data $A /x
VOLUME ["/a b", "/c"]
USER app:$V
STOPSIGNAL SIGQUIT
SHELL ["/bin/bash", "-eo", "pipefail", "-c"]
HEALTHCHECK --interval=5m --timeout=3s --retries=2 CMD curl -f http://localhost/ || exit 1
HEALTHCHECK CMD ["curl", "$A"]
HEALTHCHECK NONE
CMD echo $A
ENTRYPOINT ["/e", "$A"]
ENTRYPOINT []
ENTRYPOINT run
CMD ["a", "b \"c\""]
CMD []
ONBUILD RUN echo $A \
  && b
"#
    ));
}

#[test]
fn an_entrypoint_takes_away_the_command_of_the_base_alone() {
    for (text, cmd) in [
        ("FROM python:3", Some("python3")),
        ("FROM python:3\nENTRYPOINT [\"e\"]", None),
        ("FROM python:3\nCMD [\"c\"]\nENTRYPOINT [\"e\"]", Some("c")),
        ("FROM python:3\nENTRYPOINT [\"e\"]\nCMD [\"c\"]", Some("c")),
        ("FROM python:3 AS a\nCMD [\"c\"]\nFROM a\nENTRYPOINT [\"e\"]", None),
    ] {
        let recipe = evaluated(text, &request(None, &[])).unwrap();
        let mut config = crate::oci::Config { cmd: Some(vec!["python3".into()]), ..Default::default() };
        for step in recipe.stages.iter().flat_map(|stage| &stage.steps) {
            if let StepKind::Config(changes) = &step.kind {
                changes.iter().for_each(|change| change.apply(&mut config));
            }
        }
        assert_eq!(config.cmd.as_ref().map(|cmd| cmd[0].as_str()), cmd, "{text}");
    }
}

#[test]
fn working_directories() {
    let text = "FROM scratch\nWORKDIR a\nWORKDIR ../b/./c/\nENV D=/d\nWORKDIR $D\nUSER app\nWORKDIR e\nUSER 0\n\
                WORKDIR /f\nWORKDIR /\n";
    insta::assert_snapshot!(told(text));
    // A base's directory and user hold for what is relative.
    insta::assert_snapshot!(told("FROM scratch AS other\nFROM trigger:1\nWORKDIR x\n"));
}

#[test]
fn the_search_path_is_always_set() {
    for (text, path) in [
        ("FROM scratch\nENV A=$PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("FROM python:3\nENV A=$PATH", "/usr/bin"),
    ] {
        assert!(told_for(text, &request(None, &[])).contains(&format!("ENV A={path}")), "{text}");
    }
}
