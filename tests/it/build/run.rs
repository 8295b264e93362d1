//! Commands: what they see, what of it is in the layer, when they run again, and how they fail.

use std::{fs, path::Path, time::Duration};

use imgbuild::oci::Digest;

use super::{TestContext, image};
use crate::support::registry::{Fake, Fault, Rule};

impl TestContext {
    /// An image with busybox as every program, called `bb`.
    #[track_caller]
    pub(crate) fn with_busybox(&self) -> &Self {
        let busybox =
            ["/bin/busybox", "/usr/bin/busybox"].map(Path::new).into_iter().find(|path| path.exists());
        let busybox = busybox.expect("busybox-static is installed, see tests/run");
        self.write("base/busybox", fs::read(busybox).unwrap());
        let applets =
            "sh cat ls id env echo touch mkdir rm ln mv sleep kill pwd date wget find sort test stat";
        let mut spec =
            "from: scratch\nlayers:\n  - {copy: busybox, to: /bin/busybox, mode: '0755'}\n".to_owned();
        for applet in applets.split(' ') {
            spec += &format!("  - symlink: {{path: /bin/{applet}, target: busybox}}\n");
        }
        spec += "  - {mkdir: /tmp, mode: '1777'}
  - write: {path: /etc/passwd, text: \"root:x:0:0::/root:/bin/sh\\napp:x:1000:1000::/home/app:/bin/sh\\n\"}
  - write: {path: /etc/group, text: \"root:x:0:\\napp:x:1000:\\nextra:x:44:app\\n\"}
config: {env: {PATH: /bin}}
";
        self.write("base/imgbuild.yaml", spec);
        let done = self.run(&["build", "-t", "bb", "base"]);
        assert!(done.status.success(), "{}", self.describe(&done));
        self
    }

    /// Builds a Dockerfile, and gives everything that was told.
    #[track_caller]
    pub(crate) fn dockerfile(&self, text: &str, arguments: &[&str]) -> (bool, String) {
        self.write("Dockerfile", text);
        let _ = fs::remove_dir_all(self.out());
        let output = format!("type=oci,dest={}", self.out().display());
        let mut all = vec!["build", "--progress", "plain", "-f", "Dockerfile", "-o", &output];
        all.extend(arguments);
        let done = self.run(&all);
        (done.status.success(), String::from_utf8_lossy(&done.stderr).into_owned())
    }

    /// Builds a Dockerfile that is well.
    #[track_caller]
    pub(crate) fn builds(&self, text: &str, arguments: &[&str]) -> (image::Image, String) {
        let (done, told) = self.dockerfile(text, arguments);
        assert!(done, "{told}");
        (image::image(&self.out()), told)
    }
}

#[test]
fn a_layer_has_what_the_command_changed_and_nothing_else() {
    let ctx = TestContext::new();
    let text = "FROM bb
RUN mkdir -p /data/sub && echo one > /data/one && ln /data/one /data/two && ln -s one /data/link
RUN rm /data/one && echo more > /tmp/file && cat /etc/hosts /etc/resolv.conf > /dev/null
RUN true
";
    let (image, _) = ctx.with_busybox().builds(text, &[]);
    let layers = &image.layers[image.layers.len() - 3..];
    let paths = |at: usize| {
        layers[at].iter().map(|member| String::from_utf8_lossy(&member.path).into_owned()).collect::<Vec<_>>()
    };
    assert_eq!(paths(0), ["data", "data/link", "data/one", "data/sub", "data/two"]);
    assert_eq!(paths(1), ["data", "data/.wh.one", "tmp", "tmp/file"]);
    assert!(paths(2).is_empty(), "{:?}", paths(2));
    ctx.valid(&["oci:../out"]);
}

#[test]
fn a_command_runs_as_its_user_in_its_directory_with_its_variables() {
    let ctx = TestContext::new();
    let text = "FROM bb
WORKDIR /work
ENV A=1
RUN echo root: $(id -u):$(id -g) $HOME $(pwd) $A
USER app
RUN echo app: $(id -u):$(id -g) $(id -G) $HOME
USER 7:44
RUN echo numbers: $(id -u):$(id -g) $(id -G) $HOME
";
    let (_, told) = ctx.with_busybox().builds(text, &[]);
    for line in ["root: 0:0 /root /work 1", "app: 1000:1000 1000 44 /home/app", "numbers: 7:44 44 /"] {
        assert!(told.contains(line), "{line}: {told}");
    }
    let (done, told) = ctx.dockerfile("FROM bb\nUSER nobody\nRUN true\n", &[]);
    assert!(!done && told.contains("no user \"nobody\"") && told.contains("root, app"), "{told}");
}

#[test]
fn a_command_runs_again_only_when_something_it_depends_on_has_changed() {
    let ctx = TestContext::new();
    ctx.with_busybox().write("file", "1");
    let text = |argument: &str| {
        format!(
            "FROM bb\nRUN echo {argument} > /a\nCOPY file /file\nRUN cat /a /file && date > /never-the-same\n"
        )
    };
    let cached = |told: &str| told.matches(" CACHED").count();
    let (first, told) = ctx.builds(&text("x"), &[]);
    assert_eq!(cached(&told), 0, "{told}");
    let (again, told) = ctx.builds(&text("x"), &[]);
    assert_eq!((cached(&told), again.layer_digests()), (3, first.layer_digests()), "{told}");
    // Other content below, another command, and no cache at all.
    ctx.write("file", "2");
    assert_eq!(cached(&ctx.builds(&text("x"), &[]).1), 1);
    ctx.write("file", "1");
    assert_eq!(cached(&ctx.builds(&text("y"), &[]).1), 1);
    assert_eq!(cached(&ctx.builds(&text("x"), &["--no-cache"]).1), 0);
    // Neither proxies nor secrets nor limits matter.
    ctx.builds(&text("x"), &[]);
    let other = ["--build-arg", "HTTP_PROXY=http://127.0.0.1:9", "--step-timeout", "1m", "--shm-size", "1m"];
    assert_eq!(cached(&ctx.builds(&text("x"), &other).1), 3);
}

#[test]
fn what_nobody_needs_again_may_be_gone() {
    let ctx = TestContext::new();
    let text = |argument: &str| {
        format!(
            "FROM bb AS made\nRUN mkdir /out && echo 1 > /out/a && date > /out/never-the-same
FROM bb\nCOPY --from=made /out/a /a\nCOPY --from=made /out /out{argument}\nRUN ls /out{argument}\n"
        )
    };
    let cached = |told: &str| told.matches(" CACHED").count();
    let (first, told) = ctx.with_busybox().builds(&text(""), &[]);
    assert_eq!(cached(&told), 0, "{told}");
    // Nothing but records is left of the first stage.
    let forget = || {
        for folder in ["tars", "trees", "records/indices-1"] {
            let path = ctx.store().join("v1").join(folder);
            fs::remove_dir_all(&path).unwrap();
            fs::create_dir_all(&path).unwrap();
        }
    };
    forget();
    let (again, told) = ctx.builds(&text(""), &[]);
    assert_eq!((cached(&told), again.layer_digests()), (4, first.layer_digests()), "{told}");
    // A step that needs it finds out, and it is made again.
    forget();
    let (other, told) = ctx.builds(&text("2"), &[]);
    assert!(told.contains("has vanished from the cache: it is made anew"), "{told}");
    assert!(other.has("out2/never-the-same"), "{told}");
    ctx.valid(&["oci:../out"]);
}

#[test]
fn what_a_command_did_comes_back_from_its_blob() {
    let ctx = TestContext::new();
    let text = "FROM bb\nRUN echo x > /x && ln /x /y\nRUN cat /x /y\n";
    let (first, _) = ctx.with_busybox().builds(text, &[]);
    for folder in ["tars", "trees", "records/indices-1"] {
        let path = ctx.store().join("v1").join(folder);
        fs::remove_dir_all(&path).unwrap();
        fs::create_dir_all(&path).unwrap();
    }
    let (again, told) = ctx.builds(text, &[]);
    assert_eq!(
        (told.matches(" CACHED").count(), again.layer_digests()),
        (2, first.layer_digests()),
        "{told}"
    );
    // And a command can stand on it.
    let (_, told) = ctx.builds(&format!("{text}RUN cat /y && echo fine\n"), &[]);
    assert!(told.contains("fine"), "{told}");
}

#[test]
fn the_same_result_changes_nothing_behind_it() {
    let ctx = TestContext::new();
    let text = |argument: &str| {
        format!("FROM bb\nRUN : {argument}; touch -t 202001010000 /a /etc\nRUN date > /b\n")
            .replace("touch -t", "busybox touch -t")
    };
    ctx.with_busybox().builds(&text("x"), &[]);
    let (_, told) = ctx.builds(&text("y"), &[]);
    assert_eq!(told.matches(" CACHED").count(), 1, "{told}");
}

#[test]
fn failures_say_how_and_show_the_last_lines() {
    let ctx = TestContext::new();
    ctx.with_busybox();
    for (command, words) in [
        ("echo before; exit 7", &["failed: exit status 7", "  | before", "Dockerfile:2"][..]),
        ("kill -SEGV $$", &["failed: ended by SIGSEGV"]),
        ("no-such-program", &["failed: exit status 127", "not found"]),
    ] {
        let (done, told) = ctx.dockerfile(&format!("FROM bb\nRUN {command}\n"), &[]);
        assert!(!done && words.iter().all(|word| told.contains(word)), "{command}: {told}");
        // There is no output to look at where there was none.
        assert_eq!(told.contains("imgbuild logs "), !command.starts_with("kill"), "{told}");
    }
    let (done, told) = ctx.dockerfile("FROM bb\nRUN sleep 600\n", &["--step-timeout", "200ms"]);
    assert!(!done && told.contains("took longer than it may"), "{told}");
    let (done, told) =
        ctx.dockerfile("# syntax=docker/dockerfile:1-labs\nFROM bb\nRUN --security=insecure true\n", &[]);
    assert!(!done && told.contains("--allow security.insecure"), "{told}");
}

#[test]
fn the_first_failure_ends_the_others() {
    let ctx = TestContext::new();
    let text = "FROM bb AS slow\nRUN sleep 600 && touch /x\nFROM bb AS bad\nRUN exit 4\nFROM bb\n\
                COPY --from=slow /x /\nCOPY --from=bad /x /\n";
    let (done, told) = ctx.with_busybox().dockerfile(text, &["-j", "2"]);
    assert!(!done && told.contains("exit status 4"), "{told}");
    assert_eq!(told.matches(" FAILED ").count(), 1, "what is given up has not failed: {told}");
    assert_eq!(told.contains("RUN sleep 600"), told.contains(" CANCELLED "), "{told}");
}

/// A base that nobody has in the store, and the path of its layer.
fn pushed_elsewhere(registry: &Fake) -> (String, String) {
    let (ctx, name) = (TestContext::new(), format!("{}/slow:1", registry.host()));
    ctx.write("large", (0..1 << 16).map(|at: u32| (at.wrapping_mul(at) >> 7) as u8).collect::<Vec<_>>());
    ctx.spec("from: scratch\nlayers: [{copy: large, to: /large}]\n");
    let done = ctx.run(&["build", "-t", &name, "--push"]);
    assert!(done.status.success(), "{}", ctx.describe(&done));
    let document = |target: &str| -> serde_json::Value {
        serde_json::from_slice(&registry.manifest("slow", target).unwrap()).unwrap()
    };
    let mut manifest = document("1");
    if let Some(digest) = manifest["manifests"][0]["digest"].as_str() {
        manifest = document(digest);
    }
    (name, format!("/v2/slow/blobs/{}", manifest["layers"][0]["digest"].as_str().unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_does_not_wait_for_a_base_that_is_on_its_way() {
    let registry = Fake::start().await;
    let (name, layer) = pushed_elsewhere(&registry);
    registry.inject(Rule::new("GET", &layer, Fault::Stall(1000)).times(1000));
    let word = format!("http://{}/v2/go/blobs/{}", registry.host(), Digest::of(b"go"));
    let text = format!(
        "FROM {name} AS slow\nRUN [\"/large\"]\nFROM bb AS bad\n\
         RUN until wget -Y off -q -O /dev/null {word}; do sleep 0.05; done; exit 4\nFROM bb\n\
         COPY --from=slow /large /\nCOPY --from=bad /x /\n"
    );
    let build = tokio::task::spawn_blocking(move || TestContext::new().with_busybox().dockerfile(&text, &[]));
    // The command fails when the layer has begun to come.
    while registry.count("GET", &layer) == 0 && !build.is_finished() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    registry.put_blob("go", "go");
    let (done, told) = build.await.unwrap();
    assert!(!done && told.contains("exit status 4"), "{told}");
    assert_eq!(registry.count("GET", &layer), 1, "{told}");
    assert!(told.matches("error: ").count() == 1 && !told.contains("panicked"), "{told}");
}

#[test]
fn logs_are_kept() {
    let ctx = TestContext::new();
    let text = "FROM bb AS one\nRUN echo first; echo second >&2\nRUN echo third\n";
    ctx.with_busybox().builds(text, &[]);
    // Also of what was cached.
    ctx.builds(text, &[]);
    let logs = |arguments: &[&str]| {
        let done = ctx.run(&[&["logs"], arguments].concat());
        (done.status.success(), String::from_utf8_lossy(&done.stdout).into_owned())
    };
    let (done, all) = logs(&[]);
    assert!(done && ["first", "second", "third", "cached"].iter().all(|word| all.contains(word)), "{all}");
    let (done, one) = logs(&["one:2"]);
    assert!(done && one.contains(" third") && !one.contains("first\n"), "{one}");
    let key = one.lines().nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    assert_eq!(logs(&[&key]), (true, one));
    assert!(!logs(&["nothing"]).0);
    assert!(!logs(&["--list"]).1.contains("  0."));
}

#[test]
fn logs_tell_of_commands_that_said_nothing_and_of_builds_without_commands() {
    let ctx = TestContext::new();
    ctx.with_busybox();
    let logs = |arguments: &[&str]| ctx.run(&[&["logs"], arguments].concat());
    let none = logs(&[]);
    assert_eq!(none.status.code(), Some(3));
    assert!(ctx.describe(&none).contains("no build that ran commands"), "{}", ctx.describe(&none));
    ctx.builds("FROM bb\nRUN true\nRUN echo word\n", &[]);
    let both = ctx.describe(&logs(&[]));
    assert!(both.contains("\n  it printed nothing\n") && !both.contains("note:"), "{both}");
    // Builds without commands do not make those with some forgotten.
    for number in 0..25 {
        ctx.builds(&format!("FROM bb\nLABEL number={number}\n"), &[]);
    }
    let told = ctx.describe(&logs(&[]));
    assert!(told.contains("note: the last build ran no commands; the last that did ended 2"), "{told}");
    assert!(told.contains(" word\n"), "{told}");
    assert!(!ctx.describe(&logs(&["--list"])).contains("  0."));
    let one = ctx.describe(&logs(&["nothing"]));
    assert!(one.contains("the last build that ran commands has no step \"nothing\""), "{one}");
}

#[test]
fn times_are_set_back_and_told_to_commands() {
    let ctx = TestContext::new();
    ctx.with_busybox()
        .write("Dockerfile", "FROM bb\nRUN echo $SOURCE_DATE_EPOCH > /x\nRUN stat -c %Y /x && touch /y\n");
    let build = || {
        let _ = fs::remove_dir_all(ctx.out());
        let output = format!("type=oci,dest={}", ctx.out().display());
        let mut command =
            ctx.command(&["build", "--progress", "plain", "--no-cache", "-f", "Dockerfile", "-o", &output]);
        let done = command.env("SOURCE_DATE_EPOCH", "1000000000").output().unwrap();
        assert!(done.status.success(), "{}", ctx.describe(&done));
        (image::image(&ctx.out()), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    let (first, told) = build();
    assert_eq!(first.member("x").content, b"1000000000\n");
    assert!(told.contains(" 1000000000\n"), "{told}");
    assert_eq!(build().0.layer_digests(), first.layer_digests());
}

#[test]
fn commands_have_the_hosts_network_unless_told_otherwise() {
    let ctx = TestContext::new();
    ctx.with_busybox();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // It hangs up on whoever calls. The thread ends with the test's process.
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let text = |flag: &str| format!("FROM bb\nRUN {flag} echo | busybox nc -w 2 own {port} || exit 9\n");
    let host = ["--add-host", "own:127.0.0.1"];
    let (done, told) = ctx.dockerfile(&text(""), &host);
    assert!(done, "{told}");
    for (flag, arguments) in [("--network=none", &[][..]), ("", &["--network", "none"])] {
        // Not what was found with a network.
        let all: Vec<&str> = host.iter().chain(arguments).copied().collect();
        let (done, told) = ctx.dockerfile(&text(flag), &all);
        assert!(!done && told.contains("exit status 9"), "{told}");
    }
    let (done, told) = ctx.dockerfile("FROM bb\nRUN --network=none wget http://own.test\n", &[]);
    assert!(!done && told.contains("hint: the step has no network"), "{told}");
    let (done, told) = ctx.dockerfile(&text("--network=host"), &["--network", "none"]);
    assert!(!done && told.contains("--allow network.host"), "{told}");
    let all = [&host[..], &["--network", "none", "--allow", "network.host", "--no-cache"]].concat();
    assert!(ctx.dockerfile(&text("--network=host"), &all).0);
}

#[test]
fn other_hosts_are_another_command() {
    let ctx = TestContext::new();
    ctx.with_busybox();
    let text = "FROM bb\nRUN busybox grep db /etc/hosts > /h || echo none > /h\n";
    for (arguments, cached, expected) in [
        (&["--add-host", "db:10.0.0.1"][..], false, "10.0.0.1\tdb\n"),
        (&["--add-host", "db:10.0.0.2"], false, "10.0.0.2\tdb\n"),
        (&["--add-host", "db:10.0.0.1"], true, "10.0.0.1\tdb\n"),
        (&[], false, "none\n"),
    ] {
        let (image, told) = ctx.builds(text, arguments);
        assert_eq!(String::from_utf8_lossy(&image.member("h").content), expected, "{told}");
        assert_eq!(told.contains("CACHED"), cached, "{told}");
    }
}

#[test]
fn who_a_step_is_to_run_as_is_marked_where_it_is_said() {
    let ctx = TestContext::new();
    ctx.with_busybox();
    let (done, told) = ctx.dockerfile("FROM bb\nUSER nobody\nRUN id\n", &[]);
    assert!(!done && told.contains("no user \"nobody\" in the image"), "{told}");
    assert!(told.contains("Dockerfile:2:1") && told.contains("USER nobody"), "{told}");
    assert!(told.contains("Dockerfile:3 is to run as this user"), "{told}");
    assert!(
        told.contains("RUN adduser") && told.contains("root, app") && !told.contains("`user` step"),
        "{told}"
    );
    let (done, told) = ctx.dockerfile("FROM bb\nUSER nobody\nWORKDIR /x\n", &[]);
    assert!(!done && told.contains("Dockerfile:2:1") && told.contains("USER nobody"), "{told}");
    assert!(told.contains("Dockerfile:3 makes a directory for this user"), "{told}");
    let text = "FROM bb AS tools\nFROM bb\nRUN --mount=from=tools,source=/nope,target=/x true\n";
    let (done, told) = ctx.dockerfile(text, &[]);
    assert!(!done && told.contains("/nope matches nothing in the stage `tools`"), "{told}");

    let (_, told) = ctx.dockerfile("FROM bb\nCOPY --chown=nobody base /base\n", &[]);
    assert!(told.contains("Dockerfile:2:1") && told.contains("RUN adduser"), "{told}");

    // Where only the base says so, there is no line to mark but the step's.
    ctx.builds("FROM bb\nUSER nobody\n", &["-t", "as-nobody"]);
    let (done, told) = ctx.dockerfile("FROM as-nobody\nRUN id\n", &[]);
    assert!(
        !done && told.contains("Dockerfile:2:1") && told.contains("the config of the base image"),
        "{told}"
    );

    ctx.write(
        "spec.yaml",
        "stages:\n  a: {from: bb, config: {user: nobody}}\n  b:\n    from: a\n    layers: [{run: id}]\n",
    );
    let told = ctx.transcript(&["build", "-f", "spec.yaml", "--progress", "plain"]);
    assert!(told.contains("spec.yaml:2:") && told.contains("`user` step"), "{told}");
}

#[test]
fn a_step_that_fails_is_told_with_its_likely_cause() {
    let ctx = TestContext::new();
    ctx.with_busybox();
    ctx.write("windows.sh", "#!/bin/sh\r\necho hello\r\n").write("python.sh", "#!/usr/bin/python9\n");
    for (text, told_of, not) in [
        ("RUN exit 3", "exit status 3", "imgbuild logs"),
        ("RUN echo why; exit 3", "imgbuild logs", "127"),
        ("RUN nonsense", "no such command", "SIGKILL"),
        ("RUN kill -9 $$", "memory ran out", "imgbuild logs"),
        ("RUN sh -c 'kill -9 $$'; exit 137", "memory ran out", "127"),
        ("COPY --chmod=755 windows.sh /x\nRUN [\"/x\"]", "has Windows line endings", "dynamic loader"),
        ("COPY --chmod=755 windows.sh /x\nRUN /x", "Windows line endings", "memory"),
        (
            "COPY --chmod=755 python.sh /x\nRUN [\"/x\"]",
            "needs the interpreter /usr/bin/python9",
            "Windows line endings: save",
        ),
        (
            "RUN --mount=type=secret,id=npm cat /run/secrets/npm",
            "the secret `npm`, which the step mounts, was not given: --secret id=npm,src=FILE",
            "needs the secret",
        ),
    ] {
        let (done, told) = ctx.dockerfile(&format!("FROM bb\n{text}\n"), &[]);
        assert!(!done && told.contains(told_of) && !told.contains(not), "{text}: {told}");
    }
}
