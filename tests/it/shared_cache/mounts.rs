//! Cache mounts: what one machine's steps left in them, another one's find.

use std::{fs, path::PathBuf};

use super::*;
use crate::{
    apps::bases::Bases,
    support::{
        actions::{Service, TOKEN},
        real_registry::{Options, Registry},
        s3::S3,
    },
    tools::told,
};

/// Machines that share a directory.
struct Shared {
    folder: TempDir,
}

impl Shared {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    fn flags(&self) -> Vec<String> {
        let path = self.path();
        vec![
            format!("--cache-from=type=local,src={}", path.display()),
            format!("--cache-to=type=local,dest={}", path.display()),
        ]
    }

    /// A step on a new machine, with what it told.
    #[track_caller]
    fn step(&self, command: &str, arguments: &[&str]) -> String {
        step(&TestContext::new(), command, &self.flags(), arguments)
    }

    /// The bytes of all blobs.
    fn bytes(&self) -> u64 {
        let blobs = fs::read_dir(self.path().join("blobs/sha256")).unwrap();
        blobs.map(|blob| blob.unwrap().metadata().unwrap().len()).sum()
    }
}

/// Carries out a command with the mount `/c`, and gives what it told.
#[track_caller]
fn step(ctx: &TestContext, command: &str, flags: &[String], arguments: &[&str]) -> String {
    ctx.with_busybox();
    let text = match command.strip_prefix("FROM") {
        Some(_) => command.to_owned(),
        None => format!("FROM bb\nRUN --mount=type=cache,target=/c {command}\n"),
    };
    ctx.write("Dockerfile", text).write(".dockerignore", "base\n");
    let mut build = ctx.command(&["build", "--progress", "plain", "."]);
    let done = build.args(flags).args(arguments).output().unwrap();
    assert!(done.status.success(), "{}", ctx.describe(&done));
    String::from_utf8(done.stderr).unwrap()
}

const FILL: &str = "mkdir /c/sub && echo one > /c/sub/one && echo old > /c/old && busybox chmod 640 /c/sub/one \
     && ln /c/sub/one /c/again && ln -s sub/one /c/link && mkdir /c/empty && busybox chmod 1770 /c/empty && touch -d @1000000000 /c/old";

#[test]
fn a_mount_begins_with_what_another_machine_left() {
    let shared = Shared::new();
    let first = shared.step(FILL, &["--cache-mounts"]);
    assert!(first.contains("export cache mount /c") && !first.contains("warning"), "{first}");
    let look = "stat -c '%n %a %h %F %Y' /c/old /c/sub/one /c/empty; cat /c/again /c/link; rm /c/old && echo two > /c/two";
    let second = shared.step(look, &["--cache-mounts"]);
    for line in
        ["/c/old 644 1 regular file 1000000000", "/c/sub/one 640 2 regular file", "/c/empty 1770 2 directory"]
    {
        assert!(second.contains(line), "{line}: {second}");
    }
    assert_eq!(second.lines().filter(|line| line.ends_with(" one")).count(), 2, "{second}");
    // What it removed is gone, what it added is there.
    let third = shared.step("cd /c && ls -R", &["--cache-mounts=import"]);
    assert!(third.contains(" two") && third.contains(" link") && !third.contains(" old"), "{third}");
    assert!(!third.contains("export cache mount"), "{third}");
    // Nobody asks for it, or for this one.
    let without = shared.step("ls /c; true", &[]);
    assert!(!without.contains("fetch the cache mount"), "{without}");
    let other = step(
        &TestContext::new(),
        "FROM bb\nRUN --mount=type=cache,target=/c,id=other ls -R /c > /list && echo '<'$(cat /list)'>'\n",
        &shared.flags(),
        &["--cache-mounts"],
    );
    assert!(other.contains("</c:>"), "{other}");
}

