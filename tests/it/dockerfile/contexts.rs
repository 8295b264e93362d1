//! Contexts that are not the directory the program runs in.

use std::fs;

use super::*;
use crate::support::git::{Daemon, repository};

#[test]
fn a_tar_on_standard_input_is_a_context() {
    let context = TestContext::new();
    let mut all = tar::Builder::new(Vec::new());
    append(&mut all, "Dockerfile", b"FROM scratch\nCOPY . /x/\n");
    append(&mut all, "other/Dockerfile", b"FROM scratch\nCOPY other /y/\n");
    append(&mut all, ".dockerignore", b"*ignore*\nDockerfile\n");
    append(&mut all, "kept", b"");
    append(&mut all, "ignored", b"");
    let plain = all.into_inner().unwrap();
    for bytes in [plain.clone(), zstd::encode_all(&plain[..], 1).unwrap()] {
        // Owners of the tar count for nothing; modes do.
        let expected =
            ["x d 755 0:0", "x/kept f 640 0:0", "x/other d 755 0:0", "x/other/Dockerfile f 640 0:0"];
        assert_eq!(built_from(&context, &bytes, &["-"]).top(), expected);
    }
    let image = built_from(&context, &plain, &["-f", "other/Dockerfile", "-"]);
    assert_eq!(image.top(), ["y d 755 0:0", "y/Dockerfile f 640 0:0"]);
}

#[test]
fn a_dockerfile_on_standard_input_has_no_files() {
    let context = TestContext::new();
    context.write("a", "");
    let image = built_from(&context, b"FROM scratch\nCOPY <<EOF /x\ntext\nEOF\n", &["-"]);
    assert_eq!(image.member("x").text(), "text\n");
    // With `-f -`, it has those of the context.
    let image = built_from(&context, b"FROM scratch\nCOPY a /x\n", &["-f", "-", "."]);
    assert_eq!(image.top(), ["x f 644 0:0"]);
}

#[test]
fn messages_name_the_file_that_is_read() {
    let context = TestContext::new();
    let wrong = "FROM scratch\nCOPY nowhere /\n";
    context.write("stdin", wrong).write("sub/Containerfile", wrong).write("app.docker", wrong);
    let mut tar = tar::Builder::new(Vec::new());
    append(&mut tar, "Containerfile", wrong.as_bytes());
    context.write("context.tar", tar.into_inner().unwrap());
    for (arguments, input, name) in [
        (&["-"][..], "stdin", "standard input"),
        (&["-f", "-", "."], "stdin", "standard input"),
        (&["-"], "context.tar", "Containerfile"),
        (&["sub"], "stdin", "sub/Containerfile"),
        (&["-f", "app.docker", "."], "stdin", "app.docker"),
    ] {
        let input = fs::File::open(context.project().join(input)).unwrap();
        let output = context.command(&[&["build"], arguments].concat()).stdin(input).output().unwrap();
        let told = context.describe(&output);
        assert!(told.contains(&format!(" --> {name}:2:1\n")), "{arguments:?}: {told}");
        assert!(!told.contains("Dockerfile"), "{arguments:?}: {told}");
    }
}

#[test]
fn what_a_context_names_stays_inside_of_it() {
    let context = TestContext::new();
    context.write("secret", "FROM scratch\n");
    let outside = context.project().join("secret").display().to_string();
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    tar.append_link(&mut header, "Dockerfile", &outside).unwrap();
    context.write("context.tar", tar.into_inner().unwrap());
    let mut ignore = tar::Builder::new(Vec::new());
    append(&mut ignore, "Dockerfile", b"FROM scratch\nCOPY . /\n");
    ignore.append_link(&mut header, ".dockerignore", &outside).unwrap();
    context.write("ignore.tar", ignore.into_inner().unwrap());
    let input = fs::File::open(context.project().join("ignore.tar")).unwrap();
    let output = context.command(&["build", "-"]).stdin(input).output().unwrap();
    let told = context.describe(&output);
    assert!(told.contains("\".dockerignore\" is outside of the build context"), "{told}");
    for file in [&[][..], &["-f", "Dockerfile"], &["-f", "../../secret"], &["-f", &outside]] {
        let mut arguments = vec!["build", "-"];
        arguments.extend(file);
        let input = fs::File::open(context.project().join("context.tar")).unwrap();
        let output = context.command(&arguments).stdin(input).output().unwrap();
        let told = context.describe(&output);
        assert!(told.contains("status: 3"), "{file:?}: {told}");
    }
}

#[test]
fn a_named_context_may_be_a_repository() {
    let context = TestContext::new();
    let folder = context.home().join("r");
    repository(&folder, &[("sub/f", "text"), (".dockerignore", "g\n"), ("g", "")]);
    let daemon = Daemon::start(&context.home());
    context.write("Dockerfile", "FROM scratch\nCOPY --from=lib . /x/\n");
    let url = format!("lib=git://127.0.0.1:{}/r", daemon.port);
    let image = built(&context, &["--build-context", &url]);
    assert_eq!(
        image.top(),
        ["x d 755 0:0", "x/.dockerignore f 644 0:0", "x/sub d 755 0:0", "x/sub/f f 644 0:0"]
    );
    let image = built(&context, &["--build-context", &format!("{url}#main:sub")]);
    assert_eq!(image.top(), ["x d 755 0:0", "x/f f 644 0:0"]);
    // Nobody copies from it: it is not fetched.
    context.write("Dockerfile", "FROM scratch\nCOPY Dockerfile /\n");
    built(&context, &["--build-context", "lib=git://127.0.0.1:1/none"]);
}

#[test]
fn a_repository_is_a_context_and_a_source() {
    let context = TestContext::new();
    let folder = context.home().join("r");
    repository(
        &folder,
        &[
            ("app/Dockerfile", "FROM scratch\nCOPY . /x/\n"),
            ("app/.dockerignore", "Dockerfile\n"),
            ("app/f", ""),
        ],
    );
    let daemon = Daemon::start(&context.home());
    let url = format!("git://127.0.0.1:{}/r", daemon.port);
    let image = built(&context, &[&format!("{url}#main:app")]);
    assert_eq!(image.top(), ["x d 755 0:0", "x/.dockerignore f 644 0:0", "x/f f 644 0:0"]);
    // The commit's own time.
    assert_eq!(image.config["created"], "1970-01-01T00:20:34Z");
    context.write("Dockerfile", format!("FROM scratch\nADD --chown=1:2 {url}#main:app /y\n"));
    let image = built(&context, &[]);
    assert_eq!(image.top()[0], "y d 755 1:2");
    assert_eq!(image.top()[3], "y/f f 644 1:2");
    context.write("Dockerfile", format!("FROM scratch\nADD --keep-git-dir {url} /y/\n"));
    assert!(built(&context, &[]).has("y/.git/HEAD"));
    context.write("Dockerfile", format!("FROM scratch\nADD --checksum=0000 {url} /y/\n"));
    assert!(refused(&context, &[]).contains("should be the commit 0000 but is"));
    assert!(refused(&context, &[&format!("{url}#none")]).contains("has no branch, tag or commit \"none\""));
}
