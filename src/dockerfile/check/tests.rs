//! Each rule: what it finds, and what it leaves alone.

use std::{collections::BTreeMap, fs};

use super::{Finding, Rule, Selection, Surroundings, of_build, of_file};
use crate::{
    context::Ignore,
    dockerfile::parse_bytes,
    oci::ImageConfig,
    recipe::{BaseConfigs, BaseImage, ImageSource, Request},
};

fn request() -> Request {
    Request {
        platform: "linux/arm64".parse().unwrap(),
        build_platform: "linux/amd64".parse().unwrap(),
        target: None,
        args: BTreeMap::new(),
        contexts: BTreeMap::new(),
        source_date_epoch: None,
    }
}

/// What is found in a file whose context holds `.env`, `secret/id_rsa` and `src`, and ignores `dist`.
fn found(text: &str, selection: &Selection) -> Vec<Finding> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(".env"), "").unwrap();
    fs::create_dir_all(folder.path().join("secret")).unwrap();
    fs::write(folder.path().join("secret/id_rsa"), "").unwrap();
    let ignore = match text.contains("# no ignore file") {
        true => Ignore::none(),
        false => {
            fs::write(folder.path().join(".dockerignore"), "dist\n*.log\n").unwrap();
            Ignore::load(folder.path(), None).unwrap()
        }
    };
    let request = request();
    let file = parse_bytes("Dockerfile", text.as_bytes()).unwrap();
    let around = Surroundings { request: &request, configs: None, context: Some((folder.path(), &ignore)) };
    of_file(&file, around, selection.clone())
}

