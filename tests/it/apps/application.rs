//! An application's images, built of its Dockerfiles and of its layer specs.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read},
    path::PathBuf,
    process::Stdio,
};

use imgbuild::oci::Digest;
use tempfile::TempDir;

use super::bases::Bases;
use crate::{
    docker::{Container, Docker},
    tools::{PlainRegistry, repository, run, run_json},
};

/// A folder of `fixtures/apps`, with a registry that its images are pushed to and a daemon that runs them.
pub(crate) struct Application {
    name: &'static str,
    bases: Bases,
    registry: PlainRegistry,
    docker: Docker,
    /// The store of all builds, so that what they share is built once.
    store: TempDir,
    options: Vec<String>,
}

impl Application {
    pub(crate) fn new(name: &'static str, bases: &[&str]) -> Self {
        let (bases, registry, docker) = (Bases::with(bases), PlainRegistry::start(), Docker::start());
        Self { name, bases, registry, docker, store: TempDir::new().unwrap(), options: Vec::new() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        repository().join("fixtures/apps").join(self.name)
    }

    pub(crate) fn docker(&self) -> &Docker {
        &self.docker
    }

    /// Builds the file's stage, pushes the image under this tag, and gives its name.
    #[track_caller]
    fn push(&self, tag: &str, file: PathBuf, stage: Option<&str>) -> String {
        let reference = format!("{}/{}:{tag}", self.registry.host(), self.name);
        let mut build = self.bases.build(self.store.path(), &self.path());
        build.arg("-f").arg(file).args(&self.options);
        build.args(stage.map(|stage| format!("--target={stage}")));
        run(build.args(["-t", &reference, "--push", "--insecure-registry", self.registry.host()]));
        reference
    }

    #[track_caller]
    fn image(&self, tag: &str, file: PathBuf, stage: Option<&str>) -> String {
        let reference = self.push(tag, file, stage);
        self.pull(&reference);
        reference
    }

    fn pull(&self, reference: &str) {
        run(self.docker.client().args(["pull", "--quiet", reference]));
    }

    /// Lets all builds take for the base `name` what this Dockerfile of the application makes.
    pub(crate) fn replace_base(&mut self, name: &str, dockerfile: &str) {
        let base = self.push(&dockerfile.to_ascii_lowercase(), self.path().join(dockerfile), None);
        self.options.push(format!("--build-context={name}=docker-image://{base}"));
    }

    /// A base as it is, for the daemon to run.
    pub(crate) fn base(&self, name: &str) -> String {
        let reference = format!("{}/library/{name}", self.bases.host());
        self.pull(&reference);
        reference
    }

    /// The image of a Dockerfile, `FILE` or `FILE#STAGE`; that of the spec, written so too, must have the same config
    /// and files.
    #[track_caller]
    pub(crate) fn build(&self, dockerfile: &str, spec: &str) -> String {
        let tag = dockerfile.to_ascii_lowercase().replace('#', "-");
        let (file, stage) = split(dockerfile);
        let image = self.image(&tag, self.path().join(file), stage);
        let (file, stage) = split(spec);
        let file = repository().join("build-specs/apps").join(file);
        let equal = self.image(&format!("{tag}-spec"), file, stage);
        assert_eq!(self.config(&image), self.config(&equal), "{dockerfile}");
        let (wanted, found) = (self.files(&image), self.files(&equal));
        let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| {
            a.difference(b).take(40).cloned().collect::<Vec<_>>().join("\n")
        };
        let (missing, extra) = (only(&wanted, &found), only(&found, &wanted));
        assert!(
            missing.is_empty() && extra.is_empty(),
            "{dockerfile}: the spec's image lacks\n{missing}\nand has\n{extra}"
        );
        image
    }

    /// What a container of it runs, and how.
    pub(crate) fn config(&self, image: &str) -> serde_json::Value {
        run_json(self.docker.client().args(["image", "inspect", image]))[0]["Config"].take()
    }

    /// A line for each file that a container begins with.
    fn files(&self, image: &str) -> BTreeSet<String> {
        let id = run(self.docker.client().args(["create", "--network=none", image]));
        let mut export = self.docker.client();
        let mut export = export.args(["export", id.trim()]).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = export.stdout.take().unwrap();
        let lines = lines(&mut out);
        // What comes behind the tar's end, too: nobody likes to write to whoever has gone.
        io::copy(&mut out, &mut io::sink()).unwrap();
        assert!(export.wait().unwrap().success());
        run(self.docker.client().args(["rm", "--volumes", id.trim()]));
        lines
    }

    /// A container in the background, with these options of `docker run`.
    #[track_caller]
    pub(crate) fn start(&self, options: &[&str]) -> Container<'_> {
        self.docker.container(options)
    }

    /// A container that has the network of another one, and finds it at 127.0.0.1.
    #[track_caller]
    pub(crate) fn beside(&self, other: &Container, options: &[&str]) -> Container<'_> {
        self.docker.beside(other, options)
    }

    /// Runs a container to its end and gives what it prints.
    #[track_caller]
    pub(crate) fn run(&self, options: &[&str]) -> String {
        run(self.docker.client().args(["run", "--rm", "--network=none"]).args(options))
    }
}

fn split(file: &str) -> (&str, Option<&str>) {
    file.split_once('#').map_or((file, None), |(file, stage)| (file, Some(stage)))
}

/// What paths have in them of files that are named after the time, or are there by chance. Here they begin with `/`.
const DATED: [&str; 4] = ["^/tmp/", "^/root/.cache/", "/_cacache/", "/_logs/"];

/// The same of files in which tools write the time, or random keys.
const WRITTEN: [&str; 4] = [".pyc", "^/var/log/", "^/var/cache/ldconfig/aux-cache", "^/app/.next/"];

/// Kind, mode, owner, path and target of each file in a tar, and the digest of its content where that does not depend on
/// when or how often a step was done.
fn lines(tar: impl Read) -> BTreeSet<String> {
    let has = |path: &str, parts: &[&str]| {
        let path = format!("^/{path}");
        parts.iter().any(|part| path.contains(part))
    };
    let (mut archive, mut lines, mut contents) = (tar::Archive::new(tar), BTreeSet::new(), BTreeMap::new());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if has(&path, &DATED) {
            continue;
        }
        let header = entry.header().clone();
        let target = entry.link_name_bytes().map(|target| String::from_utf8_lossy(&target).into_owned());
        let target = target.unwrap_or_default();
        let (mode, uid, gid) = (header.mode().unwrap(), header.uid().unwrap(), header.gid().unwrap());
        let meta = format!("{mode:o} {uid}:{gid} {path}");
        let kind = header.entry_type();
        // Which of a file's names has the content is nobody's business.
        let content = if kind.is_hard_link() {
            contents.get(&target).cloned().unwrap_or_default()
        } else if kind.is_file() && !has(&path, &WRITTEN) {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            Digest::of(&bytes).to_string()
        } else {
            String::new()
        };
        lines.insert(match kind {
            kind if kind.is_file() || kind.is_hard_link() => format!("file {meta} {content}"),
            kind => format!("{kind:?} {meta} {target}"),
        });
        contents.insert(path, content);
    }
    lines
}
