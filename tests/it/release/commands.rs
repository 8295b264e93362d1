//! The commands, against real registries.

use std::process::Command;

use super::scene::{BOTH, Scene, is_complete, repository, tags};
use crate::{
    support::real_registry::{Options, Registry},
    tools::{run, told, tool},
};

/// Status and standard error of a command that fails.
#[track_caller]
fn fails(command: &mut Command) -> (i32, String) {
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{}", told(&output));
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// The digest of what skopeo reads.
fn seen_by_skopeo(name: &str) -> String {
    let mut skopeo = tool("skopeo", "skopeo");
    skopeo.args(["inspect", "--tls-verify=false", "--raw"]);
    let raw = run(skopeo.arg(format!("docker://{name}")));
    imgbuild::oci::Digest::of(raw.as_bytes()).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tested_image_is_pushed_and_promoted() {
    let registries =
        [Registry::start(Options { log: true, ..Options::default() }), Registry::start(Options::default())];
    let [here, there] = registries.each_ref().map(|registry| format!("{}/me/app", registry.host()));
    let scene = Scene::new();
    let built = run(&mut scene.program(
        "home",
        &[
            "build",
            "-q",
            "--platform",
            BOTH,
            "-t",
            "app",
            "-o",
            "type=oci,dest=out",
            "-o",
            "type=oci,dest=out.tar",
        ],
    ));
    let built = built.trim();
    let to = [format!("{here}:1"), format!("{here}:2"), format!("{there}:1")];

    // From another machine's point of view: nothing but the layout.
    for (image, home, name) in
        [("oci:out", "other", &to[0]), ("oci-archive:out.tar", "third", &to[2]), ("app", "home", &to[1])]
    {
        let pushed = run(&mut scene.program(home, &["push", "-q", image, name]));
        assert_eq!(pushed.trim(), built, "{image}");
        assert_eq!(seen_by_skopeo(name), built);
    }
    let by_digest = run(&mut scene.program("home", &["push", "-q", &built[7..19], &format!("{there}:2")]));
    assert_eq!(by_digest.trim(), built);
    let (status, said) = fails(&mut scene.program("other", &["push", "nothing", &to[0]]));
    assert_eq!(status, 3, "{said}");

    // Within a registry nothing is uploaded, across registries the digests stay.
    let elsewhere = here.replace("me/app", "you/copy");
    let names = [format!("{here}:prod"), format!("{elsewhere}:prod"), format!("{there}:prod")];
    let posts = registries[0].count("POST", "/uploads/");
    let mut promote = scene.program("fresh", &["promote", "-q", &to[0]]);
    assert_eq!(run(promote.args(&names)).trim(), built);
    names.iter().for_each(|name| assert_eq!(seen_by_skopeo(name), built));
    assert_eq!(registries[0].count("POST", "/uploads/"), posts, "all blobs are there or mounted");

    // One platform alone, and merged again.
    for platform in BOTH.split(',') {
        let name = format!("{there}:{}", platform.replace('/', "-"));
        run(&mut scene.program("fresh", &["promote", "-q", &to[0], &name, "--platform", platform]));
        assert_ne!(seen_by_skopeo(&name), built);
    }
    let parts = [format!("{there}:linux-arm64"), format!("{there}:linux-amd64")];
    let merged = format!("{there}:merged");
    let index =
        run(&mut scene.program("fresh", &["index", "create", "-q", "-t", &merged, &parts[0], &parts[1]]));
    assert_eq!(index.trim(), built, "sorted by platform, it is the index that was built");
    let one = format!("{there}:growing");
    run(&mut scene.program("fresh", &["index", "create", "-q", "-t", &one, &parts[0]]));
    let grown =
        run(&mut scene.program("fresh", &["index", "create", "-q", "--append", "-t", &one, &parts[1]]));
    assert_eq!(grown.trim(), built);
    let (status, said) =
        fails(&mut scene.program("fresh", &["promote", &to[0], &one, "--platform", "linux/386"]));
    assert!(status == 3 && said.contains("it has linux/amd64, linux/arm64"), "{status} {said}");
    for registry in &registries {
        for (tag, digest) in tags(&registry.host()).await {
            is_complete(&registry.host(), &digest).await.unwrap_or_else(|error| panic!("{tag}: {error}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_are_deleted_and_releases_undone() {
    let registry = Registry::start(Options::default());
    let scene = Scene::new();
    let name = |tag: &str| format!("{}:{tag}", repository(&registry.host()));
    let build = |tags: &[&str]| {
        let names: Vec<String> = tags.iter().map(|tag| name(tag)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        run(&mut scene.build("home", BOTH, &names, &[])).trim().to_owned()
    };
    let first = build(&["1", "latest", "same"]);
    scene.change("second");
    let second = build(&["2", "latest"]);
    let status = run(&mut scene.program("home", &["release", "status"]));
    assert!(status.contains(&second) && status.contains("latest (before: "), "{status}");

    run(&mut scene.program("home", &["release", "rollback"]));
    let found = tags(&registry.host()).await;
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(names, ["1", "latest", "same"]);
    assert!(found.values().all(|digest| digest.to_string() == first));

    // A tag alone goes, and not its image.
    let dry = run(&mut scene.program("home", &["rm", "--dry-run", &name("same")]));
    assert_eq!(dry, format!("would delete {} ({first})\n", name("same")));
    run(&mut scene.program("home", &["rm", &name("same")]));
    let found = tags(&registry.host()).await;
    assert_eq!(found.keys().collect::<Vec<_>>(), ["1", "latest"]);
    is_complete(&registry.host(), &found["1"]).await.unwrap();
    let (status, said) = fails(&mut scene.program("home", &["rm", &name("same")]));
    assert!(status == 3 && said.contains("is not there"), "{status} {said}");
    let (status, _) = fails(&mut scene.program("home", &["rm", &repository(&registry.host()).to_string()]));
    assert_eq!(status, 2, "what is deleted must be said");
    run(&mut scene.program("home", &["rm", &format!("{}@{first}", repository(&registry.host()))]));
    assert!(tags(&registry.host()).await.is_empty());
}
