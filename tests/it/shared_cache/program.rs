//! Shared caches through the program: what one machine built, another one need not.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use crate::support::{
    cli::TestContext,
    real_registry::{Options, Registry},
};

/// A command that takes time, a copy of what it made, and files of the context.
const TEXT: &str = "FROM REGISTRY/bb AS made
COPY requirements.txt /
RUN mkdir /deps && cat /requirements.txt > /deps/installed && cat /proc/sys/kernel/random/uuid >> /deps/installed
FROM REGISTRY/bb
WORKDIR /app
COPY --from=made /deps /deps
COPY src src
RUN cat src/* /deps/installed > /app/built
";

/// A project, a registry with its base, and machines that know nothing of each other.
struct Scene {
    ctx: TestContext,
    registry: Registry,
}

impl Scene {
    fn new() -> Self {
        let (ctx, registry) = (TestContext::new(), Registry::start(Options::default()));
        ctx.with_busybox();
        let base = format!("{}/bb", registry.host());
        let pushed = ctx.run(&["build", "-t", &base, "--push", "base"]);
        assert!(pushed.status.success(), "{}", ctx.describe(&pushed));
        ctx.write("src/a", "a").write("src/b", "b").write("requirements.txt", "flask");
        let scene = Self { ctx, registry };
        scene.write(TEXT);
        scene
    }

    fn write(&self, text: &str) {
        let text = text.replace("REGISTRY", &self.registry.host());
        self.ctx.write("Dockerfile", text).write(".dockerignore", "base\n");
    }

    fn store(&self, machine: &str) -> PathBuf {
        self.ctx.store().join("machines").join(machine)
    }

    /// A build on a machine, pushed to the repository `app`; `HOST` in arguments is the registry.
    fn command(&self, machine: &str, arguments: &[&str]) -> Command {
        let image = format!("{}/app", self.registry.host());
        let mut command = self.ctx.command(&["build", "--progress", "plain", "-t", &image, "--push"]);
        command.args(arguments.iter().map(|argument| argument.replace("HOST", &self.registry.host())));
        command.arg(".").env("IMGBUILD_HOME", self.store(machine)).env("SOURCE_DATE_EPOCH", "1");
        command
    }

    #[track_caller]
    fn build(&self, machine: &str, arguments: &[&str]) -> Built {
        Built::of(self.command(machine, arguments).output().unwrap())
    }

    /// The layers that a machine has.
    fn layers(&self, machine: &str) -> usize {
        let blobs = self.store(machine).join("v1/blobs/sha256");
        let is_layer = |path: &Path| fs::read(path).unwrap().starts_with(&[0x1f, 0x8b]);
        fs::read_dir(blobs).unwrap().filter(|entry| is_layer(&entry.as_ref().unwrap().path())).count()
    }
}

/// What a build told.
struct Built {
    image: String,
    told: String,
}

impl Built {
    #[track_caller]
    fn of(output: Output) -> Self {
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{told}");
        let built = told.lines().find(|line| line.starts_with("built ")).unwrap_or_else(|| panic!("{told}"));
        Self { image: built.to_owned(), told }
    }

    /// How many steps were not carried out.
    fn cached(&self) -> usize {
        self.told.matches(" CACHED").count()
    }

    /// How many commands were run.
    fn ran(&self) -> usize {
        let begun = self.told.lines().filter(|line| line.contains("] RUN "));
        let ids = begun.filter_map(|line| line.split_once(' ')).map(|(id, _)| format!("{id} DONE "));
        ids.filter(|done| self.told.lines().any(|line| line.starts_with(done.as_str()))).count()
    }
}

const TO: &str = "--cache-to=type=registry,ref=HOST/cache";
const FROM: &str = "--cache-from=type=registry,ref=HOST/cache";

#[test]
fn a_fresh_machine_moves_no_layer() {
    let scene = Scene::new();
    let first = scene.build("one", &[TO]);
    assert_eq!(first.cached(), 0, "{}", first.told);
    let second = scene.build("two", &[FROM]);
    assert_eq!((second.image.as_str(), second.cached()), (first.image.as_str(), 6), "{}", second.told);
    assert_eq!(scene.layers("two"), 0, "{}", second.told);
    // Without a cache all is made anew, and a command says something else.
    assert_ne!(scene.build("three", &[]).image, first.image);
    // Nothing of it is needed where the image is only looked at.
    let pulled = Command::new("skopeo")
        .args(["inspect", "--tls-verify=false", &format!("docker://{}/app", scene.registry.host())])
        .stdout(Stdio::null())
        .status();
    assert!(pulled.unwrap().success());
}

#[test]
fn a_changed_file_brings_what_its_step_needs() {
    let scene = Scene::new();
    scene.build("one", &[TO]);
    scene.ctx.write("src/a", "changed");
    let second = scene.build("two", &[FROM, TO]);
    // The copy and the command behind it.
    assert!(second.told.contains("[made 2/2] RUN") && second.cached() >= 3, "{}", second.told);
    assert_eq!(second.ran(), 1, "{}", second.told);
    // The same on a machine that has all in its own store, and on one that finds it in the cache now.
    scene.ctx.write("src/a", "a");
    scene.build("one", &[]);
    scene.ctx.write("src/a", "changed");
    let third = scene.build("three", &[FROM]);
    assert_eq!((third.ran(), third.image), (0, second.image), "{}", third.told);
}

#[test]
fn jobs_that_end_at_once_add_and_take_nothing_away() {
    let scene = Scene::new();
    let job = |name: &str| {
        format!(
            "FROM REGISTRY/bb\nRUN echo {name} > /{name} && cat /proc/sys/kernel/random/uuid >> /{name}\n"
        )
    };
    let file = |name: &str| format!("{name}.Dockerfile");
    let names = ["a", "b", "c"];
    for name in names {
        scene.ctx.write(&file(name), job(name).replace("REGISTRY", &scene.registry.host()));
    }
    let build = |machine: &str, name: &str, cache| {
        let mut command = scene.command(machine, &["-f", &file(name), cache]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let jobs: Vec<_> = names.iter().map(|name| build(name, name, TO)).collect();
    let first: Vec<_> = jobs.into_iter().map(|job| Built::of(job.wait_with_output().unwrap())).collect();
    for (name, first) in names.iter().zip(first) {
        let again = Built::of(build("later", name, FROM).wait_with_output().unwrap());
        assert_eq!((again.image, again.told.matches(" CACHED").count()), (first.image, 1), "{}", again.told);
    }
}

#[test]
fn a_branch_reads_what_main_wrote_and_writes_its_own() {
    let scene = Scene::new();
    let main = scene.build("main", &["--cache-to", "type=registry,ref=HOST/cache:main"]);
    let from = ["--cache-from", "HOST/cache:branch", "--cache-from", "HOST/cache:main"];
    let to = ["--cache-to", "HOST/cache:branch"];
    scene.ctx.write("src/a", "changed on the branch");
    let branch = scene.build("branch", &[&from[..], &to[..]].concat());
    assert_eq!(branch.ran(), 1, "{}", branch.told);
    let again = scene.build("again", &from);
    assert_eq!((again.ran(), again.image), (0, branch.image), "{}", again.told);
    // What the branch wrote is not what main reads.
    let other = scene.build("other", &from[2..]);
    assert_eq!(other.ran(), 1, "{}", other.told);
    scene.ctx.write("src/a", "a");
    assert_eq!(scene.build("last", &from[2..]).image, main.image);
}

#[test]
fn a_directory_is_a_cache_too() {
    let scene = Scene::new();
    let place = scene.ctx.store().join("shared");
    let (to, from) =
        (format!("type=local,dest={}", place.display()), format!("type=local,src={}", place.display()));
    let first = scene.build("one", &["--cache-to", &to]);
    let second = scene.build("two", &["--cache-from", &from]);
    assert_eq!((second.ran(), second.image), (0, first.image), "{}", second.told);
}

#[test]
fn a_cache_that_is_gone_fails_no_build() {
    let scene = Scene::new();
    // Nobody listens there.
    for flag in ["--cache-from", "--cache-to"] {
        let built = scene.build("one", &[flag, "type=registry,ref=127.0.0.1:9/cache"]);
        assert!(
            built.told.contains("warning: ") && built.told.contains("127.0.0.1:9/cache"),
            "{}",
            built.told
        );
    }
    // Something is there, and is no cache: an image.
    let built = scene.build("two", &["--cache-from", "HOST/bb"]);
    assert!(built.cached() == 0 && !built.told.contains("warning"), "{}", built.told);
}

#[test]
fn a_cache_that_vanishes_while_it_is_believed_is_done_without() {
    let scene = Scene::new();
    let place = scene.ctx.store().join("shared");
    let (to, from) =
        (format!("type=local,dest={}", place.display()), format!("type=local,src={}", place.display()));
    scene.build("one", &["--cache-to", &to]);
    // The entries are there, and no layer is.
    let blobs: Vec<_> =
        fs::read_dir(place.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let layers: Vec<_> =
        blobs.iter().filter(|path| fs::read(path).unwrap().starts_with(&[0x1f, 0x8b])).collect();
    assert!(!layers.is_empty());
    for layer in layers {
        fs::remove_file(layer).unwrap();
    }
    scene.ctx.write("src/a", "changed");
    let built = scene.build("two", &["--cache-from", &from]);
    assert!(built.ran() >= 1, "{}", built.told);
    assert!(scene.ctx.run(&["validate"]).status.success());
}
