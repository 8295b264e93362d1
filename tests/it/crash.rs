//! Killed at any point, imgbuild loses nothing that was finished: the next run succeeds, and nothing in the store or in
//! the registry is broken.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::tools::{PlainRegistry, Random, imgbuild, joined, run, told, tool};

const ROUNDS: u64 = 50;

/// Two layers of many small files and a few large ones.
fn make_context(context: &Path, random: &mut Random) {
    for layer in ["one", "two"] {
        for number in 0..400 {
            let folder = context.join(layer).join(format!("d{}", number % 20));
            fs::create_dir_all(&folder).unwrap();
            let size = if number % 100 == 0 { 4 << 20 } else { random.next() as usize % 20_000 };
            fs::write(folder.join(format!("f{number}")), random.bytes(size)).unwrap();
        }
    }
    let spec = "name: crash\nplatforms: [linux/amd64, linux/arm64]\nstages:\n  image:\n    from: scratch\n    layers:\n      \
                - {copy: one, to: /one}\n      - {copy: two, to: /two}\n      - write: {path: /platform, text: \"${TARGETPLATFORM}\"}\n";
    fs::write(context.join("imgbuild.yaml"), spec).unwrap();
}

/// Where everything of the test is.
struct Scene {
    folder: TempDir,
    registry: PlainRegistry,
}

impl Scene {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn reference(&self) -> String {
        format!("{}/crash:latest", self.registry.host())
    }

    /// The build, with the store in `home`.
    fn build(&self, home: &str) -> Command {
        let mut command = imgbuild(&self.path(home));
        command.args(["build", "--quiet"]).arg(self.path("context"));
        command
    }

    /// The build that is killed: pushed, and into a layout.
    fn deliver(&self) -> Command {
        let mut command = self.build("home");
        command.args(["-t", &self.reference(), "--push", "--insecure-registry", self.registry.host()]);
        command.arg("-o").arg(joined("type=oci,dest=", &self.path("layout")));
        command
    }

    /// Both layers differ in each round, so that there is something to build and to push.
    fn change(&self, round: u64) {
        for layer in ["one", "two"] {
            fs::write(self.path("context").join(layer).join("round"), format!("{round}\n")).unwrap();
        }
    }

    fn clear(&self) {
        for name in ["home", "layout"] {
            fs::remove_dir_all(self.path(name)).unwrap();
        }
    }

    fn timed(&self, round: u64) -> Duration {
        self.change(round);
        let start = Instant::now();
        run(&mut self.deliver());
        start.elapsed()
    }

    /// Checks what the killed run left, before anything is mended: nothing half-written has its final name.
    fn check_what_is_left(&self, at: &str) {
        valid(imgbuild(&self.path("home")).arg("validate"), at);
        if self.path("layout/index.json").exists() {
            valid(imgbuild(&self.path("home")).arg("validate").arg(joined("oci:", &self.path("layout"))), at);
        }
    }

    /// Checks what the next run made, here and as others read it from the registry, and that it cleared away what the killed one left.
    fn check_what_is_mended(&self, at: &str) {
        self.check_what_is_left(at);
        let left: Vec<_> = fs::read_dir(self.path("home/store/v1/tmp"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .filter(|name| name != "gate")
            .collect();
        assert!(left.is_empty(), "{at}: {left:?} are left in the store");
        let copy = self.path("copy");
        let mut skopeo = tool("skopeo", "skopeo");
        skopeo.args(["copy", "--quiet", "--all", "--src-tls-verify=false"]);
        run(skopeo.arg(format!("docker://{}", self.reference())).arg(joined("oci:", &copy)));
        valid(imgbuild(&self.path("home")).arg("validate").arg(joined("oci:", &copy)), at);
        fs::remove_dir_all(&copy).unwrap();
    }

    /// The image is the one that a build makes which was never killed.
    fn check_against_an_undisturbed_build(&self, digest: &str, at: &str) {
        assert_eq!(run(&mut self.build("undisturbed")), digest, "{at}: the next run made another image");
        fs::remove_dir_all(self.path("undisturbed")).unwrap();
    }
}

#[test]
fn killed_at_random_points() {
    let seed = std::env::var("IMGBUILD_TEST_SEED").map_or(1, |seed| seed.parse().unwrap());
    let mut random = Random::new(seed);
    let scene = Scene { folder: TempDir::new().unwrap(), registry: PlainRegistry::start() };
    make_context(&scene.path("context"), &mut random);
    // With an empty store, and with one that has most of what is needed.
    let (cold, warm) = (scene.timed(0), scene.timed(ROUNDS + 1));

    let mut killed = 0;
    for round in 1..=ROUNDS {
        scene.change(round);
        let empty = round % 2 == 0;
        if empty {
            scene.clear();
        }
        // Spread over the whole run, evenly, and at random within each part of it.
        let part = ((round / 2) as f64 + random.fraction()) / (ROUNDS / 2 + 1) as f64;
        let delay = if empty { cold } else { warm }.mul_f64(part);
        let at = format!("seed {seed}, round {round}, killed after {delay:?}");
        killed += u64::from(kill_after(&mut scene.deliver(), delay));
        if scene.path("home").exists() {
            scene.check_what_is_left(&at);
        }
        let output = scene.deliver().output().unwrap();
        assert!(output.status.success(), "{at}: {}", told(&output));
        scene.check_what_is_mended(&at);
        if round % 10 == 0 {
            scene.check_against_an_undisturbed_build(&String::from_utf8_lossy(&output.stdout), &at);
        }
    }
    assert!(
        killed > ROUNDS / 2,
        "only {killed} of {ROUNDS} runs were still running when they were to be killed"
    );
}

/// Starts the command and kills it; says whether it was still running.
fn kill_after(command: &mut Command, delay: Duration) -> bool {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(delay);
    let running = child.try_wait().unwrap().is_none();
    // SIGKILL, to this child alone.
    child.kill().unwrap();
    child.wait().unwrap();
    running
}

#[track_caller]
fn valid(command: &mut Command, at: &str) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{at}: {}", told(&output));
}
