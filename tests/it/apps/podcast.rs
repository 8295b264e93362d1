//! `fixtures/apps/podcast-digest`: both targets of its Dockerfile, from `FROM` to an answer over HTTP.

use serde_json::json;

use super::{
    application::Application,
    http::{ask, send},
};

const HEALTH: &str = "http://127.0.0.1:8000/health";
const FEED: &str = "http://127.0.0.1:8000/feeds/example";

/// One test, for the packages are downloaded once: what the targets share is built once.
#[test]
fn both_targets_are_built_pushed_pulled_and_answer() {
    let application = Application::new("podcast-digest", &["python:3.11-slim"]);
    let [development, production] = ["development", "production"].map(|stage| {
        application.build(&format!("Dockerfile#{stage}"), &format!("podcast-digest.yaml#{stage}"))
    });
    production_answers(&application, &production);
    development_answers(&application, &development);
}

fn production_answers(application: &Application, image: &str) {
    let config = application.config(image);
    assert_eq!(config["User"], "app");
    assert_eq!(config["WorkingDir"], "/app");
    assert_eq!(config["ExposedPorts"], json!({"8000/tcp": {}}));
    let variables = config["Env"].as_array().unwrap();
    let path = variables.iter().find_map(|variable| variable.as_str()?.strip_prefix("PATH="));
    assert!(path.is_some_and(|path| path.starts_with("/opt/poetry/bin:/usr/local/bin:")), "{path:?}");
    assert!(variables.contains(&json!("POETRY_HOME=/opt/poetry")), "{variables:?}");

    let container = application.start(&["--network=none", image]);
    assert_eq!(ask(&container, HEALTH).json(), json!({"status": "ok", "version": "0.3.0", "user": "app"}));
    assert_eq!(container.run(&["id", "-un"]), "app\n");
    assert_eq!(container.run(&["id", "-gn"]), "app\n");
    let made = container.run(&["stat", "-c", "%n %U:%G %a", "output_audio", "input", "src", "."]);
    assert_eq!(made, "output_audio app:app 755\ninput app:app 755\nsrc app:app 755\n. app:app 755\n");

    // It works: it writes where it may, with four workers.
    let added = send(&container, FEED, "@tests/feed.xml").json();
    assert_eq!(added["episodes"], 2);
    let digest = ask(&container, &format!("{FEED}/digest?sentences=1")).json();
    assert_eq!(
        digest["digest"]["What a registry wants"],
        "A registry keeps each layer of an image by its digest."
    );
    let workers =
        container.run(&["sh", "-c", "grep -l [m]ultiprocessing.spawn /proc/[0-9]*/cmdline | wc -l"]);
    assert_eq!(workers, "4\n");

    // What .dockerignore names is not there, and neither are the machine's certificates and proxies.
    container.lacks(&["Dockerfile", ".dockerignore", "/run/secrets"]);
    container.run(&["sh", "-c", "test -f README.md"]);
    container.run(&[
        "sh",
        "-c",
        "test -z \"$(env | grep -iE '^(https?_proxy|ssl_cert|pip_cert|curl_ca|node_extra)')\"",
    ]);
    container.run(&["sh", "-c", "! ls /var/lib/apt/lists/*_Packages*"]);
}

fn development_answers(application: &Application, image: &str) {
    let container = application.start(&["--network=none", image]);
    assert_eq!(ask(&container, HEALTH).json()["user"], "root");
    let tests = container.run(&["python", "-m", "pytest", "-q", "-p", "no:cacheprovider"]);
    assert!(tests.contains("13 passed"), "{tests}");
    container.run(&["sh", "-c", "gcc --version && poetry --version | grep -F 1.7.1"]);
}
