//! `fixtures/apps/podcast-digest` on every rung of the sandbox: packages of Debian and PyPI, accounts, USER.

use std::{fs, path::Path, process::Command, thread};

use super::one_meaning::{
    LINE, UNCONFINED, User, build_target, built, contained, daemon, open_folder, program, same_lines, says,
    sorted, unpacked,
};
use crate::{
    support::image,
    tools::{repository, run, told},
};

/// What is dated, or names inodes: the logs of apt and dpkg, ldconfig's list, and what Python compiled.
const DATED: [&str; 3] = [" ./var/log/", " ./var/cache/ldconfig/aux-cache", ".pyc"];
/// Backups with the group that `stat` tells, which with one id is root's: see docs/sandbox.md.
const BACKUPS: [&str; 2] = [" /etc/shadow- ", " /etc/gshadow- "];

/// What an image is: its files' kinds, modes, owners and contents, and what its config says but for digests.
struct Image {
    files: Vec<String>,
    contents: Vec<String>,
    config: serde_json::Value,
}

impl Image {
    fn read(layout: &Path) -> Self {
        let (files, contents) = unpacked(layout, |bundle| {
            let files = run(Command::new("find").arg(bundle).args(["-printf", LINE]));
            let script = "cd \"$1\" && find . -type f -exec sha256sum {} +";
            (files, run(Command::new("sh").args(["-c", script, "sh"]).arg(bundle)))
        });
        let mut config = config(layout);
        config.as_object_mut().unwrap().remove("rootfs").expect("there are layers");
        let dated = |line: &str| DATED.iter().any(|part| line.contains(part));
        Self { files: sorted(&files, |_| true), contents: sorted(&contents, |line| !dated(line)), config }
    }

    /// Whether another one is the same; `single`: it was made with one id.
    #[track_caller]
    fn same(&self, other: &Self, single: bool, what: &str) {
        let backup = |line: &str| single && BACKUPS.iter().any(|part| line.contains(part));
        let files = |image: &Self| -> Vec<String> {
            image.files.iter().filter(|line| !backup(line)).cloned().collect()
        };
        same_lines(&files(self), &files(other), what);
        same_lines(&self.contents, &other.contents, what);
        assert_eq!(self.config, other.config, "{what}");
    }
}

/// The config of the layout's only image.
fn config(layout: &Path) -> serde_json::Value {
    let read =
        |descriptor: &serde_json::Value| serde_json::from_slice(&image::blob(layout, descriptor)).unwrap();
    let manifest: serde_json::Value = read(&image::index(layout)["manifests"][0]);
    read(&manifest["config"])
}

/// The application's files, readable by all.
fn application(folder: &Path) {
    let context = folder.join("context");
    run(Command::new("cp").arg("-r").arg(repository().join("fixtures/apps/podcast-digest")).arg(&context));
    run(Command::new("chmod").args(["-R", "u=rwX,go=rX"]).arg(&context));
}

/// One test, for one image that the others are held against.
#[test]
fn the_application_is_the_same_on_every_rung() {
    assert!(rustix::process::geteuid().is_root(), "this test needs root: it makes users");
    let folder = open_folder();
    let folder = folder.path();
    application(folder);
    let program = program(folder);
    let (bases, docker, busybox) = daemon();
    let users = [("imgbuild-app-ids", true), ("imgbuild-app-none", false)]
        .map(|(name, subordinate)| User::new(name, subordinate));
    let inside = |options: &[&str]| contained(&docker, &busybox, folder, options);
    let rungs = [
        ("root", Command::new(&program), "root"),
        ("with ids", users[0].command(&program), "userns"),
        ("with one id", users[1].command(&program), "single-id"),
        ("root in a container", inside(&["--user=0:0"]), "chroot"),
    ];
    // Most of the time they wait for downloads.
    let images = thread::scope(|scope| {
        let make = |(name, command, mode): (&'static str, Command, &'static str)| {
            let bases = &bases;
            scope.spawn(move || {
                let options = ["--target=production", "--sandbox", mode];
                (
                    name,
                    Image::read(&built(build_target(
                        command,
                        bases,
                        folder,
                        &name.replace(' ', "-"),
                        &options,
                    ))),
                )
            })
        };
        rungs.map(make).map(|thread| thread.join().unwrap())
    });
    let [(_, root), others @ ..] = &images;
    assert_eq!(root.config["config"]["User"], "app");
    assert!(root.files.iter().any(|line| line.starts_with("d 755 ") && line.contains(" /app/input ")));
    for (name, image) in others {
        root.same(image, *name == "with one id", name);
    }

    // Where there is no rung, it is told before anything is run, and what runs nothing is built.
    let user = ["--user=1000:1000"];
    let (_, output) = build_target(inside(&user), &bases, folder, "none", &["--target=production"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(8), "{}", told(&output));
    assert!(said.contains("RUN needs a way to isolate commands") && said.contains(UNCONFINED), "{said}");
    fs::write(folder.join("context/Dockerfile"), "FROM python:3.11-slim\nWORKDIR /app\nCOPY . .\nUSER app\n")
        .unwrap();
    let layout = built(build_target(inside(&user), &bases, folder, "without", &[]));
    assert!(unpacked(&layout, |bundle| bundle.join("app/pyproject.toml").is_file()));
    says(inside(&user).arg("doctor"), 1, &["builds without them can"]);
}
