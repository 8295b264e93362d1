//! Steps on a base: what they see of it, and what of it they change.

use std::fs;

use super::{TestContext, image};

/// A base as distributions make them: links for the merged `/usr` and for `/var/run`, and a home that is its user's.
fn base(ctx: &TestContext) -> String {
    ctx.write("tool", "tool").spec(
        "from: scratch
layers:
  - mkdir: /usr/bin
  - mkdir: /run
  - symlink: {path: /bin, target: usr/bin}
  - symlink: {path: /var/run, target: /run}
  - {mkdir: /home/app, owner: '1000:1000', mode: '0700'}
config: {onbuild: [RUN something]}
",
    );
    let out = ctx.build_layout(&["-t", "base:1"]);
    let base = ctx.project().with_file_name("base");
    fs::rename(out, &base).unwrap();
    format!("base=oci-layout://{}:1", base.display())
}

#[test]
fn links_and_homes_of_a_base_stay_what_they_are() {
    let ctx = TestContext::new();
    let context = base(&ctx);
    ctx.write("f", "f").write("tree/bin/prog", "p").write("tree/etc/conf", "c");
    let image = ctx.build_with(
        "from: base
layers:
  - {copy: f, to: /home/app/f}
  - {copy: f, to: /bin/f}
  - write: {path: /var/run/pid, text: '1'}
  - {copy: tree, to: /}
",
        &["--build-context", &context],
    );
    let lines: Vec<_> =
        image.layers[5..].iter().map(|layer| layer.iter().map(|m| m.line()).collect()).collect();
    let expected: [Vec<&str>; 4] = [
        vec!["home d 755 0:0", "home/app d 700 1000:1000", "home/app/f f 644 0:0"],
        vec!["usr d 755 0:0", "usr/bin d 755 0:0", "usr/bin/f f 644 0:0"],
        vec!["run d 755 0:0", "run/pid f 644 0:0"],
        vec![
            "etc d 755 0:0",
            "etc/conf f 644 0:0",
            "usr d 755 0:0",
            "usr/bin d 755 0:0",
            "usr/bin/prog f 644 0:0",
        ],
    ];
    let lines: Vec<Vec<String>> = lines;
    assert_eq!(lines, expected);
}

#[test]
fn elsewhere_a_layer_does_not_depend_on_its_base() {
    let ctx = TestContext::new();
    let context = base(&ctx);
    ctx.write("f", "f");
    let steps = "layers:\n  - {copy: f, to: /app/f}\n";
    let on_base = ctx.build_with(&format!("from: base\n{steps}"), &["--build-context", &context]);
    let alone = ctx.build(&format!("from: scratch\n{steps}"));
    assert_eq!(on_base.layer_digests().last(), alone.layer_digests().last());
}

#[test]
fn triggers_of_a_base_are_told_of() {
    let ctx = TestContext::new();
    let context = base(&ctx);
    ctx.spec("from: base\n");
    let done = ctx.run(&["build", "--build-context", &context]);
    let text = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(text.contains("ONBUILD") && text.contains("RUN something"), "{text}");
}

#[test]
fn many_stages_that_look_at_one_image_do_not_block_each_other() {
    let ctx = TestContext::new();
    let context = base(&ctx);
    let mut spec = "target: app\nstages:\n".to_owned();
    let mut last = "  app:\n    from: scratch\n    layers:\n".to_owned();
    for number in 0..600 {
        spec += &format!("  s{number}:\n    from: scratch\n    layers:\n");
        spec += &format!("      - {{copy: /home, from: base, to: /{number}}}\n");
        last += &format!("      - {{copy: /{number}/app, from: s{number}, to: /{number}}}\n");
    }
    let image = ctx.build_with(&(spec + &last), &["--build-context", &context]);
    assert_eq!(image.layers.len(), 600);
}

#[test]
fn the_cache_is_left_aside_for_all_stages_or_for_some() {
    let ctx = TestContext::new();
    let spec = "target: b\nstages:\n  a: {from: scratch, layers: [{mkdir: /a}]}\n  b: {from: a, layers: [{mkdir: /b}]}\n";
    let first = ctx.build(spec).layer_digests();
    for (arguments, cached) in [
        (&[][..], 2),
        (&["--no-cache-filter", "b"], 1),
        (&["--no-cache-filter", "a,b"], 0),
        (&["--no-cache"], 0),
        (&["--no-cache-filter", "c"], 2),
    ] {
        let _ = fs::remove_dir_all(ctx.out());
        let output = format!("type=oci,dest={}", ctx.out().display());
        let mut all = vec!["build", "--progress", "plain", "-o", &output];
        all.extend(arguments);
        let done = ctx.run(&all);
        let text = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(text.matches(" CACHED").count(), cached, "{arguments:?}: {text}");
        assert_eq!(text.contains("there is no stage \"c\""), arguments.contains(&"c"), "{text}");
        assert_eq!(image::image(&ctx.out()).layer_digests(), first);
    }
}

#[test]
fn what_cannot_end_well_does_not_begin() {
    let ctx = TestContext::new();
    let spec = "from: scratch\nlayers:\n  - {copy: none, to: /}\n";
    let (code, text) = ctx.fails(spec, &["--push"]);
    assert!(code == 2 && text.contains("no name to push"), "{text}");
    let (code, text) =
        ctx.fails(spec, &["-o", "type=docker,dest=x.tar", "--platform", "linux/amd64,linux/arm64"]);
    assert!(code == 2 && text.contains("one platform"), "{text}");
}
