//! Where copies put files, and with what owners, modes and times.

use std::{fs, os::unix::fs::PermissionsExt};

use super::TestContext;

fn project() -> TestContext {
    let ctx = TestContext::new();
    for file in ["a.txt", "b.txt", "c.conf", "d/one", "d/sub/two", "d/sub/three.map"] {
        ctx.write(file, file);
    }
    ctx
}

#[test]
fn destinations() {
    let ctx = project();
    // A step, and the files (not directories) that it makes.
    let table: &[(&str, &[&str])] = &[
        ("{copy: a.txt, to: /x}", &["x"]),
        ("{copy: a.txt, to: /x/}", &["x/a.txt"]),
        ("{copy: a.txt, to: ./}", &["w/a.txt"]),
        ("{copy: a.txt}", &["w/a.txt"]),
        ("{copy: [a.txt, c.conf], to: /x}", &["x/a.txt", "x/c.conf"]),
        ("{copy: '*.txt', to: /x}", &["x/a.txt", "x/b.txt"]),
        ("{copy: '*.conf', to: /x}", &["x/c.conf"]),
        ("{copy: d, to: /x}", &["x/one", "x/sub/three.map", "x/sub/two"]),
        ("{copy: d/, to: /x/}", &["x/one", "x/sub/three.map", "x/sub/two"]),
        ("{copy: [d, a.txt], to: /x}", &["x/a.txt", "x/one", "x/sub/three.map", "x/sub/two"]),
        ("{copy: d, to: /x, exclude: ['**/*.map']}", &["x/one", "x/sub/two"]),
        ("{copy: d, to: /x, exclude: sub}", &["x/one"]),
        ("{copy: 'd/**/t*', to: /x}", &["x/three.map", "x/two"]),
        ("{copy: d/sub/two, to: /x/, parents: true}", &["x/d/sub/two"]),
        ("{copy: 'd/**/t*', to: /, parents: true}", &["d/sub/three.map", "d/sub/two"]),
        ("{copy: a.txt, to: /../../y}", &["y"]),
    ];
    for (step, expected) in table {
        let image = ctx.build(&format!("from: scratch\nworkdir: /w\nlayers:\n  - {step}\n"));
        let mut files: Vec<_> = image.layers[0].iter().filter(|m| m.kind == 'f').collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let paths: Vec<_> = files.iter().map(|m| String::from_utf8_lossy(&m.path)).collect();
        assert_eq!(paths, *expected, "{step}");
        for file in files {
            assert!(!file.content.is_empty(), "{step}");
        }
    }
}

#[test]
fn everything_in_the_context() {
    let ctx = project();
    let image = ctx.build("from: scratch\nlayers:\n  - {copy: ., to: /x}\n");
    assert_eq!(image.member("x/d/sub/two").text(), "d/sub/two");
    assert!(image.has("x/imgbuild.yaml"));
}

