//! That a Dockerfile and its spec come to the same recipe.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::{Converted, convert};
use crate::{
    dockerfile::Dockerfile,
    layer::EntryPath,
    oci::{Config, ImageConfig, Platform},
    recipe::{
        Base, BaseConfigs, BindMount, CacheMount, ConfigChange, ContextSource, Copy, CopySource, Frontend,
        Mkdir, Mount, Recipe, Request, StepKind, Written,
    },
    spec::Spec,
};

fn request(target: Option<&str>) -> Request {
    Request {
        platform: "linux/arm64".parse().unwrap(),
        build_platform: "linux/amd64".parse().unwrap(),
        target: target.map(str::to_owned),
        args: BTreeMap::new(),
        contexts: BTreeMap::from([(String::new(), ContextSource::Directory(PathBuf::from("/context")))]),
        source_date_epoch: None,
    }
}

fn recipe(frontend: &dyn Frontend, request: &Request) -> Recipe {
    let config = |platform: Platform| {
        let config = Config {
            env: vec!["PATH=/base/bin:/bin".to_owned(), "BASE=of the base".to_owned()],
            user: Some("1234".to_owned()),
            working_dir: Some("/of/base".to_owned()),
            cmd: Some(vec!["base".to_owned()]),
            ..Config::default()
        };
        ImageConfig { config, ..ImageConfig::scratch(platform) }
    };
    let mut configs = BaseConfigs::new();
    for base in frontend.bases(request).unwrap_or_else(|error| panic!("{error}")) {
        let platform = base.platform.clone();
        configs.insert(base, config(platform));
    }
    frontend.recipe(request, &configs).unwrap_or_else(|error| panic!("{error}"))
}

/// What a stage comes to: each step that makes a layer, and the changes of the config that are left.
fn flat(recipe: &Recipe, stage: usize) -> (Vec<String>, Vec<ConfigChange>) {
    let stage = &recipe.stages[stage];
    let (mut steps, mut changes) = match &stage.base {
        Base::Stage(base) => flat(recipe, *base),
        base => (vec![format!("{base:?} for {}", stage.platform)], Vec::new()),
    };
    let source = |from: &CopySource| match from {
        // The same for both, whatever the stages' numbers.
        CopySource::Stage(other) => CopySource::Context(format!("{:?}", flat(recipe, *other).0)),
        other => other.clone(),
    };
    let mut made = None;
    for step in &stage.steps {
        let kind = match step.kind.clone() {
            StepKind::Config(new) => {
                changes.extend(new);
                continue;
            }
            StepKind::Copy(copy) => {
                StepKind::Copy(Copy { from: source(&copy.from), written: Written::default(), ..copy })
            }
            StepKind::Run(mut run) => {
                run.user_from = None;
                let mut env: BTreeMap<String, String> = run.env.iter().cloned().collect();
                // Commands of a spec see all arguments, and those of platforms where they name them.
                env.remove("GLOBAL");
                env.retain(|name, _| name != "TARGETARCH" || run.argv.iter().any(|word| word.contains(name)));
                run.env = std::sync::Arc::new(env.into_iter().collect());
                for mount in &mut run.mounts {
                    match mount {
                        Mount::Bind(BindMount { from, source: path, .. }) => {
                            *from = source(from);
                            *path = EntryPath::new(path.as_str()).map_or_else(String::new, |p| p.to_string());
                        }
                        Mount::Cache(CacheMount { from: Some((from, _)), .. }) => *from = source(from),
                        // A spec's agent is for whoever the step runs as.
                        Mount::Ssh(ssh) => ssh.mode = None,
                        _ => {}
                    }
                }
                StepKind::Run(run)
            }
            // What was made a step before stays as it is.
            StepKind::Mkdir(mkdir) if made.as_ref() == Some(&mkdir.path) => continue,
            StepKind::Mkdir(mkdir) => {
                made = Some(mkdir.path.clone());
                StepKind::Mkdir(Mkdir { owner_from: None, ..mkdir })
            }
            kind => kind,
        };
        steps.push(format!("{kind:#?}"));
    }
    (steps, changes)
}

fn config(changes: &[ConfigChange]) -> Config {
    let mut config = Config::default();
    changes.iter().for_each(|change| change.apply(&mut config));
    config
}

#[track_caller]
fn converted(text: &str) -> (Dockerfile, Converted) {
    let dockerfile = Dockerfile::from_bytes("Dockerfile", text.as_bytes()).unwrap();
    let converted = convert(dockerfile.syntax(), None);
    (dockerfile, converted)
}

