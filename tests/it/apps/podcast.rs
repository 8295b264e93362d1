//! `fixtures/apps/podcast-digest`: both targets of its Dockerfile, from `FROM` to an answer over HTTP.

use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::bases::Bases;
use crate::{
    docker::{Container, Docker},
    tools::{PlainRegistry, repository, run, run_json},
};

fn application() -> PathBuf {
    repository().join("fixtures/apps/podcast-digest")
}

/// Asks the application in the container, with these options of curl.
#[track_caller]
fn ask(container: &Container, options: &[&str], path: &str) -> Value {
    let url = format!("http://127.0.0.1:8000{path}");
    let words = [&["curl", "--silent", "--show-error", "--fail"], options, &[&url]].concat();
    let answer = container.until(&words);
    serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{path}: {error} in {answer}"))
}

/// One test, for the packages are downloaded once: what the targets share is built once.
#[test]
fn both_targets_are_built_pushed_pulled_and_answer() {
    let folder = TempDir::new().unwrap();
    let (bases, registry) = (Bases::with(&["python:3.11-slim"]), PlainRegistry::start());
    let docker = Docker::start();
    for target in ["development", "production"] {
        let reference = format!("{}/podcast-digest:{target}", registry.host());
        let mut build = bases.build(folder.path(), &application());
        build.args(["--target", target, "-t", &reference, "--push", "--insecure-registry", registry.host()]);
        run(&mut build);
        run(docker.client().args(["pull", "--quiet", &reference]));
    }
    production_answers(&docker, &format!("{}/podcast-digest:production", registry.host()));
    development_answers(&docker, &format!("{}/podcast-digest:development", registry.host()));
}

fn production_answers(docker: &Docker, image: &str) {
    let config = &run_json(docker.client().args(["image", "inspect", image]))[0]["Config"];
    assert_eq!(config["User"], "app");
    assert_eq!(config["WorkingDir"], "/app");
    assert_eq!(config["ExposedPorts"], json!({"8000/tcp": {}}));
    let variables = config["Env"].as_array().unwrap();
    let path = variables.iter().find_map(|variable| variable.as_str()?.strip_prefix("PATH="));
    assert!(path.is_some_and(|path| path.starts_with("/opt/poetry/bin:/usr/local/bin:")), "{path:?}");
    assert!(variables.contains(&json!("POETRY_HOME=/opt/poetry")), "{variables:?}");

    let container = docker.container(&["--network=none", image]);
    let health = ask(&container, &[], "/health");
    assert_eq!(health, json!({"status": "ok", "version": "0.3.0", "user": "app"}));
    assert_eq!(container.run(&["id", "-un"]), "app\n");
    assert_eq!(container.run(&["id", "-gn"]), "app\n");
    let made = container.run(&["stat", "-c", "%n %U:%G %a", "output_audio", "input", "src", "."]);
    assert_eq!(made, "output_audio app:app 755\ninput app:app 755\nsrc app:app 755\n. app:app 755\n");

    // It works: it writes where it may, with four workers.
    let added = ask(&container, &["--data-binary", "@tests/feed.xml"], "/feeds/example");
    assert_eq!(added["episodes"], 2);
    let digest = ask(&container, &[], "/feeds/example/digest?sentences=1");
    assert_eq!(
        digest["digest"]["What a registry wants"],
        "A registry keeps each layer of an image by its digest."
    );
    let workers =
        container.run(&["sh", "-c", "grep -l [m]ultiprocessing.spawn /proc/[0-9]*/cmdline | wc -l"]);
    assert_eq!(workers, "4\n");

    // What .dockerignore names is not there, and neither are the machine's certificates and proxies.
    container.run(&["sh", "-c", "! ls Dockerfile .dockerignore && test -f README.md"]);
    container.run(&[
        "sh",
        "-c",
        "test -z \"$(env | grep -iE '^(https?_proxy|ssl_cert|pip_cert|curl_ca|node_extra)')\"",
    ]);
    container.run(&["sh", "-c", "! ls /var/lib/apt/lists/*_Packages* /run/secrets"]);
}

fn development_answers(docker: &Docker, image: &str) {
    let container = docker.container(&["--network=none", image]);
    assert_eq!(ask(&container, &[], "/health")["user"], "root");
    let tests = container.run(&["python", "-m", "pytest", "-q", "-p", "no:cacheprovider"]);
    assert!(tests.contains("13 passed"), "{tests}");
    container.run(&["sh", "-c", "gcc --version && poetry --version | grep -F 1.7.1"]);
}
