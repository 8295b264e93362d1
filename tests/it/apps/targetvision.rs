//! `fixtures/apps/targetvision`: a service, its database with an extension that is compiled, its web server, a cache.

use serde_json::json;

use super::{
    application::Application,
    http::{ask, send},
};

#[test]
fn the_services_find_each_other_and_targets() {
    let names = ["python:3.11-slim", "postgres:15", "nginx:alpine", "redis:alpine"];
    let application = Application::new("targetvision", &names);
    let app = application.build("Dockerfile", "targetvision-app.yaml");
    let database = application.build("Dockerfile.database", "targetvision-database.yaml");
    let web = application.build("Dockerfile.web", "targetvision-web.yaml");
    let redis = application.base("redis:alpine");

    let often = "--health-interval=1s";
    let database =
        application.start(&["--network=none", often, "--env=POSTGRES_PASSWORD=for-tests", &database]);
    let _redis = application.beside(&database, &[&redis]);
    let variables = [
        "--env=POSTGRES_HOST=127.0.0.1",
        "--env=POSTGRES_PASSWORD=for-tests",
        "--env=REDIS_URL=redis://127.0.0.1:6379/0",
    ];
    let service = application.beside(&database, &[&[often], &variables[..], &[&app]].concat());
    let _web = application.beside(&database, &["--env=APP_HOST=127.0.0.1:8000", &web]);
    database.until_healthy();
    service.until_healthy();
    assert_eq!(service.run(&["id", "-un"]), "appuser\n");

    let health = ask(&service, "http://127.0.0.1:80/health");
    assert_eq!(health.json(), json!({"status": "ok", "version": "2.1.0", "user": "appuser"}));
    let sun = json!({"name": "sun", "features": [1.0, 0.9, 0.1]});
    assert_eq!(send(&service, "http://127.0.0.1/api/targets", &sun.to_string()).json(), sun);
    let nearest = "http://127.0.0.1/api/targets/nearest?features=1&features=0.9&features=0.1&count=2";
    for cached in [false, true] {
        let found = ask(&service, nearest).json();
        assert_eq!(found["cached"], cached);
        assert_eq!(found["targets"][0], json!({"name": "sun", "distance": 0.0}));
        assert_eq!(found["targets"][1]["name"], "kayak");
    }

    let headers = ask(&service, "http://127.0.0.1/main.js").headers;
    assert_eq!(headers["content-encoding"], "gzip");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["x-frame-options"], "DENY");

    // The extension came out of a stage whose compiler stayed there, and `.env` never came in.
    database.lacks(&["/usr/bin/gcc", "/tmp/pgvector", "/usr/include/postgresql"]);
    service.lacks(&[".env", ".env.template", "Dockerfile"]);
}
