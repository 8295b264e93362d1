//! Specs and the recipes they give.

use super::{Spec, build, request};
use crate::{
    oci::Platform,
    recipe::{
        Base, ContextSource, Copy, CopySource, Destination, Frontend, ImageSource, Recipe, Request, StepKind,
    },
    source::SourceFile,
};

#[test]
fn the_example_gives_its_recipe() {
    insta::assert_debug_snapshot!(build(include_str!("../../../fixtures/specs/example.yaml"), &request()));
}

#[test]
fn every_step_gives_its_recipe() {
    insta::assert_debug_snapshot!(build(include_str!("../../../fixtures/specs/every-step.yaml"), &request()));
}

#[test]
fn every_config_gives_its_recipe() {
    insta::assert_debug_snapshot!(build(
        include_str!("../../../fixtures/specs/every-config.yaml"),
        &request()
    ));
}

fn copies(recipe: &Recipe) -> Vec<&Copy> {
    let steps = recipe.stages.iter().flat_map(|stage| &stage.steps);
    steps.filter_map(|step| if let StepKind::Copy(copy) = &step.kind { Some(copy) } else { None }).collect()
}

#[test]
fn destinations() {
    for (copy, to, meant) in [
        ("a", "/x", "path /x"),
        ("a", "/x/", "directory /x"),
        ("a", "x", "path /w/x"),
        ("a", ".", "directory /w"),
        ("a", "./", "directory /w"),
        ("a", "..", "directory /"),
        ("a", "/", "directory /"),
        ("a/", "/x", "path /x"),
        (".", "/x", "path /x"),
        ("[a, b]", "/x", "directory /x"),
        ("'*.conf'", "/x", "directory /x"),
        ("a", "../../../x", "path /x"),
    ] {
        let recipe = build(
            &format!("from: scratch\nworkdir: /w\nlayers:\n  - copy: {copy}\n    to: {to}\n"),
            &request(),
        );
        let shown = match &copies(&recipe)[0].to {
            Destination::Directory(None) => "directory /".to_owned(),
            Destination::Directory(Some(path)) => format!("directory /{path}"),
            Destination::Path(path) => format!("path /{path}"),
        };
        assert_eq!(shown, meant, "copy {copy} to {to}");
    }
    let recipe = build("from: scratch\nlayers: [{copy: a}]", &request());
    assert_eq!(copies(&recipe)[0].to, Destination::Directory(None));
}

#[test]
fn a_name_means_a_stage_then_a_context_then_an_image() {
    let text = "stages:\n  one: {from: scratch}\n  app:\n    from: scratch\n    layers:\n      - {copy: a, from: one}\n      - {copy: a, from: two}\n      - {copy: a, from: three}\n      - {copy: a, from: img}\n";
    let mut request = request();
    let image = ImageSource::Reference("alpine:3".parse().expect("a reference"));
    for (name, source) in [
        ("one", ContextSource::Directory("/one".into())),
        ("two", ContextSource::Directory("/two".into())),
        ("img", ContextSource::Image(image.clone())),
    ] {
        request.contexts.insert(name.to_owned(), source);
    }
    let recipe = build(text, &request);
    let from: Vec<CopySource> = copies(&recipe).into_iter().map(|copy| copy.from.clone()).collect();
    let three = ImageSource::Reference("three".parse().expect("a reference"));
    assert_eq!(
        from,
        [
            CopySource::Stage(0),
            CopySource::Context("two".to_owned()),
            CopySource::Image(three),
            CopySource::Image(image)
        ]
    );
}

