//! Steps that are no commands, through the program: on a machine that knows nothing, none of them looks into the base.

use std::{fs, path::Path};

use crate::support::{
    cli::TestContext,
    registry::{Fake, Seen},
};

/// A project and a registry with its base, and how machines build there.
struct Scene {
    ctx: TestContext,
    registry: Fake,
}

impl Scene {
    async fn new() -> Self {
        let scene = Self { ctx: TestContext::new(), registry: Fake::start().await };
        scene.ctx.with_busybox().write(".dockerignore", "base\n");
        let base = format!("{}/bb", scene.registry.host());
        let pushed = scene.ctx.run(&["build", "-t", &base, "--push", "base"]);
        assert!(pushed.status.success(), "{}", scene.ctx.describe(&pushed));
        scene
    }

    /// A build of a file on a machine, with a cache beside the image: what it told.
    #[track_caller]
    fn build(&self, machine: &str, file: &str) -> String {
        self.build_with(machine, file, &[])
    }

    #[track_caller]
    fn build_with(&self, machine: &str, file: &str, arguments: &[&str]) -> String {
        let (image, cache) = (self.registry.host() + "/app", self.registry.host() + "/cache");
        let mut command = self.ctx.command(&["build", "--progress", "plain", "-f", file, "-t", &image]);
        command.args(arguments).args(["--push", "--cache-from", &cache, "--cache-to", &cache, "."]);
        command.env("IMGBUILD_HOME", self.ctx.store().join(machine)).env("SOURCE_DATE_EPOCH", "1");
        let done = command.output().unwrap();
        let told = String::from_utf8(done.stderr).unwrap();
        assert!(done.status.success(), "{told}");
        told
    }

    /// Two machines build a file of so many steps, one after the other. The second makes nothing, and fetches nothing of
    /// the base but its documents.
    #[track_caller]
    fn nothing_is_made_again(&self, file: &str, text: &str, steps: usize) {
        self.ctx.write(file, text.replace("REGISTRY", &self.registry.host()));
        let (one, two) = (format!("{file}-one"), format!("{file}-two"));
        let first = self.build(&one, file);
        self.registry.take_seen();
        let second = self.build(&two, file);
        assert_eq!((image(&first), second.matches(" CACHED").count()), (image(&second), steps), "{second}");
        assert_eq!(files(&self.ctx.store().join(&two).join("v1/tars")), 0, "{second}");
        let fetched = |seen: &Seen| seen.method == "GET" && seen.path.contains("/bb/blobs/");
        let fetched = self.registry.take_seen().into_iter().filter(fetched).count();
        assert_eq!(fetched, 1, "the base's config, and nothing else: {second}");
    }
}

fn image(told: &str) -> &str {
    told.lines().find(|line| line.starts_with("built ")).unwrap_or_else(|| panic!("{told}"))
}

