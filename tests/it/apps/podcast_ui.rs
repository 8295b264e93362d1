//! `fixtures/apps/podcast-digest-ui`: a Next.js application, in five stages.

use serde_json::{Value, json};

use super::application::Application;
use crate::docker::Container;

/// Asks the application, which has no other client than its own Node.js.
#[track_caller]
fn ask(container: &Container, path: &str) -> String {
    let script = "fetch('http://127.0.0.1:3000' + process.argv[1]).then(async (r) => \
        { if (!r.ok) process.exit(1); console.log(await r.text()) }, () => process.exit(1))";
    container.until(&["node", "-e", script, path])
}

#[track_caller]
fn health(container: &Container) -> Value {
    serde_json::from_str(&ask(container, "/health")).unwrap()
}

#[test]
fn both_targets_are_built_pushed_pulled_and_answer() {
    let application = Application::new("podcast-digest-ui", &["node:20-alpine"]);
    let [production, development] = ["production", "development"].map(|stage| {
        application.build(&format!("Dockerfile#{stage}"), &format!("podcast-digest-ui.yaml#{stage}"))
    });
    let config = application.config(&production);
    assert_eq!(config["User"], "nextjs");
    assert_eq!(config["ExposedPorts"], json!({"3000/tcp": {}}));
    let container = application.start(&["--network=none", "--health-interval=1s", &production]);
    container.until_healthy();
    assert_eq!(health(&container), json!({"status": "ok", "mode": "production", "user": "nextjs"}));
    assert!(ask(&container, "/").contains("The back end does not answer."));
    assert!(ask(&container, "/logo.svg").starts_with("<svg"));
    let owners = container.run(&["stat", "-c", "%n %U:%G", "server.js", ".next/static", "public"]);
    assert_eq!(owners, "server.js nextjs:nodejs\n.next/static nextjs:nodejs\npublic root:root\n");
    // Neither the compiler nor the sources.
    container.lacks(&["node_modules/@next/swc-linux-x64-gnu", "app/page.js", ".dockerignore", "Dockerfile"]);

    let container = application.start(&["--network=none", &development]);
    assert_eq!(health(&container), json!({"status": "ok", "mode": "development", "user": "root"}));
}