#[test]
fn only_what_the_target_needs_is_planned_and_in_order() {
    let text = "stages:\n  app: {from: mid, layers: [{copy: /x, from: tool, only: linux/arm64}]}\n  mid: {from: base}\n  tool: {from: golang}\n  base: {from: debian, platform: '${BUILDPLATFORM}'}\ntarget: app\n";
    let spec = Spec::parse(SourceFile::new("x", text)).expect("valid");
    let names = |request: &Request| -> Vec<String> {
        build(text, request).stages.into_iter().map(|stage| stage.name).collect()
    };
    let amd64 = request();
    assert_eq!(names(&amd64), ["base", "mid", "app"]);
    assert_eq!(spec.bases(&amd64).expect("bases").len(), 1);
    let arm64 = Request { platform: "linux/arm64".parse().expect("a platform"), ..request() };
    assert_eq!(names(&arm64), ["base", "mid", "tool", "app"]);
    let tool = Request { target: Some("tool".to_owned()), ..request() };
    assert_eq!(names(&tool), ["tool"]);
    // A stage on a stage is for its platform.
    let recipe = build(text, &amd64);
    let platforms: Vec<&Platform> = recipe.stages.iter().map(|stage| &stage.platform).collect();
    assert!(platforms.iter().all(|platform| **platform == amd64.build_platform));
    assert_eq!(recipe.stages[1].base, Base::Stage(0));
}

#[test]
fn arguments_come_from_the_command_line_then_the_file_then_the_environment() {
    let text = "args: {A: '1', LATE: '${EARLY}', EARLY: x, PATH: mine}\nfrom: debian\nlayers:\n  - write: {path: /f, text: '${A} ${LATE} ${PATH} ${TARGETPLATFORM} ${TARGETVARIANT:-none} ${BUILDARCH} ${SOURCE_DATE_EPOCH:-unset}'}\n";
    let content = |request: &Request| match &build(text, request).stages[0].steps[0].kind {
        StepKind::Write(write) => String::from_utf8(write.content.to_vec()).expect("UTF-8"),
        other => panic!("{other:?}"),
    };
    assert_eq!(content(&request()), "1 x mine linux/amd64 none arm64 unset");
    let mut other = Request { source_date_epoch: Some(7), ..request() };
    other.args.insert("A".to_owned(), "2".to_owned());
    other.args.insert("EARLY".to_owned(), "y".to_owned());
    assert_eq!(content(&other), "2 y mine linux/amd64 none arm64 7");
}

#[test]
fn what_the_file_says_of_the_build_is_told() {
    let spec = Spec::parse(SourceFile::new("x", include_str!("../../../fixtures/specs/example.yaml")));
    insta::assert_debug_snapshot!(
        spec.expect("valid").defaults(&std::collections::BTreeMap::new()).expect("valid")
    );
}

#[test]
fn a_step_knows_where_its_sources_are_written() {
    let recipe = build(
        "from: scratch\nlayers:\n  - copy:\n      - one\n      - two\n    to: /x\n  - copy: three\n",
        &request(),
    );
    let shown = |step: usize| {
        let location = recipe.stages[0].steps[step].location.clone().expect("a location");
        location.file.text()[location.range].to_owned()
    };
    assert_eq!(shown(0), "one\n      - two");
    assert_eq!(shown(1), "three");
}

#[test]
fn variables_of_the_base_are_seen_behind_arguments() {
    let recipe = build("from: debian\nlayers:\n  - env: {PATH: '/a:${PATH}', X: '${PATH}:/z'}\n", &request());
    insta::assert_debug_snapshot!(recipe.stages[0].steps[0].kind, @r#"
    Config(
        [
            Env(
                "PATH",
                "/a:/usr/bin:/bin",
            ),
            Env(
                "X",
                "/a:/usr/bin:/bin:/z",
            ),
        ],
    )
    "#);
}

#[test]
fn what_is_said_of_the_build_as_a_whole_can_use_arguments() {
    let text = "args: {VERSION: '1.2', TEAM: me}\nname: '${TEAM}/app'\ntags: ['${VERSION}', 'v${VERSION}']\n\
                registries: ['${HOST:-docker.io}/x']\nplatforms: ['linux/${CPU:-arm64}']\nfrom: scratch\n";
    let spec = Spec::parse(SourceFile::new("x", text)).expect("valid");
    let args = std::collections::BTreeMap::from([("VERSION".to_owned(), "2".to_owned())]);
    let defaults = spec.defaults(&args).expect("valid");
    assert_eq!(defaults.name.as_deref(), Some("me/app"));
    assert_eq!(
        (defaults.tags, defaults.registries),
        (vec!["2".into(), "v2".into()], vec!["docker.io/x".into()])
    );
    assert_eq!(defaults.platforms, ["linux/arm64".parse().expect("a platform")]);
}
