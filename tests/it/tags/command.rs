//! `imgbuild tags`.

use std::process::Output;

use serde_json::Value;

use super::{SPEC, git, repository};
use crate::support::{cli::TestContext, registry::Fake};

fn lines(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_working_copy_says_what_its_images_are_called() {
    let context = repository(&["v1.4.1", "v1.4.2"]);
    context.write("imgbuild.yaml", SPEC);
    assert_eq!(
        lines(&context.run(&["tags"])),
        [
            "ghcr.io/me/app:1.4.2",
            "ghcr.io/me/app:1.4",
            "ghcr.io/me/app:1",
            "ghcr.io/me/app:latest",
            "localhost:5000/app:1.4.2",
            "localhost:5000/app:1.4",
            "localhost:5000/app:1",
            "localhost:5000/app:latest",
        ]
    );
    assert_eq!(
        lines(&context.run(&["tags", "--image", "Me/App", "--version", "2.0.0-rc.1"])),
        ["me/app:2.0.0-rc.1"]
    );
    git(&context, &["commit", "-q", "--allow-empty", "-m", "on"]);
    assert_eq!(lines(&context.run(&["tags"])), ["ghcr.io/me/app:main", "localhost:5000/app:main"]);
    assert_eq!(
        lines(&context.run(&["tags", "--rule", "type=ref,event=branch\nfoo", "--image", "x"])),
        ["x:main", "x:foo"]
    );
}

#[test]
fn older_lines_stay_behind() {
    let context = repository(&["v1.3.8", "v1.4.2", "v1.3.9"]);
    context.write("imgbuild.yaml", SPEC.replace("ghcr.io/me, ", ""));
    assert_eq!(lines(&context.run(&["tags"])), ["localhost:5000/app:1.3.9", "localhost:5000/app:1.3"]);
    insta::assert_snapshot!(context.transcript(&["tags", "--explain"]));
    let json = json(&context.run(&["tags", "--json"]));
    assert_eq!(json["tag-names"], serde_json::json!(["1.3.9", "1.3"]));
    assert_eq!(json["plan"][3]["heldBackBy"]["git"], "1.4.2");
}

#[test]
fn without_a_spec_the_rules_are_those_of_metadata_action() {
    let context = repository(&["v1.4.2"]);
    assert_eq!(lines(&context.run(&["tags"])), ["v1.4.2", "latest"]);
    assert_eq!(lines(&context.run(&["tags", "--image", "me/app"])), ["me/app:v1.4.2", "me/app:latest"]);
    assert_eq!(lines(&context.run(&["tags", "--version", "1.5.0"])), ["1.5.0", "1.5", "1", "latest"]);
    let empty = TestContext::new();
    assert!(lines(&empty.run(&["tags"])).is_empty());
}

#[test]
fn a_spec_without_rules_is_taken_as_it_is() {
    let context = repository(&["v1.4.2"]);
    context.write("imgbuild.yaml", SPEC.replace("[semver, branch]", "[\"2\", edge]"));
    let expected =
        ["ghcr.io/me/app:2", "localhost:5000/app:2", "ghcr.io/me/app:edge", "localhost:5000/app:edge"];
    assert_eq!(lines(&context.run(&["tags"])), expected);
    context.write("imgbuild.yaml", SPEC.replace("tags: [semver, branch]", "tags: [stable, semver]"));
    assert_eq!(
        lines(&context.run(&["tags", "--image", "a"])),
        ["a:1.4.2", "a:1.4", "a:1", "a:latest", "a:stable"]
    );
}
