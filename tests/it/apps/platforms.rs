//! Applications for another platform, on a host whose kernel was told of no emulator.
//!
//! Docker cannot run those images there, so that imgbuild does: what starts an image starts in a step on it, as its user,
//! and is asked over the loopback interface, from the image that was pushed and by a build with a store of its own.

use std::{fs, path::Path, process::Command};

use serde_json::Value;
use tempfile::TempDir;

use super::{
    bases::Bases,
    one_meaning::{User, open_folder, program},
};
use crate::{
    sandbox::emulation::host_registry,
    tools::{PlainRegistry, repository, run, run_json, told, tool},
};

/// What builds and pushes, and what it needs: a user without ranges of ids, for whom nothing is set up.
struct Builder {
    folder: TempDir,
    bases: Bases,
    registry: PlainRegistry,
    user: User,
}

impl Builder {
    fn new(user: &'static str, app: &str, bases: &[&str]) -> Self {
        assert!(rustix::process::geteuid().is_root(), "this test needs root: it makes a user");
        let folder = open_folder();
        program(folder.path());
        let context = folder.path().join("context");
        let from = repository().join("fixtures/apps").join(app);
        run(Command::new("cp").arg("-r").arg(from).arg(&context));
        run(Command::new("chmod").args(["-R", "u=rwX,go=rX"]).arg(&context));
        let bases = Bases::of(&["linux/arm64"], bases);
        Self { folder, bases, registry: PlainRegistry::start(), user: User::new(user, false) }
    }