#[test]
fn only_what_is_new_is_sent_and_nothing_where_nothing_is() {
    let shared = Shared::new();
    let random = |name: &str| format!("busybox head -c 2000000 /dev/urandom > /c/{name}");
    shared.step(&random("a"), &["--cache-mounts"]);
    let before = shared.bytes();
    assert!(before > 2_000_000);
    shared.step("echo new > /c/b && touch /c/a", &["--cache-mounts"]);
    let between = shared.bytes();
    assert!(between - before < 2_000_000 + 10_000, "{}", between - before);
    shared.step("cat /c/a > /dev/null && echo newer > /c/c", &["--cache-mounts"]);
    assert!(shared.bytes() - between < 2000, "{}", shared.bytes() - between);
    let told = shared.step("ls /c", &["--cache-mounts"]);
    assert!(told.contains(" c"), "{told}");
    let entries = || {
        let read = |path: fs::DirEntry| fs::read(path.path()).unwrap();
        let mut all: Vec<_> =
            fs::read_dir(shared.path().join("entries")).unwrap().map(|entry| read(entry.unwrap())).collect();
        all.retain(|text| String::from_utf8_lossy(text).contains("\"made\""));
        all
    };
    let snapshots = entries();
    assert_eq!(snapshots.len(), 1);
    shared.step("ls /c/b", &["--cache-mounts"]);
    assert_eq!(entries(), snapshots, "nothing is new");
}

#[test]
fn machines_that_write_at_once_keep_what_both_have() {
    let shared = Shared::new();
    shared.step("echo base > /c/base", &["--cache-mounts"]);
    // Both began with the same, and one of them had ended when the other one did.
    let slow = TestContext::new();
    step(&slow, "echo slow > /c/slow", &shared.flags(), &["--cache-mounts=import"]);
    shared.step("echo fast > /c/fast", &["--cache-mounts"]);
    step(&slow, "echo slower > /c/slower", &shared.flags(), &["--cache-mounts"]);
    let last = shared.step("cd /c && echo '<'$(ls)'>'", &["--cache-mounts"]);
    assert!(last.contains("<base fast slow slower>"), "{last}");
}

#[test]
fn the_oldest_files_go_over_the_limit() {
    let shared = Shared::new();
    let make =
        "for n in 1 2 3 4; do busybox head -c 300000 /dev/urandom > /c/$n; touch -d @100000000$n /c/$n; done";
    shared.step(make, &["--cache-mounts=both,max=700kB"]);
    let told = shared.step("cd /c && echo '<'$(ls)'>'", &["--cache-mounts"]);
    assert!(told.contains("<3 4>"), "{told}");
    // Who wants less does not take more.
    let told = shared.step("cd /c && true && echo '<'$(ls)'>'", &["--cache-mounts=import,max=100kB"]);
    assert!(told.contains("<>") && told.contains("begins empty"), "{told}");
}

#[test]
fn what_steps_only_read_is_not_kept_and_what_none_ran_for_is_not_fetched() {
    let shared = Shared::new();
    let text = "FROM bb\nRUN --mount=type=cache,target=/c,readonly ls /c > /list\n";
    let told = step(&TestContext::new(), text, &shared.flags(), &["--cache-mounts"]);
    assert!(!told.contains("export cache mount"), "{told}");
    shared.step("echo kept > /c/kept", &["--cache-mounts"]);
    let told = shared.step("echo kept > /c/kept", &["--cache-mounts"]);
    assert!(told.contains(" CACHED") && !told.contains("the cache mount"), "{told}");
}

#[test]
fn a_damaged_snapshot_is_an_empty_mount_and_a_warning() {
    let shared = Shared::new();
    shared.step("echo kept > /c/kept", &["--cache-mounts"]);
    for blob in fs::read_dir(shared.path().join("blobs/sha256")).unwrap() {
        let path = blob.unwrap().path();
        let size = fs::metadata(&path).unwrap().len() as usize;
        fs::write(path, vec![7; size]).unwrap();
    }
    let told = shared.step("cd /c && echo '<'$(ls)'>' && echo new > /c/new", &["--cache-mounts"]);
    assert!(told.contains("<>") && told.contains("begins empty: "), "{told}");
    // The next one writes another in its place.
    let told = shared.step("cd /c && echo '<'$(ls)'>' && true", &["--cache-mounts"]);
    assert!(told.contains("<new>"), "{told}");
}