/// For each rule, lines that it finds fault with and lines that it does not.
const CASES: [(&str, &[&str], &[&str]); 27] = [
    ("StageNameCasing", &["FROM a:1 AS Base"], &["FROM a:1 AS base"]),
    (
        "FromAsCasing",
        &["FROM a:1 as base", "from a:1 AS base", "FROM a:1 As base"],
        &["FROM a:1 AS base", "from a:1 as base"],
    ),
    ("NoEmptyContinuation", &["FROM a:1\nRUN a \\\n\n  b"], &["FROM a:1\nRUN a \\\n# x\n  b"]),
    (
        "ConsistentInstructionCasing",
        &["FROM a:1\nrun x\nRUN y", "from a:1\nRun x\nrun y"],
        &["FROM a:1\nRUN x", "from a:1\nrun x"],
    ),
    ("DuplicateStageName", &["FROM a:1 AS x\nFROM a:1 AS x"], &["FROM a:1 AS x\nFROM a:1 AS y"]),
    ("ReservedStageName", &["FROM a:1 AS scratch", "FROM a:1 AS context"], &["FROM scratch AS x"]),
    (
        "JSONArgsRecommended",
        &["FROM a:1\nCMD x y", "FROM a:1\nENTRYPOINT x", "FROM a:1\nCMD ['x']"],
        &["FROM a:1\nCMD [\"x\"]", "FROM a:1\nSHELL [\"/bin/bash\", \"-c\"]\nCMD x", "FROM a:1\nRUN x"],
    ),
    ("MaintainerDeprecated", &["FROM a:1\nMAINTAINER x"], &["FROM a:1\nLABEL maintainer=x"]),
    (
        "UndefinedArgInFrom",
        &["FROM a:$TAG", "ARG TAG=1\nFROM a:${TGA}", "FROM --platform=$BUILDPLATFROM a:1"],
        &[
            "ARG TAG=1\nFROM a:$TAG",
            "FROM a:${TAG:-1}",
            "FROM --platform=$BUILDPLATFORM a:1",
            "ARG T\nFROM a:1$T",
        ],
    ),
    (
        "WorkdirRelativePath",
        &["FROM a:1\nWORKDIR app", "FROM a:1 AS x\nFROM x\nWORKDIR app"],
        &[
            "FROM a:1\nWORKDIR /app\nWORKDIR sub",
            "FROM a:1 AS x\nWORKDIR /y\nFROM x\nWORKDIR z",
            "FROM a:1\nWORKDIR $X",
        ],
    ),
    (
        "UndefinedVar",
        &[
            "FROM scratch\nCOPY $X /",
            "FROM scratch\nENV A=$A2",
            "ARG A=1\nFROM scratch\nLABEL a=$A",
            "FROM alpine:1\nARG DIRECTORY\nCOPY x $DIRECTROY",
            "FROM scratch\nCOPY <<EOF /x\n$X\nEOF\n",
            "FROM scratch\nRUN --mount=type=cache,target=$X y",
        ],
        &[
            "FROM scratch\nARG X\nCOPY $X /",
            "FROM scratch\nENV X=1\nLABEL a=$X b=$PATH",
            "FROM scratch AS a\nENV X=1\nFROM a\nLABEL a=$X",
            "FROM alpine:1\nLABEL a=$PYTHON_VERSION",
            "FROM scratch\nRUN echo $X",
            "FROM scratch\nLABEL a=${X:-y} b=\\$X c='$X'",
            "FROM scratch\nCOPY <<'EOF' /x\n$X\nEOF\n",
        ],
    ),
    (
        "MultipleInstructionsDisallowed",
        &["FROM a:1\nCMD [\"x\"]\nCMD [\"y\"]", "FROM a:1\nHEALTHCHECK NONE\nHEALTHCHECK CMD x"],
        &["FROM a:1 AS x\nCMD [\"x\"]\nFROM x\nCMD [\"y\"]", "FROM a:1\nCMD [\"x\"]\nENTRYPOINT [\"y\"]"],
    ),
    ("LegacyKeyValueFormat", &["FROM a:1\nENV a b", "FROM a:1\nLABEL a b c"], &["FROM a:1\nENV a=b c=d"]),
    (
        "RedundantTargetPlatform",
        &["FROM --platform=$TARGETPLATFORM a:1", "FROM --platform=${TARGETPLATFORM} a:1"],
        &["FROM --platform=$BUILDPLATFORM a:1", "FROM --platform=$TARGETOS/$TARGETARCH a:1"],
    ),
    (
        "SecretsUsedInArgOrEnv",
        &["FROM a:1\nARG API_TOKEN", "FROM a:1\nENV password=x", "FROM a:1\nENV AWS_SECRET_ACCESS_KEY=x"],
        &["FROM a:1\nARG TOKENIZER", "FROM a:1\nENV PUBLIC_KEY=x PASSWORD_FILE=/x", "FROM a:1\nARG KEYS"],
    ),
    (
        "InvalidDefaultArgInFrom",
        &["ARG TAG\nFROM a:$TAG", "ARG I\nFROM $I"],
        &["ARG TAG=1\nFROM a:$TAG", "ARG I\nFROM a:1$I", "FROM a:1 AS Up\nFROM Up"],
    ),
    (
        "FromPlatformFlagConstDisallowed",
        &["FROM --platform=linux/amd64 a:1", "FROM --platform=linux/amd64 a:1 AS build"],
        &["FROM --platform=$BUILDPLATFORM a:1", "FROM --platform=linux/amd64 a:1 AS build-amd64", "FROM a:1"],
    ),
    (
        "CopyIgnoredFile",
        &["FROM a:1\nCOPY dist /", "FROM a:1\nADD dist/x /", "FROM a:1\nCOPY a.log /"],
        &[
            "FROM a:1\nCOPY src /",
            "FROM a:1\nCOPY --from=x dist /",
            "FROM a:1\nCOPY . /",
            "FROM a:1\nCOPY $D /",
        ],
    ),
    (
        "InvalidDefinitionDescription",
        &["# the base\nFROM a:1 AS base", "FROM a:1\n# some argument\nARG A"],
        &["# base is the base\nFROM a:1 AS base", "# x\n\nFROM a:1 AS base", "FROM a:1\n# B and A\nARG A B"],
    ),
    ("ExposeProtoCasing", &["FROM a:1\nEXPOSE 80/TCP"], &["FROM a:1\nEXPOSE 80/tcp", "FROM a:1\nEXPOSE $P"]),
    (
        "ExposeInvalidFormat",
        &["FROM a:1\nEXPOSE 127.0.0.1:80:80", "FROM a:1\nEXPOSE 80:8080"],
        &["FROM a:1\nEXPOSE 80 81/udp 90-92", "FROM a:1\nEXPOSE ${PORT:-80}"],
    ),
    (
        "NonRootUser",
        &["FROM a:1", "FROM a:1\nUSER app\nUSER 0:0", "FROM a:1 AS x\nUSER app\nFROM a:1"],
        &["FROM a:1\nUSER app", "FROM a:1 AS x\nUSER 1000:0\nFROM x", "FROM distroless:nonroot"],
    ),
    (
        "PinnedBase",
        &[
            "FROM a",
            "FROM a:latest",
            "FROM reg.example:5000/a",
            "FROM nginx:alpine",
            "FROM node:lts-slim",
            "ARG TAG=stable\nFROM a:$TAG",
        ],
        &[
            "FROM a:1",
            "FROM python:3.11-slim",
            "FROM nginx:alpine3.20",
            "FROM scratch",
            "FROM a:1 AS x\nFROM x",
            "FROM a@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ],
    ),
    (
        "HealthcheckMissing",
        &["FROM a:1\nEXPOSE 80"],
        &["FROM a:1\nEXPOSE 80\nHEALTHCHECK CMD x", "FROM a:1", "FROM a:1\nEXPOSE 80\nFROM a:1"],
    ),
    (
        "PackageCacheCleaned",
        &[
            "FROM a:1\nRUN apt-get update && apt-get install -y x",
            "FROM a:1\nRUN apk add x",
            "FROM a:1\nRUN pip install x",
            "FROM a:1\nRUN <<EOF\ndnf -y install x\nEOF\n",
        ],
        &[
            "FROM a:1\nRUN apt-get update && apt-get install -y x && rm -rf /var/lib/apt/lists/*",
            "FROM a:1\nRUN --mount=type=cache,target=/var/lib/apt apt-get install -y x",
            "FROM a:1\nRUN apk add --no-cache x",
            "FROM a:1\nRUN pip install --no-cache-dir x",
            "FROM a:1\nENV PIP_NO_CACHE_DIR=1\nRUN pip install x",
            "FROM a:1 AS build\nRUN apk add x\nFROM a:1",
        ],
    ),
    (
        "SecretFileCopied",
        &[
            "FROM a:1\nCOPY .env /",
            "FROM a:1\nCOPY . /",
            "FROM a:1\nCOPY secret/ /x",
            "FROM a:1\nADD tls.key /",
        ],
        &[
            "FROM a:1\nCOPY src /",
            "FROM a:1\nCOPY --exclude=.env . /",
            "FROM a:1 AS x\nCOPY . /\nFROM a:1",
            "FROM a:1\nCOPY .env.example /",
        ],
    ),
    (
        "DockerignoreMissing",
        &["# no ignore file\n\nFROM a:1\nCOPY . /", "# no ignore file\n\nFROM a:1\nADD ./ /"],
        &["FROM a:1\nCOPY . /", "# no ignore file\n\nFROM a:1\nCOPY src /"],
    ),
];

#[test]
fn every_rule_finds_what_is_bad_and_nothing_else() {
    let all = Selection::parse("experimental=all").unwrap();
    for (name, bad, good) in CASES {
        assert!(Rule::ALL.iter().any(|rule| rule.name == name), "{name}");
        for text in bad {
            let found = found(text, &all);
            assert!(found.iter().any(|finding| finding.rule.name == name), "{name} in {text:?}: {found:#?}");
        }
        for text in good {
            let found = found(text, &all);
            let wrong: Vec<_> = found.iter().filter(|finding| finding.rule.name == name).collect();
            assert!(wrong.is_empty(), "{name} in {text:?}: {wrong:#?}");
        }
    }
    for rule in Rule::ALL {
        assert!(CASES.iter().any(|(name, ..)| *name == rule.name), "{} has no case", rule.name);
    }
}

#[test]
fn builds_look_at_what_they_need_and_know_their_bases() {
    let mut request = request();
    let text = "FROM a:1 AS other\nCMD x\nFROM b:1\nLABEL l=$KNOWN m=$NOT\nCMD y\n";
    let file = parse_bytes("Dockerfile", text.as_bytes()).unwrap();
    let platform = request.platform.clone();
    let mut config = ImageConfig::scratch(platform.clone());
    config.config.env = vec!["KNOWN=1".into()];
    let image = BaseImage { image: ImageSource::Reference("b:1".parse().unwrap()), platform };
    let configs = BaseConfigs::from([(image, config)]);
    let names = |request: &Request, configs: Option<&BaseConfigs>, selection: &str| {
        let around = Surroundings { request, configs, context: None };
        let found = of_build(&file, around, Selection::parse(selection).unwrap());
        let words = found.iter().map(|finding| format!("{}:{}", finding.rule.name, finding.location.line()));
        words.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&request, Some(&configs), ""), "UndefinedVar:4 JSONArgsRecommended:5");
    // Nobody knows what the base has set.
    assert_eq!(names(&request, None, ""), "JSONArgsRecommended:5");
    assert_eq!(names(&request, Some(&configs), "skip=JSONArgsRecommended"), "UndefinedVar:4");
    assert_eq!(names(&request, Some(&configs), "skip=all"), "");
    request.target = Some("other".into());
    assert_eq!(names(&request, Some(&configs), ""), "JSONArgsRecommended:2");
}

