//! Notes of a release, and the versions of a repository.

use std::process::Command;

use serde_json::Value;

use super::scene::{BOTH, Scene, client, repository};
use crate::{
    support::{
        git,
        real_registry::{Options, Registry},
    },
    tools::{run, run_json, told},
};

/// What a version of the application has.
struct Contents<'a> {
    status: &'a str,
    python: &'a str,
    npm: Option<&'a str>,
    base: &'a str,
}

const FIRST: Contents<'_> = Contents {
    status: "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9\n\n\
             Package: curl\nStatus: install ok installed\nVersion: 7.88.1-10\n",
    python: "1.16.0",
    npm: None,
    base: "docker.io/library/debian:12.4",
};

const SECOND: Contents<'_> = Contents {
    status: "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9+deb12u7\n\n\
             Package: curl\nStatus: deinstall ok config-files\nVersion: 7.88.1-10\n",
    python: "1.17.0",
    npm: Some("4.0.1"),
    base: "docker.io/library/debian:12.7",
};

/// Pushes a version, and gives its digest.
fn release(scene: &Scene, host: &str, version: &str, contents: &Contents<'_>) -> String {
    let Contents { status, python, npm, base } = contents;
    let file = |path: &str, text: &str| {
        let text = serde_json::to_string(text).unwrap();
        format!("  - write: {{path: {path}, text: {text}}}\n")
    };
    let mut spec = "from: scratch\nlayers:\n".to_owned();
    spec += &file("/etc/issue", "the same");
    spec += &file("/var/lib/dpkg/status", status);
    let metadata = format!("Metadata-Version: 2.1\nName: Six\nVersion: {python}\n\nAbout.\n");
    spec += &file("/usr/lib/python3/dist-packages/six.dist-info/METADATA", &metadata);
    if let Some(npm) = npm {
        let manifest = format!("{{\"name\": \"@me/left-pad\", \"version\": \"{npm}\"}}");
        // Another one for each platform.
        let native = "{\"name\": \"native\", \"version\": \"1.0.0-${TARGETARCH}\"}";
        spec += &file("/app/node_modules/native/package.json", native);
        spec += &file("/app/node_modules/@me/left-pad/package.json", &manifest);
    }
    std::fs::write(scene.path("context/imgbuild.yaml"), spec).unwrap();
    let name = format!("{host}/me/app:{version}");
    let more = ["-f", "imgbuild.yaml", "--annotation", &format!("org.opencontainers.image.base.name={base}")];
    run(&mut scene.build("home", BOTH, &[&name], &more)).trim().to_owned()
}

