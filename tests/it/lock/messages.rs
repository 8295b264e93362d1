//! What is said, word by word.

use super::{Web, push};
use crate::{support::cli::TestContext, tools::PlainRegistry};

#[test]
fn what_is_said() {
    let registry = PlainRegistry::start();
    let name = format!("{}/team/base:1", registry.host());
    push(&name, "/base", "one");
    let web = Web::start("one");
    let ctx = TestContext::new();
    let mut all = String::new();
    let mut say = |arguments: &[&str]| {
        let text = ctx.transcript(arguments);
        let text = text.replace(registry.host(), "[REGISTRY]").replace(&web.address.to_string(), "[WEB]");
        let arguments = arguments.join(" ").replace(registry.host(), "[REGISTRY]");
        all.push_str(&format!("$ imgbuild {arguments}\n{text}\n"));
    };
    ctx.write("Dockerfile", format!("FROM {name} AS base\nFROM scratch\nCOPY --from=base /base /\n"));
    say(&["build", "-q", "--locked"]);
    say(&["build", "-q", "--locked", "--no-lock"]);
    say(&["build", "-q", "--locked", "-f", "-"]);
    say(&["lock", "--check", "-q"]);
    say(&["lock", "--update", "alpine", "-q"]);
    say(&["lock", "-q"]);
    say(&["lock", "--check", "--progress", "quiet"]);
    push(&name, "/base", "two");
    say(&["lock", "--update", "--progress", "quiet"]);
    say(&["lock", "--update", "--progress", "quiet"]);
    say(&["lock", "--update", "team/base", "--progress", "quiet"]);
    ctx.write("Dockerfile", format!("FROM scratch\nADD {} /\n", web.url()));
    say(&["build", "-q", "--locked"]);
    say(&["lock", "--check"]);
    say(&["lock", "--progress", "quiet"]);
    ctx.write(
        "Dockerfile",
        format!("FROM scratch\nADD --checksum=sha256:{} {} /\n", "0".repeat(64), web.url()),
    );
    say(&["build", "-q"]);
    say(&["lock", "-q"]);
    ctx.write("imgbuild.lock", "version = 1\n<<<<<<< HEAD\n[[image]]\n");
    say(&["build", "-q"]);
    say(&["build", "-q", "--no-lock"]);
    ctx.write("imgbuild.lock", "version = 1\n[[image]]\nnmae = 1\n");
    say(&["lock"]);
    insta::assert_snapshot!(all);
}

#[test]
fn builds_tell_what_the_lock_means_for_them() {
    let web = Web::start("one");
    let ctx = TestContext::new();
    ctx.write("Dockerfile", format!("FROM scratch\nADD {} /\n", web.url()));
    ctx.write("imgbuild.lock", "version = 1\n");
    let told = ctx.told(&["build"]);
    let words = format!("imgbuild.lock does not have {}, which is looked up now", web.url());
    assert_eq!(told.matches(&words).count(), 1, "{told}");
    let told = ctx.told(&["build", "--pull"]);
    assert!(told.contains("imgbuild.lock says what the inputs are: --pull"), "{told}");
    let told = ctx.told(&["build", "--no-lock"]);
    assert!(told.contains("imgbuild.lock is ignored: all inputs are looked up (--no-lock)"), "{told}");
}