#[test]
fn findings_show_the_line() {
    let found = found("FROM a:1 AS Base\nUSER x", &Selection::default());
    let [finding] = &found[..] else { panic!("{found:?}") };
    insta::assert_snapshot!(finding.render(), @r#"
    warning: StageNameCasing: the stage name "Base" has upper-case letters
     --> Dockerfile:1:13
      |
    1 | FROM a:1 AS Base
      |             ^^^^
    hint: write `base`: names are compared without case
    "#);
    assert_eq!(
        finding.to_string(),
        "Dockerfile:1: StageNameCasing: the stage name \"Base\" has upper-case letters; write `base`: names are \
         compared without case"
    );
    assert_eq!(finding.to_json()["line"], 1);
}

#[test]
fn a_comment_above_an_instruction_leaves_rules_out_for_it() {
    for (text, expected) in [
        ("FROM a:1\n# check=skip=JSONArgsRecommended\nCMD x", ""),
        ("FROM a:1\n# why\n# check = skip=UndefinedVar,JSONArgsRecommended\n\nCMD x", ""),
        ("FROM a:1\n# check=skip=all\nCMD x\nENTRYPOINT y", "JSONArgsRecommended:4"),
        ("FROM a:1\n# check=skip=UndefinedVar\nCMD x", "JSONArgsRecommended:3"),
        ("FROM a:1\n# check=wrong\nCMD x", "JSONArgsRecommended:3"),
        ("FROM a:1\nCMD x\n# check=skip=StageNameCasing\nFROM a:1 AS B", "JSONArgsRecommended:2"),
    ] {
        let file = parse_bytes("Dockerfile", format!("{text}\n").as_bytes()).unwrap();
        let (request, selection) = (request(), Selection::parse("skip=NonRootUser").unwrap());
        let around = Surroundings { request: &request, configs: None, context: None };
        let found = of_file(&file, around, selection);
        let told = found.iter().map(|finding| format!("{}:{}", finding.rule.name, finding.location.line()));
        assert_eq!(told.collect::<Vec<_>>().join(" "), expected, "{text}");
    }
}
