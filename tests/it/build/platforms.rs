//! Several platforms.

use super::{
    TestContext,
    image::{images, index},
};

const SPEC: &str = "platforms: [linux/amd64, linux/arm64, linux/arm/v7]
from: scratch
layers:
  - {copy: shared, to: /shared}
  - {copy: 'bin-${TARGETARCH}${TARGETVARIANT}', to: /bin/prog}
  - write: {path: /only, text: arm}
    only: [linux/arm64, linux/arm/v7]
config:
  env:
    byPlatform:
      linux/amd64: {KIND: big}
      default: {KIND: '${TARGETPLATFORM}'}
";

fn project() -> TestContext {
    let ctx = TestContext::new();
    for file in ["shared", "bin-amd64", "bin-arm64", "bin-armv7"] {
        ctx.write(file, file);
    }
    ctx
}

#[test]
fn every_platform_has_its_image_and_shares_what_it_can() {
    let ctx = project();
    let layout = ctx.spec(SPEC).build_layout(&[]);
    let images = images(&layout);
    let platforms: Vec<_> = images.iter().map(|image| image.platform.as_str()).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64", "linux/arm/v7"]);
    let table =
        [("bin-amd64", "KIND=big"), ("bin-arm64", "KIND=linux/arm64"), ("bin-armv7", "KIND=linux/arm/v7")];
    for (image, (program, env)) in images.iter().zip(table) {
        assert_eq!(image.member("bin/prog").text(), program);
        assert_eq!(image.run("Env")[0], env);
        assert_eq!(image.has("only"), env != "KIND=big");
        assert_eq!(image.layer_digests()[0], images[0].layer_digests()[0]);
        let config = &image.config;
        let parts = ["os", "architecture", "variant"].map(|part| config[part].as_str());
        assert_eq!(parts.into_iter().flatten().collect::<Vec<_>>().join("/"), image.platform);
    }
    // The step that only arm has is one layer of the same bytes for both.
    assert_eq!(images[1].layer_digests()[2], images[2].layer_digests()[2]);
    // Asked for in another order, the same images come in that order.
    let layout = ctx.build_layout(&["--platform", "linux/arm64,linux/amd64"]);
    let again = super::image::images(&layout);
    assert_eq!(again[0].manifest, images[1].manifest);
    assert_eq!(again[1].manifest, images[0].manifest);
}

#[test]
fn a_single_platform_has_no_index() {
    let ctx = project();
    let layout = ctx.spec(SPEC).build_layout(&["--platform", "linux/arm64"]);
    let root = &index(&layout)["manifests"][0];
    assert_eq!(root["mediaType"], "application/vnd.oci.image.manifest.v1+json");
}

#[test]
fn a_base_without_the_platform_is_an_error_that_tells_those_it_has() {
    let ctx = project();
    let layout = ctx.spec(SPEC).build_layout(&[]);
    let base = ctx.project().with_file_name("base");
    std::fs::rename(layout, &base).unwrap();
    let context = format!("base=oci-layout://{}", base.display());
    let spec = "from: base\nlayers: [{mkdir: /x}]\n";
    let (code, text) = ctx.fails(spec, &["--build-context", &context, "--platform", "linux/s390x"]);
    assert_eq!(code, 3, "{text}");
    assert!(
        text.contains("linux/s390x") && text.contains("linux/amd64, linux/arm64, linux/arm/v7"),
        "{text}"
    );
    // Each platform gets its own base.
    ctx.spec(spec);
    let images =
        images(&ctx.build_layout(&["--build-context", &context, "--platform", "linux/arm64,linux/arm/v7"]));
    assert_eq!(images[0].member("bin/prog").text(), "bin-arm64");
    assert_eq!(images[1].member("bin/prog").text(), "bin-armv7");
}

#[test]
fn a_platform_that_a_value_does_not_list_is_an_error() {
    let ctx = project();
    let spec = "from: scratch\nlayers:\n  - copy: {byPlatform: {linux/amd64: shared}}\n";
    let (_, text) = ctx.fails(spec, &["--platform", "linux/arm64"]);
    assert!(text.contains("linux/arm64") && text.contains("imgbuild.yaml:3"), "{text}");
}
