//! COPY and ADD.

use std::{fs, os::unix::fs::PermissionsExt};

use super::*;

/// Accounts for a stage that starts from nothing.
const ACCOUNTS: &str = "\
COPY <<EOF /etc/passwd
root:x:0:0::/root:/bin/sh
app:x:1000:1001::/:/bin/sh
EOF
COPY <<EOF /etc/group
root:x:0:
app:x:1001:
web:x:33:
EOF
";

#[test]
fn each_flag_does_what_it_says() {
    // What the last instruction puts into the layer.
    let cases: &[(&str, &[&str])] = &[
        ("COPY a.txt /x/", &["x d 755 0:0", "x/a.txt f 644 0:0"]),
        ("COPY a.txt /x", &["x f 644 0:0"]),
        ("COPY d /x", &["x d 755 0:0", "x/e d 750 0:0", "x/e/f.md f 644 0:0", "x/g.txt f 600 0:0"]),
        ("COPY a.txt d/g.txt /x/", &["x d 755 0:0", "x/a.txt f 644 0:0", "x/g.txt f 600 0:0"]),
        ("COPY ?.txt none* /x/", &["x d 755 0:0", "x/a.txt f 644 0:0", "x/b.txt f 755 0:0"]),
        ("COPY [\"with space.txt\", \"/x/\"]", &["x d 755 0:0", "x/with space.txt f 644 0:0"]),
        ("COPY --chown=5:6 d/e /x/y/", &["x d 755 5:6", "x/y d 755 5:6", "x/y/f.md f 644 5:6"]),
        ("COPY --chown=app a.txt /x", &["x f 644 1000:1001"]),
        ("COPY --chown=app:web a.txt /x", &["x f 644 1000:33"]),
        ("COPY --chown=7 a.txt /x", &["x f 644 7:7"]),
        ("COPY --chmod=600 a.txt /x", &["x f 600 0:0"]),
        (
            "COPY --chmod=u=rwX,go= d /x",
            &["x d 755 0:0", "x/e d 700 0:0", "x/e/f.md f 600 0:0", "x/g.txt f 600 0:0"],
        ),
        ("COPY --exclude=**/*.md --exclude=g* d /x", &["x d 755 0:0", "x/e d 750 0:0"]),
        ("COPY --exclude=b* ?.txt /x/", &["x d 755 0:0", "x/a.txt f 644 0:0"]),
        (
            "COPY --parents d/e/f.md /x/",
            &["x d 755 0:0", "x/d d 755 0:0", "x/d/e d 750 0:0", "x/d/e/f.md f 644 0:0"],
        ),
        ("COPY --parents d/./e/*.md /x/", &["x d 755 0:0", "x/e d 750 0:0", "x/e/f.md f 644 0:0"]),
        ("COPY --link a.txt /etc/", &["etc d 755 0:0", "etc/a.txt f 644 0:0"]),
        ("ADD a.tar /x/", &["x d 755 0:0", "x/in d 755 0:0", "x/in/side f 640 1234:1234"]),
        ("ADD --unpack=false a.tar /x/", &["x d 755 0:0", "x/a.tar f 644 0:0"]),
        ("ADD --chown=3:4 a.tar /x/", &["x d 755 3:4", "x/in d 755 3:4", "x/in/side f 640 3:4"]),
        ("ADD a.txt d/e /x/", &["x d 755 0:0", "x/a.txt f 644 0:0", "x/f.md f 644 0:0"]),
        ("COPY a.tar /x/", &["x d 755 0:0", "x/a.tar f 644 0:0"]),
    ];
    let context = TestContext::new();
    let mode = |path: &str, mode| {
        fs::set_permissions(context.project().join(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    for file in ["a.txt", "b.txt", "with space.txt", "d/g.txt", "d/e/f.md"] {
        context.write(file, file);
    }
    context.write("a.tar", tar(&["in/side"]));
    // As a umask of 002 leaves them, but for those that say more.
    for (path, wanted) in [
        ("a.txt", 0o664),
        ("b.txt", 0o775),
        ("with space.txt", 0o644),
        ("a.tar", 0o664),
        ("d", 0o775),
        ("d/g.txt", 0o600),
        ("d/e/f.md", 0o664),
        ("d/e", 0o750),
    ] {
        mode(path, wanted);
    }
    for (instruction, expected) in cases {
        context.write("Dockerfile", format!("FROM scratch\n{ACCOUNTS}{instruction}\n"));
        assert_eq!(built(&context, &[]).top(), *expected, "{instruction}");
    }
}

#[test]
fn stages_give_what_they_have_at_their_end() {
    let context = TestContext::new();
    context.write("d/one", "1").write("d/gone", "2");
    fs::hard_link(context.project().join("d/one"), context.project().join("d/two")).unwrap();
    fs::set_permissions(context.project().join("d/one"), fs::Permissions::from_mode(0o4755)).unwrap();
    context.write(
        "Dockerfile",
        "FROM scratch AS first\nCOPY --chown=3:4 d /d\nFROM scratch\nCOPY --from=first /d /x\nCOPY --from=0 /d/one /y\n",
    );
    let image = built(&context, &[]);
    let lines: Vec<String> = image.layers[0].iter().map(|member| member.line()).collect();
    assert_eq!(lines, ["x d 755 0:0", "x/gone f 644 3:4", "x/one f 4755 3:4", "x/two h 4755 3:4"]);
    assert_eq!(image.top(), ["y f 4755 3:4"]);
}

#[test]
fn times_are_the_same_for_everyone_but_those_of_what_a_stage_made() {
    let context = TestContext::new();
    context.write("d/e/f", "");
    context.write(
        "Dockerfile",
        "FROM scratch AS first\nCOPY d /d\nWORKDIR /w\nFROM scratch\nCOPY --from=first /d /x/y\nCOPY --from=first /w /w\n",
    );
    // ZIP has no earlier ones: a file of 1970 could not be packed into a wheel.
    let image = built(&context, &[]);
    let times = |image: &Image| image.layers.iter().flatten().map(|member| member.mtime).collect::<Vec<_>>();
    assert_eq!(times(&image), [315_532_800; 5]);
    // As in BuildKit, what is copied keeps its time, and the directory that it comes into is a new one: there, its time
    // is that of the build.
    fs::create_dir(context.project().join("made")).unwrap();
    fs::write(context.project().join("made/file"), "").unwrap();
    let file = fs::File::open(context.project().join("made/file")).unwrap();
    file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_234_567_890)).unwrap();
    context.write("made.yaml", "from: scratch\nlayers: [{copy: made, to: /made, timestamps: preserve}]\n");
    let done = context.run(&["build", "-f", "made.yaml", "-t", "made"]);
    assert!(done.status.success(), "{}", context.describe(&done));
    context.write("Dockerfile", "FROM scratch\nCOPY --from=made /made /x\n");
    let image = built(&context, &[]);
    assert_eq!((image.member("x").mtime, image.member("x/file").mtime), (315_532_800, 1_234_567_890));
}

#[test]
fn what_is_not_there_is_told() {
    let context = TestContext::new();
    context.write("a.txt", "").write("d/x/f", "").write(".dockerignore", "secret\n").write("secret", "");
    for (instructions, words) in [
        ("COPY b.txt /", "source \"b.txt\" matches nothing"),
        ("COPY secret /", "is excluded from the build context by \"secret\""),
        ("COPY ../x /", "x"),
        ("COPY --chown=nobody a.txt /", "there is no user \"nobody\""),
        ("COPY a.txt /f\nCOPY d /f", "/f is no directory"),
        ("COPY d /d\nCOPY a.txt /d/x/f/", "/d/x/f is no directory"),
        ("FROM scratch\nCOPY --from=0 /none /", "/none matches nothing in the stage `0`"),
    ] {
        context.write("Dockerfile", format!("FROM scratch\n{instructions}\n"));
        let told = refused(&context, &[]);
        assert!(told.contains(words), "{instructions}: {told}");
    }
}

#[test]
fn what_cannot_be_copied_is_named_as_written() {
    let ctx = TestContext::new();
    ctx.write("there", "x").write("../outside", "x");
    for (text, expected) in [
        (
            "FROM scratch\nCOPY ../outside .\n",
            &["source \"../outside\" is outside of the build context", "--build-context NAME=DIR"][..],
        ),
        (
            "FROM scratch AS s\nCOPY there /dir/\nFROM scratch\nCOPY --from=s /nope /x\n",
            &["/nope matches nothing in the stage `s`", "Dockerfile:4:1"],
        ),
        (
            "FROM scratch AS s\nCOPY there /dir/\nFROM scratch\nCOPY --from=0 /dir/theer /x\n",
            &["/dir/theer matches nothing in the stage `0`", "did you mean /dir/there?"],
        ),
        ("FROM scratch\nCOPY /ther /x\n", &["source \"/ther\" matches nothing", "did you mean \"there\"?"]),
        ("FROM scratch\nCOPY --parents ./no/./where /x/\n", &["source \"./no/./where\" matches nothing"]),
    ] {
        let (_, told) = ctx.refused(text, &["-f", "Dockerfile"]);
        for words in expected {
            assert!(told.contains(words), "{text}: {told}");
        }
    }
    // As in Docker, what leads out of the context stops at its root.
    ctx.image_of_dockerfile("FROM scratch\nCOPY ../there /\n", &[]);
}
