//! `fixtures/apps/fastapi-dash`: an API and a dashboard, with their dependencies by Poetry.

use serde_json::{Value, json};

use super::{application::Application, http::ask};
use crate::{docker::Container, tools::told};

#[track_caller]
fn health(container: &Container) -> Value {
    ask(container, "http://127.0.0.1:8000/health").json()
}

#[test]
fn both_targets_are_built_pushed_pulled_and_answer() {
    let base = "python:3.11.7-slim";
    let mut application = Application::new("fastapi-dash", &[base]);
    // With the plugin that lets Poetry use any index.
    application.replace_base(base, "mirror.Dockerfile");
    let [production, development] = ["production", "development"].map(|stage| {
        application.build(&format!("Dockerfile#{stage}"), &format!("fastapi-dash.yaml#{stage}"))
    });
    production_answers(&application, &production);
    settings_are_checked(&application, &production);

    let container = application.start(&["--network=none", "--health-interval=1s", &development]);
    container.until_healthy();
    let expected = json!({"status": "ok", "version": "1.2.0", "user": "root", "environment": "development",
        "debug": true, "log_level": "DEBUG"});
    assert_eq!(health(&container), expected);
    let tests = container.run(&["python", "-m", "pytest", "-q", "-p", "no:cacheprovider"]);
    assert!(tests.contains("7 passed"), "{tests}");
    container.run(&["sh", "-c", "poetry --version | grep -F 1.6.1"]);
}

fn production_answers(application: &Application, image: &str) {
    let api = application.start(&["--network=none", "--health-interval=1s", image]);
    let command = ["gunicorn", "--bind", "0.0.0.0:8050", "figures.dashboard:server"];
    let options = ["--health-interval=1s", "--env=PORT=8050", image];
    let dashboard = application.beside(&api, &[&options[..], &command].concat());
    api.until_healthy();
    dashboard.until_healthy();
    let expected = json!({"status": "ok", "version": "1.2.0", "user": "app", "environment": "production",
        "debug": false, "log_level": "INFO"});
    assert_eq!(health(&api), expected);
    assert_eq!(
        ask(&api, "http://127.0.0.1:8000/sales").json(),
        json!({"tea": 96, "coffee": 195, "cake": 85})
    );
    let layout = ask(&api, "http://127.0.0.1:8050/_dash-layout");
    assert!(layout.body.contains("Figures"), "{layout:?}");
    assert_eq!(dashboard.run(&["id", "-un"]), "app\n");
    // Neither Poetry nor what is for development.
    api.run(&["sh", "-c", "! command -v poetry && ! python -c 'import pytest' 2>/dev/null"]);
    api.lacks(&["tests", "poetry.lock", "Dockerfile"]);
}

fn settings_are_checked(application: &Application, image: &str) {
    let table = [
        ("ENVIRONMENT=prod", "ENVIRONMENT: Input should be"),
        ("LOG_LEVEL=loud", "LOG_LEVEL: Input should be"),
        ("DEBUG=true", "DEBUG must be false where ENVIRONMENT is production"),
    ];
    for (variable, essential) in table {
        let mut command = application.docker().client();
        let output =
            command.args(["run", "--rm", "--network=none", "--env", variable, image]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{variable}: {}", told(&output));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(essential), "{variable}: {said}");
    }
}