#[test]
fn modes_are_normalised_or_given() {
    let ctx = project();
    let mode = |path: &str, mode| {
        fs::set_permissions(ctx.project().join(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("d/one", 0o700);
    mode("d/sub", 0o777);
    mode("d/sub/two", 0o4666);
    let image = ctx.build(
        "from: scratch\nlayers:\n  - {copy: d, to: /n}\n  - {copy: d, to: /s, mode: {files: '0640', dirs: '0710'}}\n  \
         - {copy: d, to: /m, mode: '4755'}\n  - {mkdir: /sticky, mode: '1777'}\n",
    );
    let modes = |paths: &[&str]| paths.iter().map(|path| image.member(path).mode).collect::<Vec<_>>();
    assert_eq!(modes(&["n", "n/one", "n/sub", "n/sub/two"])[..2], [0o755, 0o755]);
    assert_eq!(modes(&["n/sub", "n/sub/three.map"]), [0o755, 0o644]);
    assert_eq!(modes(&["s/one", "s/sub", "s/sub/two"]), [0o640, 0o710, 0o640]);
    assert_eq!(modes(&["m/one"]), [0o4755]);
    assert_eq!(modes(&["sticky"]), [0o1777]);
}

#[test]
fn setuid_and_setgid_bits_are_kept() {
    let ctx = project();
    for (path, mode) in [("d/one", 0o4755), ("d/sub", 0o2775), ("a.txt", 0o6711)] {
        fs::set_permissions(ctx.project().join(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    let image = ctx.build("from: scratch\nlayers:\n  - {copy: [d, a.txt], to: /x}\n");
    assert_eq!(image.member("x/one").mode, 0o4755);
    assert_eq!(image.member("x/sub").mode & 0o7000, 0o2000);
    assert_eq!(image.member("x/a.txt").mode & 0o7000, 0o6000);
}

#[test]
fn times_are_fixed_or_kept() {
    let ctx = project();
    let file = fs::File::options().append(true).open(ctx.project().join("d/one")).unwrap();
    file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_234_567_890)).unwrap();
    let spec = "from: scratch\nlayers:\n  - {copy: d, to: /f}\n  - {copy: d, to: /p, timestamps: preserve}\n";
    let image = ctx.build(spec);
    assert_eq!((image.member("f/one").mtime, image.member("p/one").mtime), (315_532_800, 1_234_567_890));
    assert_eq!(image.config["created"], "1970-01-01T00:00:00Z");

    let out = format!("type=oci,dest={}", ctx.out().join("2").display());
    let done = ctx.command(&["build", "-o", &out]).env("SOURCE_DATE_EPOCH", "1700000000").output().unwrap();
    assert!(done.status.success(), "{}", ctx.describe(&done));
    let image = super::image::image(&ctx.out().join("2"));
    assert_eq!((image.member("f/one").mtime, image.member("p/one").mtime), (1_700_000_000, 1_234_567_890));
    assert_eq!(image.config["created"], "2023-11-14T22:13:20Z");
    assert_eq!(image.config["history"][0]["created"], "2023-11-14T22:13:20Z");
}

#[test]
fn owners_by_number_and_by_name() {
    let ctx = project();
    let image = ctx.build(
        "from: scratch
layers:
  - user: {name: app, uid: 1234}
  - group: {name: media, gid: 2000}
  - {copy: a.txt, to: /number, owner: 7}
  - {copy: a.txt, to: /both, owner: '7:8'}
  - {copy: a.txt, to: /name, owner: app}
  - {copy: a.txt, to: /names, owner: app:media}
  - {copy: a.txt, to: /mixed, owner: '7:media'}
  - {copy: a.txt, to: /large, owner: '3000000000:4000000000'}
  - {copy: d, to: /tree, owner: app}
",
    );
    let table = [
        ("number", (7, 7)),
        ("both", (7, 8)),
        ("name", (1234, 1234)),
        ("names", (1234, 2000)),
        ("mixed", (7, 2000)),
        ("large", (3_000_000_000, 4_000_000_000)),
        ("tree", (1234, 1234)),
        ("tree/sub/two", (1234, 1234)),
    ];
    for (path, owner) in table {
        assert_eq!(image.member(path).owner(), owner, "{path}");
    }
}

#[test]
fn an_unknown_owner_is_an_error_that_tells_the_known_ones() {
    let ctx = project();
    let (code, text) =
        ctx.fails("from: scratch\nlayers:\n  - user: app\n  - copy: a.txt\n    owner: ap\n", &[]);
    assert_eq!(code, 3);
    assert!(text.contains("there is no user \"ap\" in the image"), "{text}");
    assert!(text.contains("imgbuild.yaml:4") && text.contains("app"), "{text}");
}

#[test]
fn a_directory_that_an_earlier_step_made_keeps_its_owner() {
    let ctx = project();
    let image = ctx.build(
        "from: scratch
layers:
  - user: {name: app, uid: 1000}
  - {mkdir: /app/data, owner: app, mode: '0750'}
  - {copy: a.txt, to: /app/data/}
  - {copy: d, to: /app/data}
  - {write: {path: /app/data/x, text: hi}}
  - {copy: a.txt, to: /tmp/a.txt}
",
    );
    for layer in &image.layers[2..5] {
        let data = layer.iter().find(|m| m.path == b"app/data").unwrap();
        assert_eq!(data.line(), "app/data d 750 1000:1000");
        let app = layer.iter().find(|m| m.path == b"app").unwrap();
        assert_eq!(app.line(), "app d 755 0:0");
    }
    assert_eq!(image.top(), ["tmp d 1777 0:0", "tmp/a.txt f 644 0:0"]);
}
