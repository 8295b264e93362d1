//! `imgbuild build` with rules.

use serde_json::Value;

use super::{SPEC, git, repository};
use crate::support::cli::TestContext;

/// The names that the layout has, and the labels and annotations of its image.
fn built(context: &TestContext, arguments: &[&str]) -> (Vec<String>, Value) {
    let output = context
        .run(&[&["build", "--platform", "linux/amd64", "-o", "type=oci,dest=out"], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let images = context.run(&["images", "--json"]);
    let images: Value = serde_json::from_slice(&images.stdout).unwrap();
    let mut names: Vec<_> =
        images.as_array().unwrap().iter().map(|image| image["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    let inspected = context.run(&["inspect", "--json", "oci:out"]);
    (names, serde_json::from_slice(&inspected.stdout).unwrap())
}

#[test]
fn rules_of_the_spec_name_the_image() {
    let context = repository(&["v1.4.2"]);
    context.write("imgbuild.yaml", SPEC.replace("ghcr.io/me, ", ""));
    let (names, image) = built(&context, &["--label", "org.opencontainers.image.title=mine"]);
    assert_eq!(names, ["1", "1.4", "1.4.2", "latest"].map(|tag| format!("localhost:5000/app:{tag}")));
    let image = image.to_string();
    for part in [
        r#""org.opencontainers.image.version":"1.4.2""#,
        r#""org.opencontainers.image.created":"1970-01-01T00:20:34.000Z""#,
        r#""org.opencontainers.image.title":"mine""#,
    ] {
        assert!(image.contains(part), "{part} in {image}");
    }
}

#[test]
fn flags_name_the_image() {
    for (arguments, expected) in [
        // As it always was: a name goes before the spec's tags.
        (&["-t", "a/b"][..], &["docker.io/a/b:latest"][..]),
        (
            &["-t", "a/b", "-t", "c:x", "--tag-rule", "type=raw,value=y"],
            &["docker.io/a/b:y", "docker.io/library/c:x"],
        ),
        (
            &["-t", "a/b", "--version", "3.1.0"],
            &["docker.io/a/b:3", "docker.io/a/b:3.1", "docker.io/a/b:3.1.0", "docker.io/a/b:latest"],
        ),
        (&["-t", "a/b", "--tag-rule", "branch", "--flavor", "suffix=-x"], &["docker.io/a/b:dev-x"]),
    ] {
        let context = repository(&[]);
        context.write("imgbuild.yaml", SPEC);
        git(&context, &["checkout", "-q", "-b", "dev"]);
        assert_eq!(built(&context, arguments).0, expected, "{arguments:?}");
    }
}

#[test]
fn rules_without_a_name_are_refused() {
    let context = repository(&["v1.0.0"]);
    context.write("Dockerfile", "FROM scratch\n");
    let output = context.run(&["build", "--tag-rule", "semver"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("the tag 1.0.0 has no name to go with"));
}

#[test]
fn a_version_without_a_command_builds() {
    let context = repository(&[]);
    context.write("imgbuild.yaml", SPEC.replace("ghcr.io/me, ", ""));
    let output = context.run(&["--version", "1.0.0", "--platform", "linux/amd64"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("localhost:5000/app:1.0.0"));
    let output = context.run(&["--version"]);
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("imgbuild "));
}
