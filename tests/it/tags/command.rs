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

#[test]
fn parts_of_a_repository_have_versions_of_their_own() {
    let context = repository(&["web/v9.0.0", "api/v1.2.3"]);
    git(&context, &["tag", "web/v9.0.1"]);
    let tags = |prefix: &str| lines(&context.run(&["tags", "--rule", "semver", "--tag-prefix", prefix]));
    assert_eq!(tags("api/"), ["1.2.3", "1.2", "1", "latest"]);
    assert_eq!(tags("web/"), ["9.0.1", "9.0", "9", "latest"]);
    assert!(tags("cli/").is_empty());
    let version = ["tags", "--tag-prefix", "web/", "--version", "web/v8.5.0"];
    assert_eq!(lines(&context.run(&version)), ["8.5.0", "8.5", "8"]);
}

const PAYLOAD: &str = r#"{
  "ref": "refs/tags/v1.2.3", "base_ref": "refs/heads/main", "number": 7,
  "head_commit": {"id": "860c1904a1ce19322e91ac35af1ab07466440c37", "timestamp": "2020-01-10T00:30:00+00:00"},
  "pull_request": {"head": {"sha": "1111111111111111111111111111111111111111"}, "base": {"ref": "main"}},
  "repository": {
    "name": "Hello-World", "description": null, "html_url": "https://host.example/octocat/Hello-World",
    "license": {"spdx_id": "MIT"}, "default_branch": "main"
  }
}"#;

#[test]
fn github_says_what_happened() {
    let context = TestContext::new();
    context.write("event.json", PAYLOAD);
    let run = |name: &str, reference: &str, extra: (&str, &str), arguments: &[&str]| {
        let mut command = context.command(arguments);
        command.envs([
            ("GITHUB_EVENT_PATH", "event.json"),
            ("GITHUB_EVENT_NAME", name),
            ("GITHUB_REF", reference),
            ("GITHUB_SHA", "860c1904a1ce19322e91ac35af1ab07466440c37"),
            extra,
        ]);
        command.output().unwrap()
    };
    let none = ("X", "");
    let rules = "type=semver,pattern={{version}}\ntype=edge\ntype=ref,event=pr\ntype=raw,{{base_ref}},enable={{is_not_default_branch}}\ntype=sha";
    for (name, reference, extra, expected) in [
        ("push", "refs/tags/v1.2.3", none, "1.2.3 main sha-860c190 latest"),
        ("push", "refs/heads/main", none, "edge sha-860c190"),
        ("push", "refs/heads/main", ("DOCKER_METADATA_SHORT_SHA_LENGTH", "12"), "edge sha-860c1904a1ce"),
        ("pull_request", "refs/pull/7/merge", none, "pr-7 main sha-860c190"),
        (
            "pull_request",
            "refs/pull/7/merge",
            ("DOCKER_METADATA_PR_HEAD_SHA", "true"),
            "pr-7 main sha-1111111",
        ),
        ("pull_request_target", "refs/heads/main", none, "pr-7 main sha-860c190"),
    ] {
        let output = run(name, reference, extra, &["tags", "--rule", rules]);
        assert_eq!(lines(&output).join(" "), expected, "{name} {reference}");
    }
    let levels = ("DOCKER_METADATA_ANNOTATIONS_LEVELS", "manifest,index");
    let output =
        run("push", "refs/tags/v1.2.3", levels, &["tags", "--rule", "semver", "--image", "a/b", "--json"]);
    insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap());
    context.write("event.json", "{");
    let output = run("push", "refs/tags/v1.2.3", none, &["tags"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn gitlab_says_what_happened() {
    let context = TestContext::new();
    for (variables, expected) in [
        (&[("CI_COMMIT_TAG", "v1.2.3")][..], "1.2.3 1.2 1 sha-860c190 latest"),
        (&[("CI_COMMIT_BRANCH", "main")], "edge main sha-860c190"),
        (&[("CI_COMMIT_BRANCH", "dev/x")], "dev-x sha-860c190"),
        (
            &[("CI_MERGE_REQUEST_IID", "12"), ("CI_PIPELINE_SOURCE", "merge_request_event")],
            "pr-12 sha-860c190",
        ),
        (
            &[("CI_COMMIT_BRANCH", "main"), ("CI_PIPELINE_SOURCE", "schedule")],
            "20200110 edge main sha-860c190",
        ),
    ] {
        let rules = "semver\nbranch\npr\nsha\ntype=edge\ntype=schedule,pattern={{commit_date 'YYYYMMDD'}}";
        let output = context
            .command(&["tags", "--rule", rules])
            .envs([
                ("GITLAB_CI", "true"),
                ("CI_COMMIT_SHA", "860c1904a1ce19322e91ac35af1ab07466440c37"),
                ("CI_COMMIT_TIMESTAMP", "2020-01-10T01:30:00+01:00"),
                ("CI_DEFAULT_BRANCH", "main"),
                ("CI_PROJECT_TITLE", "App"),
            ])
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        assert_eq!(lines(&output).join(" "), expected, "{variables:?}");
    }
}

#[test]
fn mistakes_and_misfits_are_told() {
    let context = repository(&["sometag"]);
    context.write("wrong.yaml", SPEC.replace("branch]", "\"type=semver,patern=x\"]"));
    let mut all = String::new();
    for arguments in [
        &["tags", "--rule", "type=semvr,pattern={{version}}"][..],
        &["tags", "--rule", "semver"],
        &["tags", "--rule", "type=raw,value=-x"],
        &["tags", "--flavor", "latest=maybe"],
        &["tags", "--image", "a/b:1"],
        &["tags", "--version", ""],
        &["tags", "-f", "wrong.yaml"],
        &["tags", "nowhere"],
        &["--version", "1.0.0", "nowhere"],
    ] {
        all.push_str(&format!("$ imgbuild {}\n{}\n", arguments.join(" "), context.transcript(arguments)));
    }
    insta::assert_snapshot!(all);
}

#[tokio::test(flavor = "multi_thread")]
async fn registries_are_asked_on_request() {
    let registry = Fake::start().await;
    for tag in ["1.4.2", "1", "latest", "2.0.0-rc.1"] {
        registry.put_manifest("me/app", tag, "application/vnd.oci.image.manifest.v1+json", "{}");
    }
    let context = repository(&["v1.3.9"]);
    let (app, other) = (format!("{}/me/app", registry.host()), format!("{}/me/other", registry.host()));
    let arguments = ["tags", "--check", "--rule", "semver", "--image", &app, "--image", &other];
    let run = |more: &[&str]| {
        let mut command = context.command(&[&arguments[..], more].concat());
        tokio::task::block_in_place(|| command.output().unwrap())
    };
    let expected = [
        (&app, "1.3.9"),
        (&app, "1.3"),
        (&other, "1.3.9"),
        (&other, "1.3"),
        (&other, "1"),
        (&other, "latest"),
    ];
    assert_eq!(lines(&run(&[])), expected.map(|(name, tag)| format!("{name}:{tag}")));
    let json = json(&run(&["--json"]));
    assert_eq!(json["plan"][2]["heldBackBy"][&app], "1.4.2", "{json}");
    assert_eq!(json["tag-names"].as_array().map(Vec::len), Some(4));
}