#[test]
fn buckets_and_github_hand_mounts_on_too() {
    let (server, runtime) = (S3::start(), tokio::runtime::Runtime::new().unwrap());
    let service = runtime.block_on(Service::start());
    let bucket = format!(
        "type=s3,bucket=cache,region=eu-west-1,endpoint_url={},use_path_style=true,access_key_id=AKIA,\
         secret_access_key=hunter2",
        server.url()
    );
    let actions = format!("type=gha,url_v2={},token={TOKEN}", service.url());
    for place in [bucket, actions] {
        let flags = ["from", "to"].map(|way| format!("--cache-{way}={place}"));
        for (command, expected) in [
            ("echo '<'$(ls /c)'>' && echo 1 > /c/one", "<>"),
            ("echo '<'$(ls /c)'>' && echo 2 > /c/two && rm /c/one", "<one>"),
            ("echo '<'$(ls /c)'>' && echo 3 > /c/three", "<two>"),
            ("echo '<'$(ls /c)'>'", "<three two>"),
        ] {
            let told = step(&TestContext::new(), command, &flags, &["--cache-mounts"]);
            assert!(told.contains(expected) && !told.contains("warning"), "{expected}: {told}");
        }
    }
}

/// The mounts of pip on machines that share a registry.
#[test]
fn pip_finds_what_another_runner_has_fetched() {
    let (bases, registry) = (Bases::with(&["python:3.11-slim"]), Registry::start(Options::default()));
    let folder = tempfile::tempdir().unwrap();
    let context = folder.path().join("context");
    fs::create_dir(&context).unwrap();
    let cache = format!("{}/cache", registry.host());
    let build = |runner: &str, packages: &str| {
        let text = format!(
            "FROM python:3.11-slim\nENV PIP_ROOT_USER_ACTION=ignore PIP_BREAK_SYSTEM_PACKAGES=1\n\
             RUN --mount=type=cache,target=/root/.cache/pip pip install {packages}\n"
        );
        fs::write(context.join("Dockerfile"), text).unwrap();
        let mut command = bases.build(&folder.path().join(runner), &context);
        command.args(["--progress", "plain", "--cache-mounts", "--cache-from", &cache, "--cache-to", &cache]);
        let done = command.output().unwrap();
        assert!(done.status.success(), "{}", told(&done));
        String::from_utf8(done.stderr).unwrap()
    };
    // Neither has a wheel on the index: pip builds one and keeps it, whatever the index says of caching.
    let first = build("one", "future==0.18.3");
    assert!(first.contains("Downloading future-0.18.3.tar.gz"), "{first}");
    let stored = registry.stored();
    let second = build("two", "future==0.18.3 docopt==0.6.2");
    assert!(second.contains("Using cached future-0.18.3-py3-none-any.whl"), "{second}");
    assert!(second.contains("Downloading docopt-0.6.2.tar.gz"), "{second}");
    assert!(exported(&second) < exported(&first) / 4, "{first}\n{second}");
    assert!(registry.stored() > stored);
    let third = build("three", "docopt==0.6.2 future==0.18.3");
    assert_eq!(third.matches("Using cached").count(), 2, "{third}");
    assert!(!third.contains("Downloading"), "{third}");
}

/// The bytes of a mount that were sent, as the progress tells them.
fn exported(told: &str) -> u64 {
    let begun = told.lines().find(|line| line.contains("export cache mount")).unwrap();
    let id = begun.split_once(' ').unwrap().0;
    let done = told.lines().find(|line| line.starts_with(&format!("{id} DONE"))).unwrap();
    let mut words = done.split(' ').skip(3);
    let number: f64 = words.next().unwrap().parse().unwrap();
    let unit = match words.next().unwrap() {
        "B" => 1.,
        "kB" => 1e3,
        "MB" => 1e6,
        other => panic!("{other}"),
    };
    (number * unit) as u64
}