fn files(folder: &Path) -> usize {
    fs::read_dir(folder).map_or(0, Iterator::count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_step_of_a_dockerfile_looks_into_the_base_of_a_fresh_machine() {
    let scene = Scene::new().await;
    scene.ctx.write("src/a", "a").write("src/sub/b", "b").write("file", "file");
    let text = "FROM REGISTRY/bb AS made
WORKDIR /made
COPY file .
RUN cat file > out && date >> out
FROM REGISTRY/bb
WORKDIR /app
RUN echo 'new:x:1001:1001::/home/new:/bin/sh' >> /etc/passwd
COPY --chown=new src src
COPY --parents --chown=app src/./sub /kept/
COPY --link --chown=app file /linked
COPY --from=made --chown=app /made/out out
USER app
WORKDIR /home/app/work
COPY <<EOF here
document
EOF
";
    scene.nothing_is_made_again("Dockerfile", text, 12);
    // What a step reads is part of its key, and so is what is below it.
    for (path, machine) in [("src/sub/b", "sub"), ("file", "file")] {
        scene.ctx.write(path, "other");
        let told = scene.build(machine, "Dockerfile");
        assert_eq!(told.matches(" CACHED").count(), 6, "{path}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_step_of_a_spec_looks_into_the_base_of_a_fresh_machine() {
    let scene = Scene::new().await;
    scene.ctx.write("archive.tar", archive(b"one")).write("file", "file");
    let text = "from: REGISTRY/bb
layers:
  - group: {name: staff, gid: 50}
  - user: {name: new, uid: 1001, createHome: true}
  - {mkdir: /var/data, owner: new}
  - write: {path: /home/new/text, text: 'x', owner: new}
  - symlink: {path: /var/link, target: data, owner: new}
  - remove: /bin/wget
  - {unpack: archive.tar, to: /home/new}
  - {copy: file, to: /home/new/file, owner: new}
";
    scene.nothing_is_made_again("imgbuild.yaml", text, 8);
    // An archive is known by its content, not by its name.
    scene.ctx.write("archive.tar", archive(b"two"));
    let told = scene.build("after", "imgbuild.yaml");
    assert_eq!(told.matches(" CACHED").count(), 6, "{told}");
}

/// A tar with one file.
fn archive(content: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, "unpacked", content).unwrap();
    tar.into_inner().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_of_a_copy_are_shared_each_by_itself() {
    let scene = Scene::new().await;
    for number in 0..600 {
        scene.ctx.write(&format!("tree/d{}/f{number}", number % 60), format!("{number}"));
    }
    let text = "FROM REGISTRY/bb\nCOPY --link tree /app/tree\n".replace("REGISTRY", &scene.registry.host());
    scene.ctx.write("Dockerfile", text);
    let split = ["--split-copy", "4"];
    let first = scene.build_with("one", "Dockerfile", &split);
    let second = scene.build_with("two", "Dockerfile", &split);
    assert_eq!((image(&first), second.matches(" CACHED").count()), (image(&second), 1), "{second}");
    assert_eq!(files(&scene.ctx.store().join("two/v1/blobs/sha256")), documents(&scene, "two"), "{second}");
    // Not split, it is another layer.
    let whole = scene.build("three", "Dockerfile");
    assert!(image(&whole) != image(&first) && !whole.contains(" CACHED"), "{whole}");
    // Of a changed tree one layer is made, and the others are where they were.
    scene.ctx.write("tree/d5/f5", "other");
    scene.registry.take_seen();
    let changed = scene.build_with("four", "Dockerfile", &split);
    assert!(image(&changed) != image(&first) && !changed.contains(" CACHED"), "{changed}");
    let layers = files(&scene.ctx.store().join("four/v1/blobs/sha256")) - documents(&scene, "four");
    assert_eq!(layers, 1, "{changed}");
    // What the cache said of the others is not remembered here.
    assert_eq!(files(&scene.ctx.store().join("four/v1/records/layers-1")), 1, "{changed}");
    let alone = scene
        .ctx
        .command(&["build", "--progress", "plain", "--split-copy", "4", "."])
        .env("IMGBUILD_HOME", scene.ctx.store().join("five"))
        .env("SOURCE_DATE_EPOCH", "1")
        .output()
        .unwrap();
    let alone = String::from_utf8(alone.stderr).unwrap();
    assert_eq!(image(&alone).split(' ').nth(1), image(&changed).split(' ').nth(1), "{alone}");
}

/// How many of a machine's blobs are no layers.
fn documents(scene: &Scene, machine: &str) -> usize {
    let blobs = scene.ctx.store().join(machine).join("v1/blobs/sha256");
    let paths = fs::read_dir(blobs).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| !fs::read(path).unwrap().starts_with(&[0x1f, 0x8b])).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_known_by_its_checksum_is_not_fetched_again() {
    let scene = Scene::new().await;
    let digest = scene.registry.put_blob("files", archive(b"one"));
    let url = format!("{}/v2/files/blobs/{digest}", scene.registry.root());
    let cases = [
        ("checked", format!("FROM scratch\nADD --checksum={digest} {url} /added/\n"), 0, 1),
        (
            "unpacked",
            format!("from: scratch\nlayers:\n  - {{unpack: '{url}', to: /a, sha256: {}}}\n", digest.hex()),
            0,
            1,
        ),
        // Nobody knows what is there now.
        ("unchecked", format!("FROM scratch\nADD {url} /added/\n"), 1, 0),
    ];
    for (name, text, fetched, cached) in cases {
        let file =
            if text.starts_with("FROM") { format!("{name}.Dockerfile") } else { format!("{name}.yaml") };
        scene.ctx.write(&file, text);
        let first = scene.build(&format!("{name}-one"), &file);
        scene.registry.take_seen();
        let second = scene.build(&format!("{name}-two"), &file);
        let seen = scene.registry.take_seen();
        let fetches =
            seen.iter().filter(|seen| seen.method == "GET" && seen.path.contains("/files/")).count();
        let found = (image(&second), fetches, second.matches(" CACHED").count());
        assert_eq!(found, (image(&first), fetched, cached), "{name}: {second}");
    }
}
