//! Same commit, same image: whoever clones it, builds it, and on however many cores.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::tools::{Random, imgbuild, joined, repository, run};

/// Somebody who is neither root nor who runs the tests.
const NOBODY: u32 = 65534;

/// The specs that are built: the sample, and one with data enough for several cores.
const SPECS: [&str; 2] = ["build-specs/hello.yaml", "build-specs/data.yaml"];

const DATA: &str = "name: data
platforms: [linux/amd64, linux/arm64]
stages:
  image:
    from: scratch
    layers:
      - copy: data
        to: /data
      - write: {path: /platform, text: \"${TARGETPLATFORM}\"}
";

/// A clone of the repository, and how it is built.
struct Builder {
    folder: PathBuf,
    umask: &'static str,
    jobs: &'static str,
    timezone: &'static str,
    user: Option<u32>,
}

impl Builder {
    /// A program that runs as this builder's user.
    fn command(&self, program: &Path) -> Command {
        let mut command = imgbuild(&self.folder.join("home"));
        let environment: Vec<_> =
            command.get_envs().map(|(k, v)| (k.to_owned(), v.map(ToOwned::to_owned))).collect();
        command = Command::new("sh");
        command.args(["-c", &format!("umask {}; exec \"$@\"", self.umask), "sh"]).arg(program);
        for (name, value) in environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.env("HOME", &self.folder).env("TZ", self.timezone).current_dir(&self.folder);
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }

    fn clone_from(&self, origin: &Path) {
        fs::create_dir_all(&self.folder).unwrap();
        std::os::unix::fs::chown(&self.folder, self.user, self.user).unwrap();
        // git takes nothing from a repository of somebody else's, unless told to.
        fs::write(self.folder.join(".gitconfig"), "[safe]\n\tdirectory = *\n").unwrap();
        run(self.command("git".as_ref()).args(["clone", "--quiet"]).arg(origin).arg("clone"));
    }

    /// Builds each spec; gives digests and everything that was written.
    fn build(&self, program: &Path) -> Vec<(String, Vec<Vec<u8>>)> {
        let build = |spec: &&str| {
            let files: Vec<PathBuf> =
                ["oci.tar", "docker.tar", "files.tar"].map(|name| self.folder.join(name)).into();
            let mut command = self.command(program);
            command
                .args(["build", "-q", "--jobs", self.jobs, "-f", spec])
                .current_dir(self.folder.join("clone"));
            command.arg("-o").arg(joined("type=oci,dest=", &files[0]));
            command.arg("-o").arg(joined("type=tar,dest=", &files[2]));
            let digest = run(&mut command);
            // An archive of Docker's holds one platform.
            command.args(["--platform", "linux/arm64", "-o"]).arg(joined("type=docker,dest=", &files[1]));
            let one = run(&mut command);
            (digest + &one, files.iter().map(|file| fs::read(file).unwrap()).collect())
        };
        SPECS.iter().map(build).collect()
    }
}

/// A repository with one commit.
fn origin(folder: &Path) -> PathBuf {
    let origin = folder.join("origin");
    fs::create_dir(&origin).unwrap();
    let sample = ["fixtures", "build-specs", ".dockerignore", ".gitattributes"];
    for name in sample.iter().filter(|name| repository().join(name).exists()) {
        run(Command::new("cp").arg("-r").arg(repository().join(name)).arg(&origin));
    }
    let mut random = Random::new(7);
    for number in 0..300 {
        let file = origin.join(format!("data/d{}/f{number}", number % 7));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let size = if number == 0 { 9 << 20 } else { random.next() as usize % 30_000 };
        fs::write(&file, random.bytes(size)).unwrap();
        let mode = if number % 3 == 0 { 0o755 } else { 0o644 };
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    }
    std::os::unix::fs::symlink("d1/f1", origin.join("data/link")).unwrap();
    fs::write(origin.join("build-specs/data.yaml"), DATA).unwrap();
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=a", "-c", "user.email=a@example.com"]).args(arguments);
        run(command.current_dir(&origin).env("GIT_CONFIG_GLOBAL", "/dev/null"));
    };
    git(&["init", "--quiet"]);
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "-m", "all"]);
    origin
}

#[test]
fn two_clones_make_the_same_image() {
    let folder = TempDir::new().unwrap();
    let root = rustix::process::geteuid().is_root();
    // The other user must be able to come here, and to run the program, wherever the tests were built.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("imgbuild");
    fs::copy(env!("CARGO_BIN_EXE_imgbuild"), &program).unwrap();
    let origin = origin(folder.path());

    let one =
        Builder { folder: folder.path().join("one"), umask: "022", jobs: "8", timezone: "UTC", user: None };
    let other = Builder {
        folder: folder.path().join("another/place"),
        umask: "077",
        jobs: "1",
        timezone: "Pacific/Auckland",
        user: root.then_some(NOBODY),
    };
    one.clone_from(&origin);
    other.clone_from(&origin);
    run(Command::new("find").arg(other.folder.join("clone")).args([
        "-exec",
        "touch",
        "-h",
        "-d",
        "@1000000000",
        "{}",
        "+",
    ]));
    let mode = |builder: &Builder| {
        let file = builder.folder.join("clone/fixtures/hello/site/about.txt");
        fs::metadata(file).unwrap().permissions().mode() & 0o777
    };
    assert_eq!((mode(&one), mode(&other)), (0o644, 0o600), "the clones differ as they should");

    let (first, second) = (one.build(&program), other.build(&program));
    for ((spec, first), second) in SPECS.iter().zip(&first).zip(&second) {
        assert_eq!(first.0, second.0, "{spec}: the digests differ");
        assert!(first.1 == second.1, "{spec}: the digests are the same, what was written is not");
    }
}
