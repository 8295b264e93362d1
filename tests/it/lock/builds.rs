//! What a lock means for builds.

use super::{Web, push};
use crate::{
    support::{
        cli::TestContext,
        git::{Daemon, repository},
    },
    tools::PlainRegistry,
};

#[test]
fn names_mean_what_is_locked_until_they_are_updated() {
    let registry = PlainRegistry::start();
    let name = format!("{}/team/base:1", registry.host());
    push(&name, "/base", "one");
    let web = Web::start("one");
    let ctx = TestContext::new();
    repository(&ctx.home().join("r"), &[("f", "one")]);
    let daemon = Daemon::start(&ctx.home());
    let git = format!("git://127.0.0.1:{}/r", daemon.port);
    ctx.write(
        "Dockerfile",
        format!(
            "FROM {name} AS base\nFROM scratch\nCOPY --from=base /base /\nADD {} /\nADD {git} /src/\n",
            web.url()
        ),
    );
    ctx.told(&["lock"]);
    let text = ctx.lock_text();
    push(&name, "/base", "two");
    web.change("two");
    repository(&ctx.home().join("r"), &[("f", "two")]);

    let contents = |arguments: &[&str]| {
        let image = ctx.images(arguments).remove(0);
        ["base", "file.txt", "src/f"].map(|path| image.member(path).text().to_owned())
    };
    assert_eq!(contents(&[]), ["one"; 3]);
    assert_eq!(contents(&["--locked", "--pull", "--no-cache"]), ["one"; 3]);
    assert_eq!(contents(&["--no-lock"]), ["two"; 3]);
    assert_eq!(contents(&["--locked"]), ["one"; 3]);
    // Plain locking keeps what is there.
    assert!(ctx.told(&["lock"]).contains("up to date"));
    assert_eq!(ctx.lock_text(), text);

    let told = ctx.told(&["lock", "--update", &name]);
    assert_eq!(told.matches(" → ").count(), 1, "{told}");
    assert_eq!(contents(&["--locked"]), ["two", "one", "one"]);
    let told = ctx.told(&["lock", "--update", "--fetch"]);
    assert_eq!(told.matches(" → ").count(), 2, "{told}");
    assert_eq!(contents(&["--locked"]), ["two"; 3]);
    assert_eq!(ctx.told(&["lock", "--update"]).matches(" → ").count(), 0);
}

#[test]
fn a_file_that_is_not_what_was_locked_is_an_error() {
    let web = Web::start("one");
    let ctx = TestContext::new();
    ctx.write("Dockerfile", format!("FROM scratch\nADD {} /\n", web.url()));
    ctx.told(&["lock"]);
    web.change("two");
    // The store has it from locking: nobody is asked.
    ctx.told(&["build", "--locked"]);
    let other = TestContext::new();
    other.write("Dockerfile", format!("FROM scratch\nADD {} /\n", web.url()));
    other.write("imgbuild.lock", ctx.lock_text());
    let (status, told) = other.refuses(&["build"]);
    assert!(status == 2 && told.contains("imgbuild.lock says sha256:"), "{told}");
    assert!(told.contains(&format!("imgbuild lock --update '{}'", web.url())), "{told}");
}

#[test]
fn what_the_file_says_itself_goes_with_the_lock() {
    let registry = PlainRegistry::start();
    let name = format!("{}/team/base:1", registry.host());
    push(&name, "/base", "one");
    let ctx = TestContext::new();
    ctx.write("Dockerfile", format!("FROM {name}\n"));
    ctx.told(&["lock"]);
    let digest_of = |text: &str| {
        let line = text.lines().find(|line| line.starts_with("digest")).unwrap().to_owned();
        line.trim_start_matches("digest = ").trim_matches('"').to_owned()
    };
    let digest = digest_of(&ctx.lock_text());
    // A name with a digest is another name: it is told as missing where that must not be, and needs no warning.
    ctx.write("Dockerfile", format!("FROM {name}@{digest}\n"));
    assert!(!ctx.told(&["build"]).contains("does not have"));
    let (status, told) = ctx.refuses(&["build", "--locked"]);
    assert!(status == 2 && told.contains(&format!("does not have {name}@{digest}")), "{told}");
    ctx.told(&["lock"]);
    ctx.told(&["build", "--locked"]);
    let text = ctx.lock_text();
    assert!(text.contains(&format!("name = \"{name}@{digest}\"")) && text.matches("[[image]]").count() == 1);
    // Of two locks merged badly, it is refused.
    let amd64 = text.lines().find(|line| line.starts_with("\"linux/amd64\"")).unwrap();
    let other = format!("\"linux/amd64\" = \"sha256:{}\"", "0".repeat(64));
    ctx.write("imgbuild.lock", text.replace(amd64, &other));
    let (status, told) = ctx.refuses(&["build", "--platform", "linux/amd64"]);
    assert!(status == 2 && told.contains("for linux/amd64, which imgbuild.lock does not name"), "{told}");
    // Changed by hand, it is refused at its line.
    let wrong = text.replacen(&format!("digest = \"{digest}"), "digest = \"sha256:", 1);
    ctx.write("imgbuild.lock", wrong);
    let (status, told) = ctx.refuses(&["build"]);
    assert!(status == 2 && told.contains(" --> imgbuild.lock:6:"), "{told}");
}

