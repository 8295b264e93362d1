//! What comes from a base: its config and its triggers.

use super::{TestContext, history};
use crate::support::registry::Fake;

#[test]
fn a_base_leaves_config_and_environment() {
    let ctx = TestContext::new();
    let base =
        "FROM scratch\nENV PATH=/base LANG=C\nWORKDIR /src\nUSER 5\nCMD [\"c\"]\nLABEL a=1 b=2\nEXPOSE 80\n";
    ctx.image_of_dockerfile(base, &["-t", "base", "--annotation", "note=base"]);
    let image = ctx.image_of_dockerfile(
        "FROM base\nENV X=$LANG PATH=/x:$PATH\nWORKDIR sub\nLABEL b=3\nEXPOSE 81\n",
        &[],
    );
    assert_eq!(image.run("Env"), &serde_json::json!(["PATH=/x:/base", "LANG=C", "X=C"]));
    assert_eq!(image.run("WorkingDir"), "/src/sub");
    assert_eq!(image.run("Cmd"), &serde_json::json!(["c"]));
    assert_eq!(image.run("Labels"), &serde_json::json!({"a": "1", "b": "3"}));
    assert_eq!(image.run("ExposedPorts"), &serde_json::json!({"80/tcp": {}, "81/tcp": {}}));
    assert!(image.manifest["annotations"]["note"].is_null());
    assert_eq!(image.member("src/sub").owner(), (5, 5));
}

#[test]
fn triggers_run_after_from() {
    let ctx = TestContext::new();
    ctx.write("app/main.py", "x");
    let base = "FROM scratch\nWORKDIR /app\nONBUILD COPY app .\nONBUILD COPY --from=tools /tool /\nONBUILD ENV T=1\n";
    ctx.image_of_dockerfile(base, &["-t", "base"]);
    let text = "FROM scratch AS tools\nCOPY <<EOF /tool\nt\nEOF\nFROM scratch AS unused\nCOPY nothing /\n\
                FROM base\nENV U=$T\n";
    let image = ctx.image_of_dockerfile(text, &[]);
    assert_eq!(image.member("app/main.py").text(), "x");
    assert_eq!(image.member("tool").text(), "t\n");
    assert_eq!(
        history(&image),
        ["WORKDIR /app", "COPY app . # imgbuild", "COPY /tool / # imgbuild", "- ENV T=1", "- ENV U=1"]
    );
    assert!(image.run("OnBuild").is_null());
}

#[test]
fn triggers_are_for_the_next_stage_alone() {
    let ctx = TestContext::new();
    let text = "FROM scratch AS a\nONBUILD ENV T=1\nFROM a AS b\nONBUILD ENV U=1\nFROM b\n";
    let image = ctx.image_of_dockerfile(text, &[]);
    assert_eq!(history(&image), ["- ENV T=1", "- ENV U=1"]);
    assert!(image.run("OnBuild").is_null());
    let image = ctx.image_of_dockerfile(text, &["--target", "b"]);
    assert_eq!(image.run("OnBuild"), &serde_json::json!(["ENV U=1"]));
}

#[test]
fn a_trigger_that_is_wrong_names_its_image() {
    let ctx = TestContext::new();
    ctx.write("imgbuild.yaml", "from: scratch\nconfig: {onbuild: [\"WROKDIR /x\"]}\n");
    assert!(ctx.run(&["build", "-t", "bad"]).status.success());
    let (status, text) = ctx.refused("FROM bad\n", &["-f", "Dockerfile"]);
    assert_eq!(status, 2, "{text}");
    assert!(
        text.contains("ONBUILD of bad") && text.contains("WROKDIR") && text.contains("base image bad"),
        "{text}"
    );
}

#[test]
fn platforms_are_built_side_by_side() {
    let ctx = TestContext::new();
    let text = "FROM --platform=$BUILDPLATFORM scratch AS tools\nARG BUILDARCH TARGETARCH\n\
                COPY <<EOF /from\n$TARGETARCH\nEOF\nFROM scratch\nARG TARGETPLATFORM\nENV P=$TARGETPLATFORM\n\
                COPY --from=tools /from /\n";
    let images = ctx.images_of_dockerfile(text, &["--platform", "linux/amd64,linux/arm64"]);
    for (image, platform) in images.iter().zip(["linux/amd64", "linux/arm64"]) {
        assert_eq!(image.platform, platform);
        assert_eq!(image.run("Env")[1], format!("P={platform}"));
        assert_eq!(format!("linux/{}", image.member("from").text()), format!("{platform}\n"));
    }
}

#[test]
fn a_context_stands_in_for_an_image_or_a_stage() {
    let ctx = TestContext::new();
    ctx.write("lib/file", "lib");
    ctx.image_of_dockerfile("FROM scratch\nENV MINE=1\n", &["-t", "mine"]);
    let text = "FROM python:3.11-slim AS base\nCOPY --from=lib file /a\nFROM lib AS files\nFROM base\n\
                COPY --from=files /file /b\n";
    let arguments = ["--build-context", "docker.io/library/python:3.11-slim=docker-image://mine"];
    let image = ctx.image_of_dockerfile(text, &[&arguments[..], &["--build-context", "lib=lib"]].concat());
    assert!(image.run("Env").to_string().contains("MINE=1"));
    assert_eq!((image.member("a").text(), image.member("b").text()), ("lib", "lib"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_base_that_is_nowhere_is_shown_where_it_is_named() {
    let registry = Fake::start().await;
    let ctx = TestContext::new();
    ctx.write(
        "imgbuild.yaml",
        format!("from: scratch\nlayers:\n  - {{copy: x, from: '{}/no:1'}}\n", registry.host()),
    );
    let cases = [
        (
            format!("FROM scratch AS build\nFROM {}/nothere:1\n", registry.host()),
            "Dockerfile:2:6",
            "nothere:1",
        ),
        (format!("FROM scratch\nCOPY --from={}/no:1 /a /\n", registry.host()), "Dockerfile:2:13", "no:1"),
        (
            format!("FROM scratch\nRUN --mount=from={}/m:1,target=/m x\n", registry.host()),
            "Dockerfile:2:18",
            "m:1",
        ),
    ];
    for (text, place, name) in cases {
        let (status, told) = ctx.refused(&text, &["-f", "Dockerfile"]);
        assert_eq!(status, 3, "{told}");
        let shown = text.lines().nth(1).unwrap();
        assert!(told.contains(&format!("{name} was not found\n")) && told.contains(place), "{told}");
        assert!(told.contains(shown), "{told}");
    }
    let (status, told) = ctx.refused("", &["-f", "imgbuild.yaml"]);
    assert!(status == 3 && told.contains("imgbuild.yaml:3:"), "{told}");
}
