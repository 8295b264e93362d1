//! Images of a registry: looked at, checked, built on.

use serde_json::Value;

use super::TestContext;
use crate::tools::{PlainRegistry, run};

#[test]
fn inspect_validate_and_build_on_a_registrys_image() {
    let registry = PlainRegistry::start();
    let name = format!("{}/team/app:1", registry.host());
    let ctx = TestContext::new();
    ctx.write("a", "a").spec(
        "platforms: [linux/amd64, linux/arm64]\nfrom: scratch\nlayers:\n  - {copy: a, to: /data/a}\n  \
         - write: {path: /arch, text: '${TARGETARCH}'}\nconfig: {env: {A: b}}\n",
    );
    let digest = run(&mut ctx.command(&["build", "-q", "-t", &name, "--push"]));

    // Someone else, whose store is empty.
    let other = TestContext::new();
    let inspected = run(&mut other.command(&["inspect", "--json", &name]));
    let inspected: Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!(inspected["digest"], *digest.trim_end());
    assert_eq!(inspected["platforms"][1]["platform"], "linux/arm64");
    assert_eq!(inspected["platforms"][1]["config"]["Env"][0], "A=b");
    let validated = run(&mut other.command(&["validate", &name]));
    assert!(validated.starts_with("ok:"), "{validated}");
    assert!(!other.store().join("blobs").exists() || run(&mut other.command(&["images", "-q"])).is_empty());

    let done = other.run(&["inspect", &name.replace("app:1", "none:1")]);
    assert_eq!(done.status.code(), Some(3), "{}", other.describe(&done));

    // As a base its layers are not fetched, until a step looks at them.
    let image = other.spec(&format!("from: {name}\nlayers:\n  - write: {{path: /x, text: x}}\n"));
    let done = image.run(&["build", "-q", "-t", "mine"]);
    assert!(done.status.success(), "{}", other.describe(&done));
    let ok = run(&mut other.command(&["validate"]));
    assert!(ok.contains("layers of bases not fetched yet"), "{ok}");
    let image = other.build(&format!("from: {name}\nlayers:\n  - remove: /data/a\n"));
    assert!(image.has("data/.wh.a") && image.has("arch"));
    other.valid(&[]);
    // A base by its tag in the store, whose lower layers the store never had, is written in full.
    let image = other.build("from: mine\n");
    assert_eq!(image.member("data/a").text(), "a");
}

#[test]
fn a_local_image_of_other_platforms_is_told_where_the_registry_has_none() {
    let registry = PlainRegistry::start();
    let name = format!("{}/only/here:1", registry.host());
    let ctx = TestContext::new();
    ctx.spec("from: scratch\nlayers:\n  - mkdir: /x\n");
    run(&mut ctx.command(&["build", "-q", "-t", &name, "--platform", "linux/amd64"]));
    let spec = format!("from: {name}\nlayers:\n  - mkdir: /y\n");
    let (code, text) = ctx.fails(&spec, &["--platform", "linux/arm64"]);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("linux/arm64") && text.contains("linux/amd64"), "{text}");
    ctx.build_with(&spec, &["--platform", "linux/amd64"]);
}

#[test]
fn a_bases_layers_are_linked_by_the_registry_and_never_moved() {
    let registry = PlainRegistry::start();
    let ctx = TestContext::new();
    ctx.write("a", "a").spec("from: scratch\nlayers:\n  - {copy: a, to: /data/a}\n");
    let base = format!("{}/team/base:1", registry.host());
    run(&mut ctx.command(&["build", "-q", "-t", &base, "--push"]));

    let other = TestContext::new();
    other.spec(&format!("from: {base}\nlayers:\n  - write: {{path: /x, text: x}}\n"));
    let app = format!("{}/team/app:1", registry.host());
    let done = other.run(&["build", "--progress", "plain", "-t", &app, "--push"]);
    let text = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success() && text.contains("MOUNTED"), "{text}");
    assert_eq!(text.matches(" fetch ").count(), 1, "the base's config alone: {text}");
    let ok = run(&mut other.command(&["validate"]));
    assert!(ok.contains("layers of bases not fetched yet"), "{ok}");
    assert!(run(&mut other.command(&["validate", &app])).starts_with("ok:"));

    // To a registry that has none of it, they are moved after all.
    let elsewhere = PlainRegistry::start();
    let app = format!("{}/team/app:1", elsewhere.host());
    let done = other.run(&["build", "--progress", "plain", "-t", &app, "--push"]);
    let text = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success() && text.contains("fetch"), "{text}");
    assert!(text.contains(" NEEDED\n") && !text.contains("FAILED"), "{text}");
    assert!(run(&mut other.command(&["validate", &app])).starts_with("ok:"));

    // Pushed again, nothing is sent.
    let done = other.run(&["build", "--progress", "plain", "-t", &app, "--push"]);
    let text = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success() && !text.contains("push "), "{text}");
}
