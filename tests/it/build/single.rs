//! Steps that make or remove single things: write, mkdir, symlink, remove.

use super::TestContext;

#[test]
fn write() {
    let ctx = TestContext::new();
    let image = ctx.build_with(
        "from: scratch
platforms: linux/arm64
args: {VERSION: dev}
workdir: /w
layers:
  - user: {name: app, uid: 9}
  - write: {path: /text, text: \"${VERSION} for ${TARGETARCH}$$\\n\"}
  - write: {path: /plain, text: '${VERSION}', template: false}
  - write: {path: /bytes, base64: 'AAH/', mode: '4711', owner: app}
  - write: {path: relative/empty, text: ''}
",
        &["--build-arg", "VERSION=1.10"],
    );
    assert_eq!(image.member("text").text(), "1.10 for arm64$\n");
    assert_eq!(image.member("plain").text(), "${VERSION}");
    let bytes = image.member("bytes");
    assert_eq!((bytes.line(), &bytes.content[..]), ("bytes f 4711 9:9".to_owned(), &[0, 1, 255][..]));
    assert_eq!(image.top(), ["w d 755 0:0", "w/relative d 755 0:0", "w/relative/empty f 644 0:0"]);
}

#[test]
fn mkdir_and_symlink() {
    let ctx = TestContext::new();
    let image = ctx.build(
        "from: scratch
layers:
  - {mkdir: /a/b/c, mode: '2750', owner: '5:6'}
  - symlink: {path: /a/link, target: '../x/${TARGETOS}', owner: 7}
  - {symlink: {path: /lib64, target: usr/lib64}}
",
    );
    assert_eq!(image.member("a/b/c").line(), "a/b/c d 2750 5:6");
    assert_eq!(image.member("a/b").line(), "a/b d 755 0:0");
    let link = image.member("a/link");
    assert_eq!((link.line(), &link.link[..]), ("a/link l 777 7:7".to_owned(), &b"../x/linux"[..]));
    assert_eq!(image.member("lib64").link, b"usr/lib64");
}

fn with_base() -> TestContext {
    let ctx = TestContext::new();
    ctx.write("d/one", "1").write("d/two", "2").write("d/sub/three", "3");
    ctx.spec(
        "from: scratch\nlayers:\n  - {mkdir: /data, mode: '0750', owner: 5}\n  - {copy: d, to: /data}\n  \
         - symlink: {path: /link, target: data}\n",
    );
    ctx.build_layout(&["-t", "base"]);
    ctx
}

#[test]
fn what_is_removed_gets_a_whiteout_and_parents_keep_their_attributes() {
    let ctx = with_base();
    let image = ctx.build("from: base\nlayers:\n  - {remove: [/data/one, /data/sub]}\n");
    let table = ["data d 750 5:5", "data/.wh.one f", "data/.wh.sub f"];
    let top = image.top();
    assert_eq!(top.len(), table.len(), "{top:?}");
    for (line, start) in top.iter().zip(table) {
        assert!(line.starts_with(start), "{top:?}");
    }
    assert!(image.layers.last().unwrap()[1].content.is_empty());

    // Through a link on the way; the link itself.
    let image = ctx.build("from: base\nlayers:\n  - {remove: [/link/two]}\n  - {remove: /link}\n");
    assert!(image.has("data/.wh.two") && image.has(".wh.link"), "{:?}", image.paths());
}

#[test]
fn removing_what_is_not_there_is_an_error_unless_optional() {
    let ctx = with_base();
    let (code, text) = ctx.fails("from: base\nlayers:\n  - remove: [/data/one, /nope]\n", &[]);
    assert_eq!(code, 3);
    assert!(text.contains("/nope is not there") && text.contains("optional: true"), "{text}");
    assert!(text.contains("imgbuild.yaml:3"), "{text}");
    let image = ctx.build("from: base\nlayers:\n  - {remove: /nope, optional: true}\n");
    assert!(image.layers.last().unwrap().is_empty());
}

#[test]
fn what_was_removed_is_gone_for_later_steps_and_outputs() {
    let ctx = with_base();
    let dest = ctx.project().with_file_name("tree");
    ctx.spec("from: base\nlayers:\n  - {remove: /data/sub}\n  - {copy: d/one, to: /data/sub/one}\n");
    let done = ctx.run(&["build", "-o", dest.to_str().unwrap()]);
    assert!(done.status.success(), "{}", ctx.describe(&done));
    assert!(dest.join("data/sub/one").is_file() && !dest.join("data/sub/three").exists());
}

#[test]
fn a_directory_of_an_earlier_step_is_not_replaced_unnoticed() {
    let ctx = TestContext::new();
    ctx.write("file", "x");
    for step in ["write: {path: /a, text: x}", "symlink: {path: /a, target: x}", "{copy: file, to: /a}"] {
        let spec = format!("from: scratch\nlayers:\n  - {{mkdir: /a/b}}\n  - {step}\n");
        let (code, text) = ctx.fails(&spec, &[]);
        assert_eq!(code, 2);
        assert!(text.contains("/a is a directory already") && text.contains("imgbuild.yaml:4"), "{text}");
        let spec = spec.replace("{mkdir: /a/b}\n", "{mkdir: /a/b}\n  - {remove: /a}\n");
        assert_ne!(ctx.build(&spec).member("a").kind, 'd', "{step}");
    }
}
