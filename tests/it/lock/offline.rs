//! With everything locked and fetched, a build asks nobody.

use std::net::TcpStream;

use super::{Web, push};
use crate::{
    support::{
        cli::TestContext,
        git::{Daemon, repository},
    },
    tools::{PlainRegistry, run},
};

const PLATFORMS: [&str; 2] = ["--platform", "linux/amd64,linux/arm64"];

#[test]
fn a_locked_build_needs_neither_registry_nor_server() {
    let registry = PlainRegistry::start();
    let host = registry.host().to_owned();
    let (base, tool) = (format!("{host}/team/base:1"), format!("{host}/team/tool:2"));
    push(&base, "/var/base", "base");
    push(&tool, "/tool", "tool");
    let mut web = Web::start("from the web");
    let folder = TestContext::new();
    repository(&folder.home().join("r"), &[("f", "from git")]);
    let daemon = Daemon::start(&folder.home());
    let git = format!("git://127.0.0.1:{}/r", daemon.port);
    let dockerfile = format!(
        "FROM {base} AS unused\nCOPY --from={host}/team/tool:2 /arch /unused\n\
         FROM {base}\nCOPY --from={tool} /tool /var/tool\nADD {} /var/web/\nADD {git}#main /src/\n",
        web.url()
    );
    let spec = format!(
        "from: {base}\nlayers:\n  - {{copy: /tool, from: '{tool}', to: /var/tool}}\n  \
         - {{copy: f, from: other, to: /f}}\n  - remove: /var/base\n"
    );
    let other = format!("other={git}");
    let contexts = ["--build-context", &other];
    let write = |ctx: &TestContext| {
        ctx.write("Dockerfile", &dockerfile).write("imgbuild.yaml", &spec);
    };
    let build = |ctx: &TestContext, file: &str, more: &[&str]| {
        let all = [&["build", "-q", "-f", file], &PLATFORMS[..], &contexts, more].concat();
        run(&mut ctx.command(&all))
    };
    // What comes out without a lock.
    let plain = TestContext::new();
    write(&plain);
    let expected = ["Dockerfile", "imgbuild.yaml"].map(|file| build(&plain, file, &[]));

    // Another machine.
    let ctx = TestContext::new();
    write(&ctx);
    let lock =
        [&["lock", "--fetch", "-f", "Dockerfile", "-f", "imgbuild.yaml"], &PLATFORMS[..], &contexts].concat();
    let told = ctx.told(&lock);
    assert!(told.contains("imgbuild.lock: 5 inputs; 5 added"), "{told}");
    let text = ctx.lock_text();
    assert_eq!(text.matches("used-by = [\"Dockerfile\", \"imgbuild.yaml\"]").count(), 2, "{text}");
    assert_eq!(text.matches("\"linux/arm64\" = \"sha256:").count(), 2, "{text}");

    drop((registry, daemon));
    web.stop();
    assert!(TcpStream::connect(&host).is_err());
    for (file, expected) in ["Dockerfile", "imgbuild.yaml"].into_iter().zip(&expected) {
        // The same content is the same image, locked or not.
        assert_eq!(build(&ctx, file, &["--locked"]), *expected, "{file}");
        assert_eq!(build(&ctx, file, &["--locked", "--no-cache"]), *expected, "{file}");
    }
    // Nothing has to be looked up to see that all is well, nor to write the same again.
    let again = ctx.told(&lock);
    assert!(again.contains("is up to date: 5 inputs"), "{again}");
    assert_eq!(ctx.lock_text(), text);
    ctx.told(
        &[&["lock", "--check", "-f", "Dockerfile", "-f", "imgbuild.yaml"], &PLATFORMS[..], &contexts]
            .concat(),
    );
}

#[test]
fn commands_have_all_that_they_need() {
    let registry = PlainRegistry::start();
    let (base, tool) = (format!("{}/team/bb:1", registry.host()), format!("{}/team/tool:2", registry.host()));
    push(&tool, "/tool", "tool");
    let busybox = TestContext::new();
    run(&mut busybox.with_busybox().command(&["build", "-q", "-t", &base, "--push", "base"]));
    let ctx = TestContext::new();
    ctx.write(
        "Dockerfile",
        format!(
            "FROM {base} AS made\nRUN --mount=from={tool},target=/t cat /t/tool > /made\n\
             FROM {base}\nCOPY --from=made /made /\nRUN cat /made /made > /twice\n"
        ),
    );
    let told = ctx.told(&["lock", "--fetch"]);
    assert!(told.contains("2 added"), "{told}");
    drop(registry);
    assert_eq!(ctx.images(&["--locked"]).remove(0).member("twice").text(), "tooltool");
}
