//! Builds by the action, as the runner starts it, and what later steps learn of them.

use std::fs;

use super::Job;
use crate::{
    support::{image, real_registry},
    tools::{run, run_json, told, tool},
};

const DOCKERFILE: &str = "FROM scratch\nARG GREETING\nLABEL greeting=$GREETING\nCOPY hello.txt /\n";

fn job() -> Job {
    let job = Job::new();
    job.context.write("Dockerfile", DOCKERFILE).write("hello.txt", "hello\n");
    job
}

#[test]
fn a_pushed_image_is_what_the_outputs_say() {
    let registry =
        real_registry::Registry::start(real_registry::Options { basic: true, ..Default::default() });
    let (job, host) = (job(), registry.host());
    let names = format!("{host}/app:1.4.2\n{host}/app:latest");
    let output = job.run(
        "build",
        &[
            ("tags", &names),
            ("platforms", "linux/amd64,linux/arm64"),
            ("push", "true"),
            ("registry", &host),
            ("username", "me"),
            ("password", "secret"),
        ],
    );
    assert!(output.status.success(), "{}", told(&output));
    let outputs = job.outputs();
    assert_eq!(outputs["tags"], names);
    let metadata: serde_json::Value = serde_json::from_str(&outputs["metadata"]).unwrap();
    assert_eq!(metadata["containerimage.digest"], *outputs["digest"]);
    // Of several platforms, it is the index.
    assert_eq!(outputs["imageid"], outputs["digest"]);
    for name in ["1.4.2", "latest"] {
        let mut skopeo = tool("skopeo", "skopeo");
        skopeo.args(["inspect", "--raw", "--tls-verify=false", "--creds", "me:secret"]);
        let raw = run(skopeo.arg(format!("docker://{host}/app:{name}")));
        assert_eq!(imgbuild::oci::Digest::of(raw.as_bytes()).to_string(), outputs["digest"]);
    }
    let summary = job.summary();
    assert!(summary.contains(&outputs["digest"]) && summary.contains("linux/arm64"), "{summary}");
    assert!(!job.context.home().join(".docker").exists(), "credentials are not kept");
}

#[test]
fn values_are_never_code() {
    let job = job();
    let label = |text: &str| format!("{text}\n");
    let values = [
        ("dollar", "$(touch PWNED) ${HOME} `touch PWNED`"),
        ("quotes", "it's \"so\" 'and' so"),
        ("commas", "a,b,,c"),
        ("equals", "a=b=c"),
        ("dash", "--push"),
        ("command", "::error::no %0A ##[error]no"),
        ("globs", "* ? [a-z] ~ {a,b}"),
        ("end", "EOF <<EOF ; touch PWNED & | > PWNED"),
        ("unicode", "grüße \u{1f4e6}"),
        ("backslash", "a\\nb\\"),
    ];
    let mut labels: String = values.iter().map(|(key, value)| label(&format!("{key}={value}"))).collect();
    labels.push_str("# comment=1\n\n\"lines=one\n# two\n  \"\"three\"\"\n\"\n-dash=--=x\n");
    let output = job.run(
        "build",
        &[
            ("labels", &labels),
            ("build-args", "GREETING=-o type=local,dest=PWNED $(touch PWNED) \"\n"),
            ("outputs", "type=oci,dest=out"),
            ("annotations", "-x=$(touch PWNED)"),
        ],
    );
    assert!(output.status.success(), "{}", told(&output));
    let built = image::image(&job.context.project().join("out"));
    let config = built.run("Labels");
    for (key, value) in values {
        assert_eq!(config[key], value, "{key}");
    }
    assert_eq!(config["lines"], "one\n# two\n  \"three\"\n");
    assert_eq!(config["-dash"], "--=x");
    assert_eq!(config["greeting"], "-o type=local,dest=PWNED $(touch PWNED) \"");
    assert_eq!(config.as_object().unwrap().len(), values.len() + 3, "{config}");
    assert_eq!(built.manifest["annotations"]["-x"], "$(touch PWNED)");
    let mut left: Vec<_> =
        fs::read_dir(job.context.project()).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["Dockerfile", "hello.txt", "out"]);
    assert_eq!(job.outputs()["tags"], "");
}

