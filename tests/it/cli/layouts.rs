//! `inspect` and `validate` on a layout.

use std::fs;

use imgbuild::oci::{
    Config, Descriptor, Digest, Healthcheck, History, ImageConfig, Index, Manifest, Platform, media_type,
};

use crate::support::cli::TestContext;

/// Writes a layout of two platforms below `out`, and tells the layer.
fn layout(context: &TestContext) -> Descriptor {
    let blob = |media_type: &str, bytes: &[u8]| {
        let blob = Descriptor::of(media_type, bytes);
        context.write(&format!("out/blobs/sha256/{}", blob.digest.hex()), bytes);
        blob
    };
    let tar = b"layer".as_slice();
    let layer = blob(media_type::LAYER, tar);
    let manifests = ["amd64", "arm64"].map(|architecture| {
        let mut config = ImageConfig::scratch(Platform::new("linux", architecture, None));
        config.created = Some("1970-01-01T00:00:00Z".into());
        config.rootfs.diff_ids.push(Digest::of(tar));
        config.history = vec![
            History { created_by: Some("copy src -> /app".into()), ..History::default() },
            History { created_by: Some("user app".into()), empty_layer: true, ..History::default() },
        ];
        config.config = Config {
            user: Some("app".into()),
            env: vec!["A=1".into(), "B=two words".into()],
            cmd: Some(vec!["run".into(), "two words".into()]),
            exposed_ports: ["80/tcp".to_owned()].into(),
            labels: [("k".to_owned(), "v\u{1b}[31m".to_owned())].into(),
            healthcheck: Some(Healthcheck {
                test: Some(vec!["CMD".into(), "true".into()]),
                interval: 30_000_000_000,
                ..Healthcheck::default()
            }),
            ..Config::default()
        };
        let manifest = Manifest::new(blob(media_type::CONFIG, &config.to_bytes()), vec![layer.clone()]);
        let descriptor = blob(media_type::MANIFEST, &manifest.to_bytes());
        Descriptor { platform: Some(config.platform), ..descriptor }
    });
    let index = blob(media_type::INDEX, &Index::new(manifests.into()).to_bytes());
    context.write("out/oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
    context.write("out/index.json", Index::new(vec![index]).to_bytes());
    layer
}

#[test]
fn a_layout_in_words_and_in_json() {
    let context = TestContext::new();
    layout(&context);
    insta::assert_snapshot!("inspect", context.transcript(&["inspect", "oci:out"]));
    let one = ["inspect", "oci:out", "--platform", "linux/arm64", "--json"];
    insta::assert_snapshot!("inspect_json", context.transcript(&one));
    let none = context.transcript(&["inspect", "oci:out", "--platform", "linux/s390x"]);
    insta::assert_snapshot!(none, @r"
    status: 3
    ----- stdout
    ----- stderr
    error: oci:[ROOT]/project/out has no image for linux/s390x
    hint: it has linux/amd64, linux/arm64
    ");
}

#[test]
fn a_layout_is_checked() {
    let context = TestContext::new();
    let layer = layout(&context);
    insta::assert_snapshot!(context.transcript(&["validate", "oci:out"]), @r"
    status: 0
    ----- stdout
    ok: 6 blobs, 2 images
    ----- stderr
    ");
    let path = context.project().join(format!("out/blobs/sha256/{}", layer.digest.hex()));
    fs::write(path, b"lawyer").unwrap();
    let output = context.run(&["validate", "oci:out"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("layer 1: should have 5 bytes but has 6\n"));
    assert!(output.stderr.is_empty());
}

#[test]
fn an_empty_store_is_well() {
    let context = TestContext::new();
    assert_eq!(context.run(&["validate"]).stdout, b"ok: 0 blobs, 0 images\n");
    assert_eq!(context.run(&["images", "-q"]).stdout, b"");
}

#[test]
fn a_layout_that_was_begun_is_finished_and_another_directory_is_left_alone() {
    let context = TestContext::new();
    context.write("imgbuild.yaml", "name: app\nfrom: scratch\nlayers:\n  - write: {path: /a, text: a}\n");
    let build = ["build", "-q", "-o", "type=oci,dest=out"];
    // What a process leaves that is killed while it writes; the second where files must have a name from the start.
    context
        .write("out/oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#)
        .write("out/blobs/sha256/.imgbuild-1", "x");
    assert_eq!(context.run(&build).status.code(), Some(0));
    assert_eq!(context.run(&["validate", "oci:out"]).status.code(), Some(0));
    fs::remove_dir_all(context.project().join("out")).unwrap();
    context.write("out/.imgbuild-1", "x");
    assert_eq!(context.run(&build).status.code(), Some(0));

    fs::remove_dir_all(context.project().join("out")).unwrap();
    context.write("out/mine", "x");
    insta::assert_snapshot!(context.transcript(&build), @r"
    status: 2
    ----- stdout
    ----- stderr
    error: [ROOT]/project/out is there and is not an OCI layout
    hint: choose another destination, or remove what is there
    ");
    assert_eq!(fs::read_dir(context.project().join("out")).unwrap().count(), 1);
}
