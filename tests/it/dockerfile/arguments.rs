//! Which file is built, and what the command line says of it.

use super::TestContext;

const NAMED: &str = "FROM scratch AS one\nENV N=1\nFROM scratch AS two\nENV N=2\nFROM scratch\nENV N=3\n";

#[test]
fn a_dockerfile_is_found_named_or_read() {
    let ctx = TestContext::new();
    ctx.write("app/file", "f").write("Containerfile", "FROM scratch\nCOPY app /\n");
    for (arguments, input) in [
        (&["build", "-q"][..], ""),
        (&["build", "-q", "-f", "Containerfile", "."], ""),
        (&["build", "-q", "-f", "-", "."], "FROM scratch\nCOPY app /\n"),
        (&["-q", "-f", "docker/prod", "."], ""),
    ] {
        ctx.write("docker/prod", "FROM scratch\nCOPY app /\n");
        let done = ctx.run_with_input(arguments, input);
        assert!(done.status.success(), "{arguments:?}: {}", ctx.describe(&done));
        assert!(done.stdout.starts_with(b"sha256:"));
    }
    // A file may be outside of the context, with ignore rules of its own.
    ctx.write("docker/prod", "FROM scratch\nCOPY . /\n").write("docker/prod.dockerignore", "file\n");
    ctx.write("app/other", "");
    let done = ctx.run(&["build", "-q", "-f", "docker/prod", "-o", "type=local,dest=out", "app"]);
    assert!(done.status.success(), "{}", ctx.describe(&done));
    assert!(ctx.project().join("out/other").exists() && !ctx.project().join("out/file").exists());
}

#[test]
fn several_files_are_several_images() {
    let ctx = TestContext::new();
    ctx.write("a.dockerfile", "FROM scratch\nENV A=1\n")
        .write("b.yaml", "from: scratch\nconfig: {env: {B: '1'}}\n");
    let done = ctx.run(&["build", "-q", "-f", "a.dockerfile", "-f", "b.yaml"]);
    assert_eq!(String::from_utf8_lossy(&done.stdout).lines().count(), 2, "{}", ctx.describe(&done));
}

#[test]
fn a_target_has_a_name_or_a_number() {
    let ctx = TestContext::new();
    for (target, number) in [("one", 1), ("TWO", 2), ("0", 1), ("2", 3), ("stage-2", 3)] {
        let image = ctx.image_of_dockerfile(NAMED, &["--target", target]);
        assert_eq!(image.run("Env")[1], format!("N={number}"), "{target}");
    }
    let (status, text) = ctx.refused(NAMED, &["--target", "tow"]);
    assert!(status == 3 && text.contains("did you mean `two`?"), "{text}");
}

#[test]
fn arguments_that_nobody_declares_are_told() {
    let ctx = TestContext::new();
    ctx.write("Dockerfile", "ARG VERSION=1\nFROM scratch\nARG VERSION\n");
    let arguments =
        ["--build-arg", "VERISON=2", "--build-arg", "HTTP_PROXY=x", "--build-arg", "TARGETARCH=x"];
    let done = ctx.run(&[&["build"], &arguments[..]].concat());
    let text = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(
        text.contains("the build argument VERISON is not declared") && text.contains("VERSION?"),
        "{text}"
    );
    assert_eq!(text.matches("is not declared").count(), 1, "{text}");
}

#[test]
fn all_mistakes_are_shown_where_they_are() {
    let ctx = TestContext::new();
    let (status, text) = ctx.refused("FROM scratch\nRUNN x\nCOPY --form=a b c\n", &[]);
    assert_eq!(status, 2);
    for part in ["Dockerfile:2:1", "Dockerfile:3:6", "RUN", "--from"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (_, text) = ctx.refused("FROM scratch\nCOPY nothing /\n", &[]);
    assert!(text.contains("Dockerfile:2:1") && text.contains("nothing"), "{text}");
}