/// What the runner tells of a tag that was pushed.
#[test]
fn rules_name_the_image_and_say_what_they_found() {
    let job = job();
    let mut script = job.script(
        "build",
        &[
            ("images", "ghcr.io/me/app\nname=docker.io/me/app,enable=true"),
            ("tag-rules", "type=semver,pattern={{version}}\ntype=semver,pattern={{major}}.{{minor}}"),
            ("platforms", "linux/amd64"),
        ],
    );
    for (name, value) in [
        ("GITHUB_EVENT_NAME", "push"),
        ("GITHUB_REF", "refs/tags/v1.4.2"),
        ("GITHUB_REF_NAME", "v1.4.2"),
        ("GITHUB_REF_TYPE", "tag"),
        ("GITHUB_SHA", "2e21ac8df0a2bb1ea9b5c1a2b9c8d7e6f5a4b3c2"),
        ("GITHUB_SERVER_URL", "https://github.com"),
    ] {
        script.env(name, value);
    }
    let output = script.output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    let outputs = job.outputs();
    let names = ["ghcr.io", "docker.io"]
        .map(|host| ["1.4.2", "1.4", "latest"].map(|tag| format!("{host}/me/app:{tag}")).join("\n"));
    assert_eq!(outputs["tags"], names.join("\n"), "{}", told(&output));
    assert_eq!(outputs["version"], "1.4.2");
    let json: serde_json::Value = serde_json::from_str(&outputs["json"]).unwrap();
    assert_eq!(json["tags"][0], "ghcr.io/me/app:1.4.2");
    assert_eq!(json["labels"]["org.opencontainers.image.version"], "1.4.2");
    for (output, prefix) in [("labels", ""), ("annotations", "manifest:")] {
        let line = format!("{prefix}org.opencontainers.image.version=1.4.2");
        assert!(outputs[output].lines().any(|found| found == line), "{}", outputs[output]);
    }
}

#[test]
fn several_specs_have_a_line_each() {
    let job = Job::new();
    for name in ["one", "two"] {
        let spec =
            format!("name: {name}\nfrom: scratch\nlayers:\n  - write: {{path: /name, text: {name}}}\n");
        job.context.write(&format!("build-specs/{name}.yaml"), spec);
    }
    let output = job.run("build", &[]);
    assert!(output.status.success(), "{}", told(&output));
    let outputs = job.outputs();
    assert_eq!(outputs["tags"], "docker.io/library/one:latest\ndocker.io/library/two:latest");
    assert_eq!(outputs["digest"].lines().count(), 2);
    let metadata: serde_json::Value = serde_json::from_str(&outputs["metadata"]).unwrap();
    assert_eq!(metadata[1]["containerimage.digest"], outputs["digest"].lines().nth(1).unwrap());
}

#[test]
fn secrets_reach_steps_and_nothing_else() {
    let job = job();
    fs::copy("/bin/busybox", job.context.project().join("busybox")).unwrap();
    job.context.write("file", "in a file\n").write(
        "Dockerfile",
        "FROM scratch\nCOPY busybox /bin/sh\nRUN --mount=type=secret,id=a --mount=type=secret,id=b \
         --mount=type=secret,id=c cd /run/secrets && sh -c 'cat a b c >/out; echo $(cat a)'\n",
    );
    let output = job
        .script(
            "build",
            &[
                ("secrets", "\"a=s3cret, \"\"x\"\"\nsecond\""),
                ("secret-envs", "b=OWN"),
                ("secret-files", "c=file"),
                ("outputs", "out"),
            ],
        )
        .env("OWN", "in a variable\n")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", told(&output));
    let out = fs::read_to_string(job.context.project().join("out/out")).unwrap();
    assert_eq!(out, "s3cret, \"x\"\nsecondin a variable\nin a file\n");
    assert!(!told(&output).contains("s3cret") && !job.summary().contains("s3cret"), "{}", told(&output));
}

#[test]
fn a_failed_build_fails_the_step_with_its_own_status() {
    let job = job();
    let output = job.run("build", &[("file", "none")]);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert_eq!(job.outputs().len(), 0);
    let answer = run_json(job.command(env!("CARGO_BIN_EXE_imgbuild")).args(["images", "--json"]));
    assert_eq!(answer.as_array().map(Vec::len), Some(0));
}
