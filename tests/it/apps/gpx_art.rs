//! `fixtures/apps/gpx-art`: a command line tool, a back end, a page, and all of them in one image.

use serde_json::json;

use super::{
    application::Application,
    http::{Answer, ask, send},
};

/// One test, for the packages are downloaded once.
#[test]
fn every_image_of_gpx_art_works_and_is_that_of_its_spec() {
    let bases = ["python:3.9-alpine", "python:3.9-slim", "node:18-alpine", "nginx:alpine"];
    let application = Application::new("gpx-art", &bases);
    let tool = application.build("Dockerfile.cli", "gpx-art-cli.yaml");
    let backend = application.build("Dockerfile.backend", "gpx-art-backend.yaml");
    let page = application.build("Dockerfile.frontend", "gpx-art-frontend.yaml");
    let all = application.build("Dockerfile", "gpx-art.yaml");
    the_tool_draws(&application, &tool);
    the_page_asks_the_back_end(&application, &backend, &page);
    all_are_in_one(&application, &all);
}

fn the_tool_draws(application: &Application, image: &str) {
    let config = application.config(image);
    assert_eq!(config["Entrypoint"], json!(["gpx-art"]));
    assert_eq!(config["Volumes"], json!({"/data": {}}));
    let tracks = format!("{}:/data/input:ro", application.path().join("tests").display());
    let drawing = application.run(&[
        "-v",
        &tracks,
        "--entrypoint=sh",
        image,
        "-c",
        "mkdir /data/output && gpx-art /data/input/loop.gpx /data/output/loop.svg && cat /data/output/loop.svg",
    ]);
    assert!(drawing.starts_with("<svg "), "{drawing}");
    assert!(drawing.contains("<title>Round &amp; round the lake</title>"), "{drawing}");
    assert!(drawing.contains("M500.0,834.1 L950.0,500.0 L500.0,165.9 L50.0,500.0 L500.0,834.1"), "{drawing}");
    let style = "mkdir /data/config && printf '[style]\\nstroke = navy\\n' >$GPX_ART_CONFIG_PATH && \
                 gpx-art /data/input/loop.gpx /tmp/loop.svg && cat /tmp/loop.svg";
    let drawing = application.run(&["-v", &tracks, "--entrypoint=sh", image, "-c", style]);
    assert!(drawing.contains("stroke=\"navy\""), "{drawing}");
    assert!(application.run(&[image]).starts_with("Usage: gpx-art"));
}

fn the_page_asks_the_back_end(application: &Application, backend: &str, page: &str) {
    let tracks = format!("{}:/tracks:ro", application.path().join("tests").display());
    let backend =
        application.start(&["--network=none", "--add-host=backend:127.0.0.1", "-v", &tracks, backend]);
    let _page = application.beside(&backend, &[page]);
    assert_eq!(ask(&backend, "http://127.0.0.1:8000/api/health").json()["status"], "ok");
    assert_is_the_page(&ask(&backend, "http://127.0.0.1/"));
    assert_is_measured(&send(&backend, "http://127.0.0.1/api/track", "@/tracks/loop.gpx"));
    let refused = send(&backend, "http://127.0.0.1/api/track", "@/app/main.py");
    assert_eq!(refused.status, 422);
    assert!(refused.body.contains("this is not a GPX file"), "{refused:?}");
}

fn all_are_in_one(application: &Application, image: &str) {
    let config = application.config(image);
    assert_eq!(config["User"], "gpx");
    assert_eq!(config["ExposedPorts"], json!({"8080/tcp": {}}));
    let volumes = json!({"/data/config": {}, "/data/input": {}, "/data/logs": {}, "/data/output": {}});
    assert_eq!(config["Volumes"], volumes);
    let variables = config["Env"].as_array().unwrap();
    for name in ["GPX_ART_CONFIG_PATH=", "GPX_ART_LOG_LEVEL=", "GPX_ART_TMP_DIR="] {
        assert!(
            variables.iter().any(|variable| variable.as_str().unwrap().starts_with(name)),
            "{variables:?}"
        );
    }
    let tracks = format!("{}:/tracks:ro", application.path().join("tests").display());
    let container = application.start(&["--network=none", "--health-interval=1s", "-v", &tracks, image]);
    container.until_healthy();
    assert_is_the_page(&ask(&container, "http://127.0.0.1:8080/"));
    assert_is_measured(&send(&container, "http://127.0.0.1:8080/api/track", "@/tracks/loop.gpx"));
    assert_eq!(container.run(&["id"]), "uid=1000(gpx) gid=1000(gpx) groups=1000(gpx)\n");
    container.run(&["gpx-art", "/tracks/loop.gpx", "/data/output/loop.svg"]);
    assert_eq!(container.run(&["stat", "-c", "%U %a", "/data/output/loop.svg"]), "gpx 644\n");
}

#[track_caller]
fn assert_is_the_page(answer: &Answer) {
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("<title>GPX Art</title>"), "{answer:?}");
    assert!(answer.body.contains("/assets/index-"), "it is built: {answer:?}");
}

#[track_caller]
fn assert_is_measured(answer: &Answer) {
    assert_eq!(answer.status, 200);
    assert!(
        answer.body.contains(r#""climb":30,"length":7462,"name":"Round & round the lake""#),
        "{answer:?}"
    );
}
