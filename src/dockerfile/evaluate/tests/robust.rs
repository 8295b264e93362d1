//! Nothing that can be read makes the evaluation or the checks panic.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{evaluated, request};
use crate::{
    context::Ignore,
    dockerfile::{
        Dockerfile,
        check::{self, Selection, Surroundings},
        parse_bytes,
    },
    oci::Config,
    recipe::{ConfigChanges, Frontend as _, StepKind},
};

/// Instructions of which some fit together, and some do not.
fn line() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("a".to_owned()),
        Just("$A".to_owned()),
        Just("${B:-x}".to_owned()),
        Just("../..".to_owned()),
        Just("\"q $A\"".to_owned()),
        Just("/".to_owned()),
        Just("é*".to_owned()),
        Just("https://x.example/a.git#b:c".to_owned()),
        Just("0".to_owned()),
        Just("70000-1/TCP".to_owned()),
        "[ -~]{0,12}",
    ];
    let keyword = prop::sample::select(vec![
        "FROM a AS a",
        "FROM a",
        "FROM scratch",
        "FROM --platform=$A",
        "ARG",
        "ENV A=",
        "ENV",
        "LABEL",
        "RUN",
        "RUN --mount=type=cache,target=",
        "RUN --mount=from=a,target=",
        "COPY --from=",
        "COPY --chown=",
        "COPY",
        "COPY --parents",
        "ADD",
        "ADD --checksum=",
        "WORKDIR",
        "USER",
        "EXPOSE",
        "VOLUME",
        "CMD",
        "ENTRYPOINT",
        "SHELL",
        "STOPSIGNAL",
        "HEALTHCHECK CMD",
        "ONBUILD COPY",
        "ONBUILD RUN",
        "MAINTAINER",
        "COPY <<EOF",
    ]);
    (keyword, prop::collection::vec(word, 0..4)).prop_map(|(keyword, words)| {
        let space = if keyword.ends_with('=') { "" } else { " " };
        let rest = if keyword.ends_with("<<EOF") { "\n$A ${B}\nEOF" } else { "" };
        format!("{keyword}{space}{}{rest}", words.join(" "))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn likely_files_are_evaluated_or_refused(lines in prop::collection::vec(line(), 0..8), target in ".{0,3}") {
        // Lines that cannot be read alone would hide all others.
        let readable = |line: &String| parse_bytes("x", format!("FROM a\n{line}\n").as_bytes()).is_ok();
        let lines: Vec<String> = lines.into_iter().filter(readable).collect();
        let text = format!("ARG A=1\nFROM a AS a\n{}\n", lines.join("\n"));
        let mut request = request(Some(target.as_str()).filter(|target| !target.is_empty()), &[]);
        let _ = evaluated(&text, &request);
        request.target = None;
        let _ = evaluated(&text, &request);
        if let Ok(file) = parse_bytes("Dockerfile", text.as_bytes()) {
            request.contexts = BTreeMap::new();
            let ignore = Ignore::none();
            let around = Surroundings {
                request: &request,
                configs: None,
                context: Some((std::path::Path::new("/nowhere"), &ignore)),
            };
            for finding in check::of_file(&file, around, Selection::default()) {
                prop_assert!(!finding.render().is_empty());
            }
        }
    }
}

fn check(text: &str) -> usize {
    let (file, request) = (parse_bytes("Dockerfile", text.as_bytes()).unwrap(), request(None, &[]));
    let around = Surroundings { request: &request, configs: None, context: None };
    check::of_file(&file, around, Selection::default()).len()
}

/// None of these may take time that grows with the square of its size, nor what variables put in a word each time.
#[test]
fn files_with_very_many_mistakes_are_checked() {
    let lines = |count: usize, line: fn(usize) -> String| (0..count).map(line).collect::<String>();
    let doublings = lines(17, |at| format!("ARG A{}=$A{at}$A{at}\n", at + 1));
    let many = "FROM scratch\n";
    for text in [
        format!("{many}{}", lines(3_000, |at| format!("ENV variable{at}=$varaible{at}\n"))),
        format!(
            "{}{}",
            lines(3_000, |at| format!("ARG image{at}=scratch\n")),
            lines(3_000, |at| format!("FROM $iamge{at}\n"))
        ),
        format!("ARG A0=0123456789abcdef\n{doublings}{}", lines(3_000, |_| "FROM ${A17}\n".to_owned())),
        format!(
            "ARG A0=0123456789abcdef\n{doublings}{}",
            lines(3_000, |_| "FROM ${A17}$A17$A17\n".to_owned())
        ),
    ] {
        assert!(check(&text) > 0);
    }
}

/// A few lines that would make gigabytes, or take hours.
#[test]
fn what_variables_come_to_has_a_limit() {
    let lines = |count: usize, line: &dyn Fn(usize) -> String| (0..count).map(line).collect::<String>();
    let doublings = |count: usize| {
        let double = |at: usize| format!("ARG A{}=$A{at}$A{at}\n", at + 1);
        format!("ARG A0=0123456789abcdef\n{}", lines(count, &double))
    };
    // 16 bytes, 15 times doubled: half a MiB.
    let in_stage = format!("FROM scratch\n{}", doublings(15));
    let before = format!("{}FROM scratch\n", doublings(15));
    let (total, work) = ("have more than 2 MiB", "take more than 32 MiB");
    for (text, expected) in [
        (format!("{in_stage}{}", lines(400, &|at| format!("ENV B{at}=$A15\n"))), total),
        (format!("{in_stage}{}", lines(400, &|at| format!("LABEL b{at}=$A15\n"))), total),
        (
            format!(
                "{before}{}",
                lines(400, &|at| format!("ENV C{at}=x\nARG A15\nARG A14\nARG B{at}=$A15\n"))
            ),
            total,
        ),
        (format!("{}FROM scratch\n", doublings(30)), "longer than 4 MiB"),
        (format!("{in_stage}{}", lines(400, &|_| "VOLUME $A15\n".to_owned())), work),
        (format!("{in_stage}{}", lines(400, &|_| "ENV B=$A15\n".to_owned())), work),
        (format!("{in_stage}{}", lines(400, &|_| "COPY <<a /\n$A15\na\n".to_owned())), work),
        (format!("{in_stage}{}", lines(400, &|_| "LABEL a=${A15/0*/}\n".to_owned())), work),
        (format!("{in_stage}{}", lines(2000, &|_| "RUN true\n".to_owned())), work),
        (format!("{in_stage}{}", lines(400, &|at| format!("RUN true\nENV b{at}=\n"))), work),
        (
            format!(
                "{}FROM scratch AS s0\n{}",
                doublings(15),
                lines(400, &|at| format!("FROM s{at} AS s{}\nARG A15\n", at + 1))
            ),
            work,
        ),
        (
            format!(
                "{}LABEL a=$A15\n{}",
                in_stage.replace("scratch", "scratch AS s0"),
                lines(400, &|at| format!("FROM s{at} AS s{}\nARG B\n", at + 1))
            ),
            work,
        ),
        (format!("FROM scratch\n{}", lines(30_000, &|at| format!("ENV v{at}=\nRUN true\n"))), work),
    ] {
        let error = evaluated(&text, &request(None, &[])).err().unwrap_or_default();
        check(&text);
        assert!(error.contains(expected), "{error:.400} {:.200}", &text[text.len() - 100..]);
    }
}

/// None of these may take time that grows with the square of its size: at these sizes it would not end.
#[test]
fn files_with_very_many_names_are_evaluated() {
    let lines = |count: usize, line: fn(usize) -> String| (0..count).map(line).collect::<String>();
    for text in [
        format!("FROM scratch\n{}", lines(30_000, |at| format!("ENV v{at}=$PATH\n"))),
        format!("FROM scratch\nENV {}\n", lines(100_000, |at| format!("v{at}=x "))),
        format!("FROM scratch\n{}", lines(30_000, |at| format!("ARG v{at}=x\n"))),
        format!("{}FROM scratch\n", lines(30_000, |at| format!("ARG v{at}=x\n"))),
        format!("FROM scratch\nLABEL {}\n", lines(100_000, |at| format!("v{at}=x "))),
        format!("FROM scratch AS s0\n{}", lines(5_000, |at| format!("FROM s{at} AS s{}\n", at + 1))),
    ] {
        let recipe = evaluated(&text, &request(None, &[])).unwrap();
        assert!(!recipe.stages.is_empty());
        let mut config = Config::default();
        let mut changes = ConfigChanges::of(&mut config);
        for step in recipe.stages.iter().flat_map(|stage| &stage.steps) {
            if let StepKind::Config(list) = &step.kind {
                list.iter().for_each(|change| changes.apply(change));
            }
        }
        assert!(config.env("PATH").is_some());
        check(&text);
        let frontend = Dockerfile::from_bytes("Dockerfile", text.as_bytes()).unwrap();
        assert!(frontend.defaults(&BTreeMap::new()).is_ok());
    }
}
