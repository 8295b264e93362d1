//! Versions of a git repository, released to three registries at once, one of them ECR; seen by skopeo.

use std::{collections::BTreeMap, fs, process::Command};

use imgbuild::oci::Digest;
use serde_json::Value;

use crate::{
    support::{
        cli::TestContext,
        real_registry::{Options, Registry},
        s3::{ECR_USER, S3},
    },
    tools::{joined, run, run_json, told, tool},
};

/// The rules, as docker/metadata-action has them.
const RULES: [&str; 3] = ["{{version}}", "{{major}}.{{minor}}", "{{major}}"];

/// A project with versions, and the registries that they go to: the last is one of ECR.
struct Project {
    context: TestContext,
    registries: [Registry; 3],
    aws: S3,
}

/// Tags and the digests that they point to.
type Tags = BTreeMap<String, String>;

impl Project {
    fn new() -> Self {
        let ecr = Registry::start(Options { user: Some(ECR_USER), ..Options::default() });
        let registries = [Registry::start(Options::default()), Registry::start(Options::default()), ecr];
        let this = Self { context: TestContext::new(), registries, aws: S3::start() };
        let [first, second, ecr] = this.registries.each_ref().map(Registry::host);
        this.context
            .write("settings.toml", format!("[registry.'{ecr}']\nkind = 'ecr'\nregion = 'eu-west-1'\n"))
            .write(
                "imgbuild.yaml",
                format!(
                    "name: team/app\nregistries: ['{first}', '{second}', '{ecr}']\n\
                     platforms: [linux/amd64, linux/arm64]\nfrom: scratch\nlayers:\n  \
                     - copy: file\n    to: /file\n  - write: {{path: /arch, text: '${{TARGETARCH}}'}}\n"
                ),
            );
        this.git(0, &["init", "-q", "-b", "main"]);
        this
    }

    /// Runs git at this second.
    fn git(&self, second: u32, arguments: &[&str]) {
        let date = format!("@{second} +0000");
        let mut git = Command::new("git");
        git.args(["-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false"]);
        git.envs([("GIT_AUTHOR_DATE", &date), ("GIT_COMMITTER_DATE", &date)]);
        run(git.args(arguments).current_dir(self.context.project()));
    }

    /// Commits a version and tags it, at this second.
    fn version(&self, second: u32, tag: &str) {
        self.context.write("file", tag);
        self.git(second, &["add", "-A"]);
        self.git(second, &["commit", "-q", "-m", tag]);
        self.git(second, &["tag", tag]);
    }