#[track_caller]
fn same(dockerfile: &Dockerfile, text: &str, target: Option<&str>) {
    let spec = Spec::from_bytes("spec", text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let request = request(target);
    let (one, other) = (recipe(dockerfile, &request), recipe(&spec, &request));
    let (one, other) = (flat(&one, one.stages.len() - 1), flat(&other, other.stages.len() - 1));
    assert_eq!(one.0.join("\n"), other.0.join("\n"), "{text}");
    assert_eq!(config(&one.1), config(&other.1), "{text}");
}

/// What is wrong with the spec of a Dockerfile, if anything is.
fn fault(dockerfile: &str) -> Option<String> {
    let wrong = std::panic::catch_unwind(|| {
        let (syntax, converted) = converted(dockerfile);
        assert!(converted.missing.is_empty(), "{:?}", converted.missing);
        same(&syntax, &converted.text, None);
    });
    wrong.err().map(|panic| {
        let said = panic.downcast_ref::<String>().cloned().unwrap_or_default();
        format!("{dockerfile}\n{said}\n")
    })
}

fn dockerfiles(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            dockerfiles(&path, found);
        } else if name.starts_with("Dockerfile") || name.ends_with(".Dockerfile") {
            found.push(path);
        }
    }
}

#[test]
fn applications_have_the_same_recipe() {
    let mut found = Vec::new();
    dockerfiles(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/apps"), &mut found);
    assert!(found.len() > 12);
    for path in found {
        let (dockerfile, converted) = converted(&fs::read_to_string(&path).unwrap());
        assert!(converted.missing.is_empty(), "{}: {:?}", path.display(), converted.missing);
        same(&dockerfile, &converted.text, None);
        for stage in &dockerfile.syntax().stages {
            let name = stage.from.node.name.as_ref().map(|name| name.text.clone());
            name.iter().for_each(|name| same(&dockerfile, &converted.text, Some(name)));
        }
    }
}

#[test]
fn every_instruction_has_the_same_recipe() {
    let mut faults = Vec::new();
    for instructions in [
        "ENV A=1 B=\"x y\" C='$HOME' D=a\\ b\nENV A=$A$B E=${A}x F=\\$A G=$NOBODY H=${NOBODY:-d}",
        "ENV PATH=/app/bin:$PATH\nENV X=$BASE",
        "ENV A=true B=null C=1e3 D=010 E= F='\"' G='a: b' H='#c' I='- d' J=[x] K=12:30 L=\"'\" M=~",
        "ARG V=1.0\nENV V=$V\nRUN echo $V\nLABEL v=$V",
        "ARG V\nENV W=${V:-none}x${V:+some}",
        "ARG TARGETARCH\nRUN echo $TARGETARCH\nENV A=$TARGETARCH",
        "LABEL a=1 b.c=\"d e\"\nLABEL a=2 \"x y\"=z\nENV L=1\nLABEL l=$L",
        "RUN a && \\\n    b   \\\n  c",
        "RUN [\"a\", \"${b}\", \"$$\"]",
        "RUN <<EOF\nset -e\n  $x ${y}\n\tz\nEOF",
        "RUN cat <<EOF > /x && y\nhello ${A}\nEOF",
        "RUN --network=none a\nRUN --network=host b",
        "RUN --mount=type=cache,target=/c --mount=type=cache,target=d,id=e,sharing=locked a",
        "WORKDIR /w\nRUN --mount=type=bind,source=/s,target=/t --mount=target=. a",
        "RUN --mount=type=bind,from=other:1,target=/t a",
        "RUN --mount=type=tmpfs,target=/t,size=64m a",
        "RUN --mount=type=secret,id=a --mount=type=secret,id=b,required --mount=type=secret,id=c,env=C a",
        "RUN --mount=type=secret,id=a,target=/t,env=X a",
        "RUN --mount=type=ssh,required=true a",
        "SHELL [\"/bin/bash\", \"-c\"]\nRUN a\nCMD b ${x}\nENTRYPOINT c",
        "CMD a\nSHELL [\"/bin/bash\", \"-c\"]\nENTRYPOINT b",
        "USER app\nRUN a\nUSER root\nRUN b\nUSER 1000:5\nCMD c",
        "ENV U=app\nUSER $U\nENV X=1\nWORKDIR /data\nRUN a",
        "WORKDIR /a\nWORKDIR b\nCOPY x .\nWORKDIR /c",
        "USER 0\nWORKDIR /a\nUSER 5\nWORKDIR /b\nCOPY a b",
        "COPY a b",
        "COPY a b/ /c/",
        "COPY / /ctx",
        "COPY ../x /x",
        "COPY . ./",
        "COPY a*.txt [b]?.c /d/",
        "COPY a*.txt /d",
        "COPY [\"a b\", \"c d/\"]",
        "COPY --chown=app a b\nCOPY --chown=1:2 c /d/\nCOPY --chown=:5 e f",
        "COPY --chmod=755 a b\nCOPY --chmod=u=rwX,go=rX c d\nCOPY --chmod=0600 e f",
        "COPY --link a b\nCOPY --link --chown=5 a /c/",
        "COPY --parents a/b/*.c /d/",
        "COPY --exclude=*.md --exclude=x . /d/",
        "COPY --from=busybox:1 /bin/busybox /bin/",
        "ENV D=/dir F=file\nCOPY $F ${D}/\nCOPY --chown=$F a $D/b",
        "VOLUME /a /b\nVOLUME [\"/c\"]",
        "EXPOSE 80 443/tcp 53/udp 8000-8002\nEXPOSE 80 127.0.0.1:9000:90",
        "STOPSIGNAL SIGINT",
        "STOPSIGNAL 9",
        "HEALTHCHECK NONE",
        "HEALTHCHECK --interval=1m30s --timeout=1.5s --start-period=1h --start-interval=500ms --retries=2 CMD a ${b}",
        "HEALTHCHECK CMD [\"a\", \"$$\"]",
        "ENTRYPOINT [\"a\"]\nCMD [\"b\", \"c\"]",
        "CMD [\"b\"]\nENTRYPOINT [\"a\"]",
        "ENTRYPOINT [\"a\"]",
        "ENTRYPOINT []",
        "CMD []",
        "CMD",
        "CMD echo $$ ${A} $$$B \"q\" 'r'",
        "ONBUILD COPY . /${x}\nONBUILD RUN y",
        "# a comment\nRUN a\n# on config\nEXPOSE 1\n# at the end\nENV A=1",
    ] {
        faults.extend(fault(&format!("FROM base:1\n{instructions}\n")));
        faults.extend(fault(&format!("ARG GLOBAL=base\nFROM ${{GLOBAL}}:1 AS named\n{instructions}\n")));
        faults.extend(fault(&format!("FROM scratch\n{instructions}\n")));
        // Triggers are carried out.
        let plain = instructions.replace("ONBUILD", "#");
        let text = format!("FROM base:1 AS one\n{plain}\nFROM one\nRUN z\nCOPY --from=one x y\n");
        faults.extend(fault(&text));
    }
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn what_a_spec_cannot_say_is_told() {
    for (instruction, why) in [
        ("MAINTAINER me", "no author"),
        ("ENV A=${B%x}", "no patterns"),
        ("ENV A=${BASE-x}", "`:-` it has"),
        ("RUN --security=insecure x", "--security=insecure"),
        ("RUN --mount=type=cache,target=/c,uid=5 x", "no mode, uid and gid"),
        ("RUN --mount=type=cache,target=/c,from=a x", "begin empty"),
        ("RUN --mount=target=/c,rw x", "read-only"),
        ("RUN --mount=type=ssh x", "required=true"),
        ("RUN <<EOF\n#!/bin/python\nEOF", "after `#!`"),
        ("RUN echo $TARGETARCH", "TARGETARCH is not declared"),
        ("COPY --parents a/./b /c/", "pivot"),
        ("ADD https://example.com/x /x", "files of the web"),
        ("ADD a.tar /x", "not in the context"),
        ("VOLUME data", "absolute"),
        ("STOPSIGNAL term", "SIG…"),
        ("ARG A=1\nENV A=$BASE\nENV B=$A", "an argument and a variable"),
        ("ENV A=1\nARG A=2", "which a spec's commands see first"),
        ("ARG A=$BASE", "the image's environment"),
        ("LABEL a=$X\nENV X=2", "set again below"),
        ("ARG A=1\nFROM other\nARG A=2", "another default"),
        ("ONBUILD RUN x\nFROM one", "ONBUILD"),
    ] {
        let text = format!("FROM base:1 AS one\n{instruction}\n");
        let (_, converted) = converted(&text);
        let told: Vec<String> = converted.missing.iter().map(ToString::to_string).collect();
        assert!(told.len() == 1 && told[0].contains(why), "{text}{told:?}\n{}", converted.text);
        Spec::from_bytes("spec", converted.text.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn a_spec_reads_as_if_it_were_written_by_hand() {
    let (_, converted) = converted(
        r#"# syntax=docker/dockerfile:1
# What is built.
ARG VERSION=1.0
FROM golang:1 AS build
WORKDIR /src
COPY go.mod .
# Compiles.
RUN --mount=type=cache,target=/root/.cache \
    go build -o /out/app
FROM scratch
COPY --from=build --chmod=755 /out/app /
USER 1000
ENTRYPOINT ["/app"]
CMD ["--help", "-v", "8000", "a:b", "it's"]
"#,
    );
    insta::assert_snapshot!(converted.text);
}
