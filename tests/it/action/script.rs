//! How inputs become arguments: a stand-in for the program writes down what it is given.

use std::{fs, os::unix::fs::PermissionsExt};

use super::{Job, action, declared, variable};
use crate::{tools::repository, tools::told};

/// Arguments, each between angle brackets, then the variables that hold secrets.
const STAND_IN: &str = r#"#!/usr/bin/env bash
{
    printf '<%s>\n' "$@"
    env -0 | sort -z | grep -z -E '^(IMGBUILD_(ACTION|REGISTRY)|INPUT_(SECRETS|PASSWORD|LOGINS)|GITHUB_STEP)' | tr '\0' '\n'
} >"$GIVEN"
"#;

fn job() -> Job {
    let job = Job::new();
    let program = job.at("bin/imgbuild");
    fs::write(&program, STAND_IN).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    job
}

/// What the program was given.
#[track_caller]
fn given(inputs: &[(&str, &str)]) -> String {
    let job = job();
    let output = job.script("build", inputs).env("GIVEN", job.at("given")).output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    let given = fs::read_to_string(job.at("given")).unwrap();
    assert_eq!(fs::read_dir(job.at("temporary")).unwrap().count(), 0, "nothing is left behind");
    given.replace(&*job.folder.path().to_string_lossy(), "[JOB]")
}

#[test]
fn every_input_becomes_a_flag() {
    insta::assert_snapshot!(given(&[
        ("context", "app"),
        ("file", "app/Dockerfile"),
        ("platforms", "linux/amd64,linux/arm64"),
        ("target", "final"),
        ("build-args", "A=1\nB=two words, and a comma\n"),
        ("build-contexts", "base=docker-image://alpine:3"),
        ("images", "ghcr.io/me/app\nname=docker.io/me/app,enable=true\nenable=false,name=quay.io/me/app"),
        ("tag-rules", "type=semver,pattern={{version}}\n\n# by branch\ntype=ref,event=branch"),
        ("flavor", "latest=auto\nprefix=x-,onlatest=true"),
        ("version", "1.4.2"),
        ("tag-prefix", "api/"),
        ("tags", "a:1, b:2\nc:3,"),
        ("labels", "a=b"),
        ("annotations", "index:a=b\nmanifest,index:c=d"),
        ("push", "true"),
        ("load", "TRUE"),
        ("outputs", "type=oci,dest=out.tar\nplain"),
        ("create-repository", "true"),
        ("allow-downgrade", "true"),
        ("overwrite", "true"),
        ("set", "17"),
        ("part", "linux/amd64"),
        ("parts", "linux/amd64\nlinux/arm64"),
        ("wait", "10m"),
        ("cache-from", "type=registry,ref=x/cache"),
        ("cache-to", "type=registry,ref=x/cache,mode=min"),
        ("cache-mounts", "export"),
        ("no-cache", "true"),
        ("no-cache-filters", "a,b"),
        ("pull", "true"),
        ("locked", "true"),
        ("ssh", "default,other=/run/agent"),
        ("allow", "network.host"),
        ("network", "none"),
        ("add-hosts", "db:10.0.0.1"),
        ("shm-size", "64m"),
        ("ulimit", "nofile=1024:2048"),
        ("provenance", "false"),
        ("sbom", "false"),
        ("attests", "type=sbom,disabled=true"),
        ("args", "--split-copy=4\n--compression\nzstd"),
    ]));
}

