//! Copies from stages, images and named contexts.

use std::fs;

use super::TestContext;

#[test]
fn from_another_stage() {
    let ctx = TestContext::new();
    ctx.write("src/main", "code").write("src/note.map", "map");
    let image = ctx.build(
        "stages:
  last:
    from: scratch
    layers:
      - {copy: out, from: build, to: /app, exclude: ['*.map']}
      - {copy: /out/main, from: build, to: /bin/prog, mode: '0755', owner: 5}
      - {copy: 'out/m*', from: build, to: /globbed/}
  build:
    from: scratch
    layers:
      - {copy: src, to: /out, owner: 9}
target: last
",
    );
    assert_eq!(image.layers.len(), 3);
    assert_eq!(image.member("app/main").text(), "code");
    assert!(!image.has("app/note.map"));
    assert_eq!(image.member("bin/prog").line(), "bin/prog f 755 5:5");
    assert_eq!(image.member("globbed/main").text(), "code");
}

#[test]
fn from_images_in_a_layout_in_the_store_and_as_a_named_context() {
    let ctx = TestContext::new();
    ctx.write("old", "old").write("keep", "keep").write("deep/gone", "gone").write("deep/stays", "stays");
    ctx.spec(
        "from: scratch
layers:
  - {copy: [old, keep, deep], to: /data}
  - {copy: deep, to: /more}
  - {remove: [/data/old, /more/gone]}
config: {env: {PATH: /base/bin}}
",
    );
    let out = ctx.build_layout(&["-t", "example.org/base:1"]);
    let base = ctx.project().with_file_name("base");
    fs::rename(out, &base).unwrap();
    let layout = format!("base=oci-layout://{}:1", base.display());

    let spec = "from: scratch\nlayers:\n  - {copy: /data, from: SOURCE, to: /d}\n  - {copy: /more, from: SOURCE, to: /m}\n";
    let in_store = ctx.build(&spec.replace("SOURCE", "example.org/base:1"));
    let in_layout = ctx.build_with(&spec.replace("SOURCE", "base"), &["--build-context", &layout]);
    for image in [&in_store, &in_layout] {
        assert!(!image.has("d/old") && !image.has("m/gone"), "{:?}", image.paths());
        assert_eq!((image.member("d/keep").text(), image.member("m/stays").text()), ("keep", "stays"));
    }
    assert_eq!(in_store.layer_digests(), in_layout.layer_digests());

    let stage = "from: base\nlayers:\n  - {copy: keep, to: /top}\nconfig: {env: {PATH: '/app:${PATH}'}}\n";
    let image = ctx.build_with(stage, &["--build-context", &layout]);
    assert_eq!(image.layers.len(), 4);
    assert_eq!(image.run("Env")[0], "PATH=/app:/base/bin");
    assert_eq!(image.config["history"].as_array().unwrap().len(), 6);
}

#[test]
fn from_a_named_context_directory() {
    let ctx = TestContext::new();
    ctx.write("../other/x", "x").write("../other/skip", "y").write("../other/.dockerignore", "skip\n");
    let context = format!("other={}", ctx.project().with_file_name("other").display());
    let image = ctx.build_with(
        "from: scratch\nlayers:\n  - {copy: ., from: other, to: /o}\n",
        &["--build-context", &context],
    );
    assert_eq!(image.member("o/x").text(), "x");
    assert!(!image.has("o/skip"));
}

#[test]
fn what_is_not_there_has_a_suggestion() {
    let ctx = TestContext::new();
    ctx.write("x", "x");
    let spec = "stages:
  one:
    from: scratch
    layers:
      - {copy: x, to: /dist/main.js}
  two:
    from: scratch
    layers:
      - {copy: /dist/man.js, from: one}
";
    let (code, text) = ctx.fails(spec, &[]);
    assert_eq!(code, 3);
    assert!(text.contains("did you mean /dist/main.js?") && text.contains("imgbuild.yaml:9"), "{text}");
}