    /// Runs a build of a context with these options. Gives what it tells.
    #[track_caller]
    fn run(&self, home: &str, context: &Path, options: &[&str]) -> String {
        let mut command = self.user.command(&self.folder.path().join("imgbuild"));
        command.args(["build", "--progress=plain"]).args(self.bases.options()).args(options);
        command.args(["--insecure-registry", self.registry.host()]);
        command.arg(format!("--home={}/{home}", self.user.home())).arg(context);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", told(&output));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Builds, with one command, and pushes. Gives the image's name.
    #[track_caller]
    fn image(&self, dockerfile: &str, target: Option<&str>, platforms: &str) -> String {
        let name = format!("{}/app:{}", self.registry.host(), dockerfile.to_lowercase());
        let context = self.folder.path().join("context");
        let (file, target) = (context.join(dockerfile), target.map(|target| format!("--target={target}")));
        let mut options = vec!["--platform", platforms, "-f", file.to_str().unwrap(), "-t", &name, "--push"];
        options.extend(target.as_deref());
        let before = host_registry();
        let told = self.run("built", &context, &options);
        assert_eq!(host_registry(), before);
        assert!(told.contains("programs for linux/arm64 are run by "), "{told}");
        name
    }

    /// Starts the image as a container of it would start, and runs a script beside it until it succeeds.
    #[track_caller]
    fn ask(&self, image: &str, platforms: &[&str], script: &str) {
        let context = self.folder.path().join("asked");
        fs::create_dir_all(&context).unwrap();
        for platform in platforms {
            let config = config(image, platform);
            let (os, architecture) = platform.split_once('/').unwrap();
            assert_eq!((&config["os"], &config["architecture"]), (&os.into(), &architecture.into()));
            let dockerfile = format!(
                "FROM {image}\nRUN --network=none <<'END'\n\
                 uname -m\n(exec {}) >/tmp/log 2>&1 &\n\
                 for try in $(seq 120); do\n  sleep 0.5\n  if (\n{script}\n  ); then exit 0; fi\ndone\n\
                 cat /tmp/log\nexit 1\nEND\n",
                command(&config["config"]),
            );
            fs::write(context.join("Dockerfile"), dockerfile).unwrap();
            // What an application asks for by name is not beside it here.
            let options = ["--platform", platform, "--add-host=backend:127.0.0.1"];
            let told = self.run("asked", &context, &options);
            let machine = if architecture == "arm64" { "aarch64" } else { "x86_64" };
            assert!(told.contains(&format!(" {machine}\n")), "{platform}: {told}");
        }
    }
}

/// What another tool reads of a platform's image.
fn config(image: &str, platform: &str) -> Value {
    let (_, architecture) = platform.split_once('/').unwrap();
    let mut inspect = tool("skopeo", "skopeo");
    inspect.args(["--override-os=linux", "--override-arch", architecture, "inspect", "--config"]);
    run_json(inspect.args(["--tls-verify=false", &format!("docker://{image}")]))
}

/// What a container would run, as a shell's words.
fn command(config: &Value) -> String {
    let words = |name: &str| config[name].as_array().cloned().unwrap_or_default();
    let words = [words("Entrypoint"), words("Cmd")].concat();
    let quoted = words.iter().map(|word| format!("'{}'", word.as_str().unwrap().replace('\'', r"'\''")));
    quoted.collect::<Vec<_>>().join(" ")
}

/// Fails unless all native modules that pip installed are for the machine that says so, and there are some.
const MODULES: &str = r#"python - <<'PYTHON'
import glob, os
numbers = {"aarch64": 183, "x86_64": 62}
modules = glob.glob("/usr/local/lib/python3*/**/*.so", recursive=True)
found = {int.from_bytes(open(module, "rb").read(20)[18:], "little") for module in modules}
assert found == {numbers[os.uname().machine]}, found
PYTHON"#;

/// The one that downloads, compiles and installs what Debian and PyPI have, for both platforms at once.
/// `tests/run --run-ignored only apps::platforms` runs this and the others.
#[test]
#[ignore = "takes minutes: a Debian and Python for another platform, and a compiler, emulated"]
fn a_user_without_ids_builds_both_platforms_with_one_command() {
    let builder = Builder::new("imgbuild-both", "podcast-digest", &["python:3.11-slim"]);
    let both = ["linux/amd64", "linux/arm64"];
    let image = builder.image("Dockerfile", Some("production"), &both.join(","));
    for platform in both {
        assert_eq!(config(&image, platform)["config"]["User"], "app");
    }
    let asked = "curl -sf http://127.0.0.1:8000/health | grep -F '\"user\":\"app\"' && test \"$(id -un)\" = app && \
                 curl -sf --data-binary @tests/feed.xml http://127.0.0.1:8000/feeds/example && \
                 curl -sf http://127.0.0.1:8000/feeds/example/digest?sentences=1 | grep -F 'A registry keeps each layer'";
    builder.ask(&image, &both, &format!("{asked} && {MODULES}"));
}

#[test]
#[ignore = "takes minutes: npm, emulated, and three more bases"]
fn a_back_end_and_its_page_are_built_for_another_platform() {
    let builder =
        Builder::new("imgbuild-gpx", "gpx-art", &["python:3.9-slim", "node:18-alpine", "nginx:alpine"]);
    let arm = ["linux/arm64"];
    let backend = builder.image("Dockerfile.backend", None, arm[0]);
    let health = "python -c 'import urllib.request as u; print(u.urlopen(\"http://127.0.0.1:8000/api/health\").read())' \
                  | grep -F '\"status\":\"ok\"'";
    builder.ask(&backend, &arm, health);
    let page = builder.image("Dockerfile.frontend", None, arm[0]);
    // It has no other client than its shell.
    let get = "bash -c 'exec 3<>/dev/tcp/127.0.0.1/80 && printf \"GET / HTTP/1.0\\r\\n\\r\\n\" >&3 && cat <&3' | grep -F '200 OK'";
    builder.ask(&page, &arm, get);
}

/// Next.js and its compiler.
#[test]
#[ignore = "takes minutes: a compiler, emulated, and one more base"]
fn pages_are_compiled_for_both_platforms() {
    let builder = Builder::new("imgbuild-pages", "podcast-digest-ui", &["node:20-alpine"]);
    let both = ["linux/amd64", "linux/arm64"];
    let image = builder.image("Dockerfile", Some("production"), &both.join(","));
    let health = "node -e \"fetch('http://127.0.0.1:3000/health').then(async (r) => console.log(await r.text()))\" \
                  | grep -F '\"user\":\"nextjs\"'";
    builder.ask(&image, &both, health);
}