#[test]
fn each_file_keeps_what_it_uses() {
    let web = Web::start("one");
    let (a, b) = (format!("{}?v=1", web.url()), format!("{}?v=2", web.url()));
    let ctx = TestContext::new();
    ctx.write("Dockerfile", format!("FROM scratch AS x\nADD {a} /\nFROM scratch\nADD {b} /\n"));
    ctx.write("b.dockerfile", format!("FROM scratch\nADD {b} /\n"));
    let locked = || {
        let text = ctx.lock_text();
        let files = text.lines().filter_map(|line| line.strip_prefix("used-by = "));
        // In the order of what stands for the queries.
        let mut files: Vec<String> = files.map(str::to_owned).collect();
        files.sort();
        files
    };
    ctx.told(&["lock", "-f", "b.dockerfile"]);
    ctx.told(&["lock", "--target", "x"]);
    assert_eq!(locked(), [r#"["Dockerfile"]"#, r#"["b.dockerfile"]"#]);
    // The other files of the directory keep theirs, and each of the stages is locked.
    ctx.told(&["lock"]);
    assert_eq!(locked(), [r#"["Dockerfile", "b.dockerfile"]"#, r#"["Dockerfile"]"#]);
    ctx.told(&["build", "--locked", "--target", "x"]);
    ctx.write("Dockerfile", format!("FROM scratch\nADD {a} /\n"));
    let (status, told) = ctx.refuses(&["lock", "--check"]);
    assert!(status == 2 && told.contains("is not what `imgbuild lock` would write"), "{told}");
    ctx.told(&["lock"]);
    ctx.told(&["lock", "--check"]);
    std::fs::remove_file(ctx.project().join("b.dockerfile")).unwrap();
    ctx.told(&["lock"]);
    assert_eq!(locked(), [r#"["Dockerfile"]"#]);
}

#[test]
fn stages_that_cannot_be_locked_are_told_of() {
    let web = Web::start("one");
    let ctx = TestContext::new();
    let text =
        format!("ARG X\nFROM scratch AS x\nADD ${{X:?is needed}} /\nFROM scratch\nADD {} /\n", web.url());
    ctx.write("Dockerfile", text);
    let told = ctx.told(&["lock"]);
    assert!(told.contains("the inputs of the stage x are not locked") && told.contains("1 added"), "{told}");
    ctx.refuses(&["lock", "--target", "x"]);
    ctx.told(&["build", "--locked"]);
    // Another file's names are not looked up for this one.
    let other = format!("{}?v=2", web.url());
    ctx.write("b.dockerfile", format!("FROM scratch\nADD {other} /\n"));
    ctx.told(&["lock", "-f", "b.dockerfile"]);
    let told = ctx.told(&["lock", "--update", &other]);
    assert!(told.contains("was not looked up: it is used by b.dockerfile, to be named with -f"), "{told}");
}

#[test]
fn a_context_from_elsewhere_brings_its_lock() {
    let registry = PlainRegistry::start();
    let name = format!("{}/team/base:1", registry.host());
    push(&name, "/base", "one");
    let ctx = TestContext::new();
    let dockerfile = format!("FROM {name}\nCOPY --from={name} /base /x\n");
    ctx.write("Dockerfile", &dockerfile);
    ctx.told(&["lock"]);
    push(&name, "/base", "two");
    let files = [("app/Dockerfile", &*dockerfile), ("app/imgbuild.lock", &*ctx.lock_text())];
    repository(&ctx.home().join("r"), &files);
    let daemon = Daemon::start(&ctx.home());
    let url = format!("git://127.0.0.1:{}/r#main:app", daemon.port);
    assert_eq!(ctx.images(&["--locked", &url]).remove(0).member("x").text(), "one");
    // A link to what is none of its business is not read.
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(13);
    tar.append_data(&mut header, "Dockerfile", &b"FROM scratch\n"[..]).unwrap();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    tar.append_link(&mut header, "imgbuild.lock", "/etc/passwd").unwrap();
    ctx.write("context.tar", tar.into_inner().unwrap());
    let input = std::fs::File::open(ctx.project().join("context.tar")).unwrap();
    let done = ctx.command(&["build", "-"]).stdin(input).output().unwrap();
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(!done.status.success() && told.contains("imgbuild.lock is a link that leads out"), "{told}");
}

#[test]
fn an_image_of_this_machine_alone_can_be_locked() {
    let registry = PlainRegistry::start();
    let ctx = TestContext::new();
    let name = format!("{}/only/here:1", registry.host());
    ctx.write("base/Dockerfile", "FROM scratch\nCOPY <<EOF /x\none\nEOF\n");
    ctx.told(&["build", "base", "-t", &name]);
    ctx.write("Dockerfile", format!("FROM {name}\nCOPY --from={name} /x /y\n"));
    let told = ctx.told(&["lock"]);
    assert!(told.contains("is an image of this machine alone"), "{told}");
    let image = ctx.images(&["--locked"]).remove(0);
    assert_eq!(image.member("y").text(), "one\n");
}
