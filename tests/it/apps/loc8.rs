//! `fixtures/apps/loc8`: a back end and a page, each for development and production, and a proxy before them.

use serde_json::json;

use super::{
    application::Application,
    http::{Answer, ask},
};

/// One test, for the packages are downloaded once.
#[test]
fn every_image_of_loc8_works_and_is_that_of_its_spec() {
    let application = Application::new("loc8", &["python:3.11-slim", "node:20-alpine", "nginx:alpine"]);
    let backend = application.build("Dockerfile.backend", "loc8-backend.yaml#development");
    let backend_prod = application.build("Dockerfile.backend.prod", "loc8-backend.yaml");
    let page = application.build("Dockerfile.frontend", "loc8-frontend.yaml#development");
    let page_prod = application.build("Dockerfile.frontend.prod", "loc8-frontend.yaml");
    let proxy = application.build("Dockerfile.nginx", "loc8-nginx.yaml");

    in_development(&application, &backend, &page, &proxy);
    in_production(&application, &backend_prod, &page_prod, &proxy);
}

const HOSTS: [&str; 2] = ["--add-host=backend:127.0.0.1", "--add-host=frontend:127.0.0.1"];

fn in_development(application: &Application, backend: &str, page: &str, proxy: &str) {
    let config = application.config(backend);
    assert!(config["Env"].as_array().unwrap().contains(&json!("PYTHONUNBUFFERED=1")));
    assert!(config["Healthcheck"]["Test"][1].as_str().unwrap().contains("/docs"));
    let backend = application.start(&["--network=none", "--health-interval=1s", HOSTS[0], HOSTS[1], backend]);
    backend.until_healthy();
    assert_finds_places(&ask(&backend, "http://127.0.0.1:8000/api/nearest?lat=50&lon=1&limit=2"));
    let health = ask(&backend, "http://127.0.0.1:8000/health");
    assert!(health.body.contains(r#""debug":true,"user":"root""#), "{health:?}");
    backend.run(&["python", "-m", "unittest", "discover", "-s", "tests"]);

    let _page = application.beside(&backend, &[page]);
    let _proxy = application.beside(&backend, &["--env=FRONTEND=frontend:3000", proxy]);
    assert_is_the_page(&ask(&backend, "http://127.0.0.1:3000/"));
    assert_is_the_page(&ask(&backend, "http://127.0.0.1/"));
    assert_finds_places(&ask(&backend, "http://127.0.0.1/api/nearest?lat=50&lon=1&limit=2"));
    assert!(ask(&backend, "http://127.0.0.1/docs").body.contains("swagger-ui"));
    assert_eq!(ask(&backend, "http://127.0.0.1/health").json()["status"], "ok");
}

fn in_production(application: &Application, backend: &str, page: &str, proxy: &str) {
    let config = application.config(backend);
    assert_eq!(config["User"], "appuser");
    assert_eq!(config["ExposedPorts"], json!({"8000/tcp": {}}));
    let backend = application.start(&["--network=none", "--health-interval=1s", HOSTS[0], HOSTS[1], backend]);
    backend.until_healthy();
    assert_eq!(backend.run(&["id"]), "uid=1000(appuser) gid=1000(appuser) groups=1000(appuser)\n");
    let health = ask(&backend, "http://127.0.0.1:8000/health");
    assert!(health.body.contains(r#""debug":false,"user":"appuser""#), "{health:?}");
    assert_finds_places(&ask(&backend, "http://127.0.0.1:8000/api/nearest?lat=50&lon=1&limit=2"));
    let processes = backend.run(&["sh", "-c", "grep -l '[g]unicorn' /proc/[0-9]*/cmdline | wc -l"]);
    assert_eq!(processes, "5\n", "the arbiter and four workers");

    // Whoever comes first has port 80: the page and the proxy take turns.
    let page = application.beside(&backend, &[page]);
    let answer = ask(&backend, "http://127.0.0.1/");
    assert_is_the_page(&answer);
    assert_eq!(answer.headers["cache-control"], "no-cache");
    let settings = page.run(&["nginx", "-T"]);
    assert!(settings.contains("limit_req zone=pages") && settings.contains("gzip on"), "{settings}");
    let script = answer.body.split("src=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let asset = ask(&backend, &format!("http://127.0.0.1{script}"));
    assert!(asset.headers["cache-control"].contains("immutable"), "{asset:?}");
    assert!(asset.body.contains("/api/nearest"), "{asset:?}");
    drop(page);

    let _proxy = application.beside(&backend, &["--env=FRONTEND=backend:8000", proxy]);
    assert_finds_places(&ask(&backend, "http://127.0.0.1/api/nearest?lat=50&lon=1&limit=2"));
    assert_eq!(ask(&backend, "http://127.0.0.1/openapi.json").json()["info"]["title"], "LOC8");
}

#[track_caller]
fn assert_is_the_page(answer: &Answer) {
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("<title>LOC8</title>"), "{answer:?}");
    assert!(answer.body.contains("/assets/index-"), "it is built: {answer:?}");
}

#[track_caller]
fn assert_finds_places(answer: &Answer) {
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains(r#"[{"name":"Paris","km":160},{"name":"London","km":186}]"#), "{answer:?}");
}