    /// Releases what is checked out, in one command: status, standard output, standard error.
    fn release(&self, more: &[&str]) -> (i32, String, String) {
        let mut build = self.context.command(&["--config", "settings.toml", "build", "--quiet", "--push"]);
        build.args(["--platform", "linux/amd64,linux/arm64"]);
        for pattern in RULES {
            build.args(["--tag-rule", &format!("type=semver,pattern={pattern}")]);
        }
        let output = build.args(more).envs(self.aws.variables()).output().unwrap();
        let said = told(&output);
        assert!(!said.contains("auth-token") && !said.contains("hunter2"), "{said}");
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// Releases what must succeed, and gives the digest.
    #[track_caller]
    fn released(&self, more: &[&str]) -> String {
        let (status, digest, said) = self.release(more);
        assert_eq!(status, 0, "{said}");
        digest.trim().to_owned()
    }

    /// The tags of each registry and their digests, all by skopeo.
    #[track_caller]
    fn tags(&self) -> [Tags; 3] {
        self.registries.each_ref().map(|registry| {
            let name = format!("docker://{}/team/app", registry.host());
            let listed = run_json(self.skopeo(registry, &["list-tags", "--tls-verify=false"]).arg(&name));
            let tags = listed["Tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_owned());
            tags.map(|tag| {
                let mut inspect = self.skopeo(registry, &["inspect", "--tls-verify=false", "--raw"]);
                let raw = run(inspect.arg(format!("{name}:{tag}")));
                (tag, Digest::of(raw.as_bytes()).to_string())
            })
            .collect()
        })
    }

    /// All registries have these tags and no others.
    #[track_caller]
    fn expect(&self, expected: &[(&str, &String)]) {
        let expected: Tags =
            expected.iter().map(|(tag, digest)| ((*tag).to_owned(), (*digest).clone())).collect();
        for (registry, tags) in self.registries.iter().zip(self.tags()) {
            assert_eq!(tags, expected, "{}", registry.host());
        }
    }

    /// skopeo copies an image of each tag of each registry with both platforms, and its digest stays.
    #[track_caller]
    fn expect_copies(&self) {
        for (registry, tags) in self.registries.iter().zip(self.tags()) {
            for (tag, digest) in tags {
                let copy = self.context.home().join("copy");
                let mut skopeo = self.skopeo(registry, &["copy", "--quiet", "--all"]);
                skopeo.args([
                    "--src-tls-verify=false",
                    &format!("docker://{}/team/app:{tag}", registry.host()),
                ]);
                run(skopeo.arg(joined("oci:", &copy)));
                let read = |path: &str| -> Value {
                    serde_json::from_slice(&fs::read(copy.join(path)).unwrap()).unwrap()
                };
                assert_eq!(read("index.json")["manifests"][0]["digest"], *digest, "{tag}");
                let index = read(&format!("blobs/{}", digest.replace(':', "/")));
                let platforms = index["manifests"].as_array().unwrap().iter().map(|child| &child["platform"]);
                let architectures: Vec<_> = platforms.map(|platform| &platform["architecture"]).collect();
                assert_eq!(architectures, ["amd64", "arm64"], "{tag}");
                fs::remove_dir_all(&copy).unwrap();
            }
        }
    }

    /// skopeo with a command, as a user whom the registry lets in.
    fn skopeo(&self, registry: &Registry, command: &[&str]) -> Command {
        let mut skopeo = tool("skopeo", "skopeo");
        skopeo.args(command);
        if registry.host() == self.registries[2].host() {
            let flag = if command[0] == "copy" { "--src-creds" } else { "--creds" };
            skopeo.args([flag, &format!("{}:{}", ECR_USER.0, ECR_USER.1)]);
        }
        skopeo
    }
}

#[test]
fn versions_are_released_to_three_registries_and_never_go_backwards() {
    let project = Project::new();
    project.version(1000, "v1.3.8");
    let older = project.released(&[]);
    project.expect(&[("1.3.8", &older), ("1.3", &older), ("1", &older), ("latest", &older)]);

    project.version(2000, "v1.4.2");
    let newest = project.released(&[]);
    let of_1_4 = [("1.4.2", &newest), ("1.4", &newest), ("1", &newest), ("latest", &newest)];
    project.expect(&[&of_1_4[..], &[("1.3.8", &older), ("1.3", &older)]].concat());
    project.expect_copies();

    // A patch of the older line, made later: it moves that line alone.
    project.git(3000, &["checkout", "-q", "-b", "1.3.x", "v1.3.8"]);
    project.version(3000, "v1.3.9");
    let (status, patched, said) = project.release(&[]);
    let patched = patched.trim().to_owned();
    assert_eq!(status, 0, "{said}");
    assert!(patched != older && patched != newest);
    let of_1_3 = [("1.3.9", &patched), ("1.3", &patched), ("1.3.8", &older)];
    project.expect(&[&of_1_4[..], &of_1_3].concat());
    project.expect_copies();

    // A version is one image for ever: another one is refused, and nothing of it is anywhere.
    project.git(4000, &["checkout", "-q", "v1.4.2"]);
    assert_eq!(project.released(&[]), newest, "the same again is no other image");
    project.context.write("file", "other content");
    let (status, _, said) = project.release(&[]);
    assert_eq!(status, 7, "{said}");
    assert!(said.contains("1.4.2") && said.contains("--force"), "{said}");
    project.expect(&[&of_1_4[..], &of_1_3].concat());

    let forced = project.released(&["--force"]);
    assert_ne!(forced, newest);
    let of_1_4 = of_1_4.map(|(tag, _)| (tag, &forced));
    project.expect(&[&of_1_4[..], &of_1_3].concat());
    project.expect_copies();
}