/// Two releases with their commits.
fn released(scene: &Scene, host: &str) -> [String; 2] {
    let folder = scene.path("context");
    let commit = |text: &str| git::repository(&folder, &[("file", text)]);
    let tag = |tag: &str| run(Command::new("git").args(["tag", tag]).current_dir(&folder));
    commit("first");
    tag("v1.4.1");
    let first = release(scene, host, "1.4.1", &FIRST);
    commit("second");
    commit("third");
    tag("v1.4.2");
    [first, release(scene, host, "1.4.2", &SECOND)]
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_tell_what_has_changed() {
    let registry = Registry::start(Options::default());
    let (scene, host) = (Scene::new(), registry.host());
    let digests = released(&scene, &host);
    let name = format!("{host}/me/app:1.4.2");

    // On another machine, with the same clone.
    let notes = run(&mut scene.program("fresh", &["release", "notes", "-q", &name]));
    let mut shown = notes.replace(&host, "[REGISTRY]");
    for (digest, word) in digests.iter().zip(["[FIRST]", "[SECOND]"]) {
        shown = shown.replace(digest, word);
    }
    insta::with_settings!({filters => vec![
        (r"`[0-9a-f]{12}`", "`[LAYER]`"),
        (r"\([0-9a-f]{7}, ", "([COMMIT], "),
    ]}, {
        insta::assert_snapshot!("notes", shown);
    });

    let json = run_json(&mut scene.program("fresh", &["release", "notes", "-q", "--json", &name]));
    assert_eq!(json["image"]["digest"], digests[1]);
    assert_eq!(json["from"]["digest"], digests[0]);
    assert_eq!(json["commits"]["commits"].as_array().unwrap().len(), 2);
    let libc = &json["packages"][1];
    assert_eq!([&libc["name"], &libc["to"][0]], ["libc6", "2.36-9+deb12u7"]);
    let kept: Vec<_> = json["platforms"][0]["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|layer| layer["kept"].clone())
        .collect();
    assert_eq!(kept[0], Value::Bool(true), "{kept:?}");

    // Backwards, by name; and the first release, which has none before it.
    let first = format!("{host}/me/app:1.4.1");
    let back =
        run_json(&mut scene.program("fresh", &["release", "notes", "-q", "--json", &first, "--from", &name]));
    let curl = &back["packages"][0];
    assert_eq!((&curl["name"], &curl["from"]), (&"curl".into(), &Value::Array(Vec::new())));
    let alone = run_json(&mut scene.program("fresh", &["release", "notes", "-q", "--json", &first]));
    assert_eq!([&alone["from"], &alone["packages"]], [&Value::Null, &Value::Null]);
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_are_attached_to_the_image_once() {
    let registry = Registry::start(Options::default());
    let (scene, host) = (Scene::new(), registry.host());
    let digest = release(&scene, &host, "1.0.0", &FIRST);
    let name = format!("{host}/me/app:1.0.0");
    let mut notes = String::new();
    for _ in 0..2 {
        notes = run(&mut scene.program("fresh", &["release", "notes", "-q", "--attach", &name]));
    }
    let (client, of) = (client(), repository(&host));
    let attached = client.referrers(&of, &digest.parse().unwrap()).await.unwrap();
    assert_eq!(attached.len(), 1, "{attached:?}");
    assert_eq!(
        attached[0].artifact_type.as_deref(),
        Some("application/vnd.imgbuild.release-notes.v1"),
        "{attached:?}"
    );
    let manifest = client.manifest(&of.at(attached[0].digest)).await.unwrap();
    let manifest = imgbuild::oci::Manifest::parse(&manifest.bytes).unwrap();
    assert_eq!(manifest.subject.unwrap().digest.to_string(), digest);
    assert_eq!(manifest.layers[0].digest, imgbuild::oci::Digest::of(notes.as_bytes()));
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_listed_with_their_platforms() {
    let registry = Registry::start(Options::default());
    let (scene, host) = (Scene::new(), registry.host());
    let digests = released(&scene, &host);
    let [name, of] = [format!("{host}/me/app:1.4.2"), format!("{host}/me/app")];
    let more = ["1.4", "latest", "v1.4.2"].map(|tag| format!("{of}:{tag}"));
    run(scene.program("home", &["promote", "-q", &name]).args(&more));
    run(&mut scene.program(
        "home",
        &["promote", "-q", &name, &format!("{of}:1.10.0-rc.1"), "--platform", "linux/arm64"],
    ));
    run(&mut scene.program(
        "home",
        &["promote", "-q", &format!("{of}:1.4.1"), &format!("{of}:edge"), "--platform", "linux/amd64"],
    ));
    // What is no image: the list of what is attached.
    run(&mut scene.program("home", &["release", "notes", "-q", "--attach", &name]));

    let json = run_json(&mut scene.program("fresh", &["release", "ls", &of, "--json"]));
    let rows: Vec<_> = json.as_array().unwrap().iter().collect();
    let versions: Vec<_> = rows.iter().map(|row| row["version"].as_str()).collect();
    assert_eq!(versions, [Some("1.10.0-rc.1"), Some("1.4.2"), Some("1.4.1"), None]);
    assert_eq!(rows[1]["digest"], digests[1]);
    assert_eq!(rows[0]["platforms"]["linux/arm64"], rows[1]["platforms"]["linux/arm64"]);

    let table = run(&mut scene.program("fresh", &["release", "ls", &of]));
    insta::with_settings!({filters => vec![(r"\b[0-9a-f]{12}\b", "[12 DIGITS]")]}, {
        insta::assert_snapshot!("versions", table);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_told_is_said() {
    let registry = Registry::start(Options::default());
    let (scene, host) = (Scene::new(), registry.host());
    release(&scene, &host, "edge", &FIRST);
    for (arguments, status, words) in [
        (["release", "notes", "[HOST]/me/app:edge"], 2, "--from names the release before"),
        (["release", "notes", "[HOST]/me/app:none"], 3, "is not there"),
        (["release", "ls", "[HOST]/me/app:edge"], 2, "is an image, not a repository"),
        (["release", "ls", "[HOST]/me/none"], 3, ""),
    ] {
        let arguments = arguments.map(|argument| argument.replace("[HOST]", &host));
        let output = scene.program("home", &arguments.each_ref().map(String::as_str)).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {}", told(&output));
        assert!(told(&output).contains(words), "{arguments:?}: {}", told(&output));
    }
}
