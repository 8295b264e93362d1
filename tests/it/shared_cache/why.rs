//! `imgbuild why` between machines that share a cache.

use std::process::Command;

use super::TestContext;

/// A project as a machine has it.
fn machine(greeting: &str) -> TestContext {
    let ctx = TestContext::new();
    ctx.with_busybox();
    ctx.write("Dockerfile", "FROM bb\nCOPY src /src\nRUN cat /src/greeting > /told\n");
    ctx.write("src/greeting", greeting).write("src/other", "other").write(".dockerignore", "base\n");
    ctx
}

#[test]
fn a_laptop_knows_why_it_differs_from_ci() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("cache");
    let (to, from) = (
        format!("--cache-to=type=local,dest={}", place.display()),
        format!("--cache-from=type=local,src={}", place.display()),
    );

    let ci = machine("hello");
    for arguments in [
        &["init", "-q"][..],
        &["add", "."],
        &["-c", "user.name=a", "-c", "user.email=a@b.example", "commit", "-qm", "first"],
    ] {
        assert!(Command::new("git").args(arguments).current_dir(ci.project()).status().unwrap().success());
    }
    let done = ci.run(&["build", &to, "."]);
    assert!(done.status.success(), "{}", ci.describe(&done));

    let laptop = machine("good day");
    let done = laptop.run(&["build", &from, "."]);
    assert!(done.status.success(), "{}", laptop.describe(&done));
    let why = |arguments: &[&str]| {
        let done = laptop.run(&[&["why", &from], arguments].concat());
        assert!(done.status.success(), "{}", laptop.describe(&done));
        String::from_utf8(done.stdout).unwrap()
    };
    let list = why(&["--list"]);
    let line = list.lines().find(|line| line.starts_with("cache:")).unwrap_or_else(|| panic!("{list}"));
    assert!(line.contains(" of Dockerfile for linux/") && line.contains(" in project, commit "), "{list}");
    assert_eq!(list.lines().filter(|line| !line.starts_with("cache:")).count(), 2, "{list}");

    let id = line.split(' ').next().unwrap();
    for asked in [id, "cache", &id["cache:".len()..]] {
        let told = why(&["--from", asked]);
        assert!(told.contains("src/greeting changed: sha256:"), "{asked}: {told}");
        assert!(!told.contains("src/other"), "{told}");
    }
    // The other way round.
    let told = why(&["--from", list.lines().next().unwrap().split(' ').next().unwrap(), "--to", id]);
    assert!(told.contains("src/greeting changed"), "{told}");

    for (arguments, words) in [
        (&["why", "--from", "cache"][..], "--cache-from"),
        (&["why", &from, "--from", "cache:ffffffff"], "no build \"cache:ffffffff\" is known"),
    ] {
        let done = laptop.run(arguments);
        let told = laptop.describe(&done);
        assert!(done.status.code() == Some(3) && told.contains(words), "{told}");
    }
}

#[test]
fn another_number_of_layers_is_a_reason() {
    let ctx = machine("hello");
    for number in ["1", "4"] {
        let done = ctx.run(&["build", "--split-copy", number, "."]);
        assert!(done.status.success(), "{}", ctx.describe(&done));
    }
    let told = ctx.transcript(&["why", "1"]);
    assert!(told.contains("the number of layers it may have changed: \"1\" → \"4\""), "{told}");
    assert!(!told.contains("nothing changed"), "{told}");
}