#[test]
fn without_inputs_the_directory_is_built() {
    insta::assert_snapshot!(given(&[]), @r"
    <build>
    <--step-output=[JOB]/outputs>
    <-->
    <.>
    GITHUB_STEP_SUMMARY=[JOB]/summary
    ");
    assert!(!given(&[("summary", "false")]).contains("GITHUB_STEP_SUMMARY"));
}

/// As in docker/metadata-action, whose default rules are those of branches, pull requests and tags.
#[test]
fn images_without_rules_have_the_default_ones() {
    assert!(given(&[("images", "Me/app")]).contains("<--flavor=latest=auto>\n<--tag=me/app>\n"));
    for rule in ["tag-rules", "flavor", "version", "tag-prefix"] {
        let given = given(&[("images", "me/app"), (rule, "x=y")]);
        assert_eq!(given.matches("<--flavor=latest=auto>").count(), 0, "{rule}");
    }
}

#[test]
fn a_part_is_built_for_its_platform() {
    for (inputs, flag) in [
        (&[("part", "linux/arm64")][..], Some("<--platform=linux/arm64>")),
        (&[("part", "linux/arm64"), ("platforms", "linux/arm64/v8")], Some("<--platform=linux/arm64/v8>")),
        (&[("part", "with-tools")], None),
    ] {
        let given = given(inputs);
        let found = given.lines().find(|line| line.starts_with("<--platform"));
        assert_eq!(found, flag, "{inputs:?}");
    }
}

#[test]
fn secrets_are_no_arguments() {
    let given = given(&[
        ("secrets", "npm=t0ken=x, y\n\"key=first line\n\n  third, with \"\"quotes\"\"\n\"\nodd,\"id=z"),
        ("secret-envs", "HOME_OF=HOME,b=B"),
        ("secret-files", "file=a b, \"c\".txt"),
        ("registry", "ghcr.io"),
        ("username", "me"),
        ("password", "p4ss $(id)"),
        ("logins", "localhost:5000 you two words\nindex.docker.io me h\"ub"),
    ]);
    insta::assert_snapshot!(given);
    let arguments = given.lines().filter(|line| line.starts_with('<'));
    for secret in ["t0ken", "first", "p4ss", "words", "h\"ub"] {
        assert!(arguments.clone().all(|line| !line.contains(secret)), "{secret}");
    }
}

#[test]
fn mistakes_are_told_on_the_job_and_without_secrets() {
    let mut all = String::new();
    for inputs in [
        &[("push", "maybe")][..],
        &[("labels", "a=b\n\"c=d\ne")],
        &[("images", "name=me/app,enabled=true")],
        &[("images", "name=me/app,enable=maybe")],
        &[("secrets", "hunter2")],
        &[("secret-files", "=x")],
        &[("password", "hunter2")],
        &[("logins", "ghcr.io hunter2")],
        &[("registry", "https://ghcr.io/"), ("username", "me"), ("password", "p")],
    ] {
        let job = job();
        let output = job.script("build", inputs).env("GIVEN", job.at("given")).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{inputs:?} {}", told(&output));
        assert!(!job.at("given").exists(), "{inputs:?}: nothing was built");
        assert_eq!(fs::read_dir(job.at("temporary")).unwrap().count(), 0, "{inputs:?}");
        all.push_str(&String::from_utf8(output.stdout).unwrap());
    }
    assert!(!all.contains("hunter2"), "{all}");
    insta::assert_snapshot!(all);
}

/// What a script reads, `action.yml` gives it, and nothing else.
#[test]
fn scripts_read_what_the_action_gives_them() {
    let text = action();
    let (install, build) = text.split_once("- name: Build").unwrap();
    for (script, step) in [("install", install), ("build", build)] {
        let script = fs::read_to_string(repository().join(".github/action").join(script)).unwrap();
        for (name, _) in declared() {
            let named = format!("{}: ${{{{ inputs.{name} }}}}", variable(&name));
            let word = variable(&name);
            let short = &word["INPUT_".len()..];
            let words = |line: &str| {
                line.split(|c: char| !c.is_ascii_uppercase() && c != '_' && !c.is_ascii_digit())
                    .any(|found| found == word || found == short)
            };
            let reads = script.lines().filter(|line| !line.trim().starts_with('#')).any(words);
            let given = step.lines().any(|line| line.trim() == named);
            assert!(!given || reads, "{name} is given and not read");
            assert!(given || !script.contains(&word), "{name} is read and not given");
        }
    }
    for name in declared().keys() {
        assert_eq!(text.matches(&format!("inputs.{name} ")).count(), 1, "{name}");
    }
}
