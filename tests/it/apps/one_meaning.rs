//! One Dockerfile on every rung of the sandbox that this machine offers, and in containers: the same image.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

use super::bases::Bases;
use crate::{
    docker::Docker,
    tools::{joined, run, told, tool},
};

/// What differs between rungs in weaker builders: owners and set-id programs of packages, accounts, USER, hidden and
/// deleted files, capabilities, owners of links and pipes, archives with owners, copies of files with owners.
const DOCKERFILE: &str = r#"FROM python:3.11-slim AS base
RUN addgroup --system app && adduser --system --ingroup app app && mkdir -p /srv/data && chown -R app:app /srv/data
RUN apt-get update && apt-get install -y --no-install-recommends curl cron openssh-client && rm -rf /var/lib/apt/lists/*
RUN mkdir /srv/tree && cd /srv/tree && mkdir d && touch d/f && ln -s d/f link && ln d/f hard && mkfifo pipe && ln -s gone dangling \
    && tar --owner=33 --group=44 -cf /tmp/tree.tar . && chown -R app:app . && chown -h daemon:daemon dangling && mkdir /srv/again \
    && tar -C /srv/again --numeric-owner -xf /tmp/tree.tar && cp -a /srv/tree/d /srv/copy && install -o daemon -g mail -m 4750 /bin/true /srv/suid \
    && mv link renamed && rm /tmp/tree.tar
RUN pip install --no-cache-dir --no-compile six==1.16.0 && chown -R app /usr/local/lib/python3*/dist-packages/six* 2>/dev/null; python -c 'import six'
RUN rm -rf /usr/share/zoneinfo/Arctic /etc/ssh && mkdir /etc/ssh && mv /srv/data /srv/moved && ln -s moved /srv/data
WORKDIR /srv/work
COPY --chown=app:app hello.txt .
USER app
RUN id && id -un > /srv/data/user && touch /srv/data/own && chmod 640 /srv/data/own
"#;

/// The context, readable by all.
fn context(folder: &Path) -> PathBuf {
    let context = folder.join("context");
    fs::create_dir(&context).unwrap();
    fs::write(context.join("Dockerfile"), DOCKERFILE).unwrap();
    fs::write(context.join("hello.txt"), "hello\n").unwrap();
    fs::write(context.join(".dockerignore"), "Dockerfile\n").unwrap();
    context
}

/// A folder that everybody may enter: the program must be reached by other users.
pub(super) fn open_folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// The program, where other users can start it.
pub(super) fn program(folder: &Path) -> PathBuf {
    let program = folder.join("imgbuild");
    fs::copy(env!("CARGO_BIN_EXE_imgbuild"), &program).unwrap();
    program
}

/// Kind, mode, owner and path of every file of the image, without what apt dates or lists by itself.
fn files(layout: &Path) -> Vec<String> {
    unpacked(layout, |bundle| {
        let mut list = Command::new("find");
        list.arg(bundle).args(["-name", "__pycache__", "-prune", "-o", "-printf", LINE]);
        // Backups that useradd makes with the group it reads, which with one id is root's: see docs/sandbox.md.
        sorted(&run(&mut list), |line| !line.contains("/etc/shadow- ") && !line.contains("/etc/gshadow- "))
    })
}

/// Kind, mode, owner, path and target of a link.
pub(super) const LINE: &str = "%y %m %U:%G /%P %l\n";

pub(super) fn sorted(listing: &str, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let mut lines: Vec<_> = listing.lines().filter(|line| wanted(line)).map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Lets something look at the image's files, as umoci unpacks them.
pub(super) fn unpacked<T>(layout: &Path, look: impl FnOnce(&Path) -> T) -> T {
    let bundle = layout.with_extension("bundle");
    let mut image = joined("", layout);
    image.push(":latest");
    let mut copy = tool("skopeo", "skopeo");
    run(copy.args(["copy", "--quiet"]).arg(joined("oci:", layout)).arg(joined("oci:", Path::new(&image))));
    run(tool("umoci", "umoci").args(["raw", "unpack", "--image"]).arg(&image).arg(&bundle));
    let seen = look(&bundle);
    let _ = fs::remove_dir_all(&bundle);
    seen
}

#[track_caller]
fn same(expected: &[String], layout: &Path, what: &str) {
    same_lines(expected, &files(layout), what);
}

#[track_caller]
pub(super) fn same_lines(expected: &[String], found: &[String], what: &str) {
    let only = |a: &[String], b: &[String]| {
        let lines = a.iter().filter(|line| b.binary_search(line).is_err());
        lines.take(40).cloned().collect::<Vec<_>>().join("\n")
    };
    let (missing, extra) = (only(expected, found), only(found, expected));
    assert!(missing.is_empty() && extra.is_empty(), "{what}: missing\n{missing}\nunexpected\n{extra}");
}

/// A user that the test makes, with or without ranges of subordinate ids.
pub(super) struct User(&'static str);

impl User {
    pub(super) fn new(name: &'static str, subordinate: bool) -> Self {
        let _ = tool("userdel", "passwd").args(["--force", "--remove", name]).output();
        let mut add = tool("useradd", "passwd");
        run(add.args(["--create-home", "--shell", "/bin/sh", name]));
        // Which ranges useradd gives, if any, differs between systems.
        for file in ["/etc/subuid", "/etc/subgid"] {
            let mine = format!("{name}:");
            let text = fs::read_to_string(file).unwrap_or_default();
            let mut kept: String = text
                .lines()
                .filter(|line| !line.starts_with(&mine))
                .map(|line| format!("{line}\n"))
                .collect();
            if subordinate {
                kept += &format!("{name}:1000000000:65536\n");
            }
            fs::write(file, kept).unwrap();
        }
        Self(name)
    }

    /// Runs a command as this user.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = tool("runuser", "util-linux");
        command.args(["-u", self.0, "--", "env", "-i"]);
        for name in [
            "PATH",
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "http_proxy",
            "https_proxy",
        ] {
            if let Some(value) = std::env::var_os(name) {
                command.arg(joined(&format!("{name}="), Path::new(&value)));
            }
        }
        command.arg(format!("HOME={}", self.home())).arg(program);
        command
    }

    pub(super) fn home(&self) -> String {
        format!("/home/{}", self.0)
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _ = tool("userdel", "passwd").args(["--force", "--remove", self.0]).output();
    }
}

/// Builds as the command says into a layout in a folder that all may write to.
fn build(command: Command, bases: &Bases, folder: &Path, name: &str) -> (PathBuf, Output) {
    build_target(command, bases, folder, name, &[])
}

/// The same with more options.
pub(super) fn build_target(
    mut command: Command,
    bases: &Bases,
    folder: &Path,
    name: &str,
    options: &[&str],
) -> (PathBuf, Output) {
    let out = folder.join(name);
    fs::create_dir(&out).unwrap();
    fs::set_permissions(&out, fs::Permissions::from_mode(0o1777)).unwrap();
    let layout = out.join("layout");
    command.args(["build", "--home"]).arg(out.join("home")).args(bases.options()).args(options);
    command.args(["-t", "one:latest", "-o", &format!("type=oci,dest={}", layout.display())]);
    let output = command.arg(folder.join("context")).output().expect("the command can be started");
    (layout, output)
}

#[track_caller]
pub(super) fn built(result: (PathBuf, Output)) -> PathBuf {
    assert!(result.1.status.success(), "{}", told(&result.1));
    result.0
}

#[test]
fn users_with_and_without_subordinate_ids_build_what_root_builds() {
    assert!(rustix::process::geteuid().is_root(), "this test needs root: it makes users");
    let folder = open_folder();
    let bases = Bases::with(&["python:3.11-slim"]);
    context(folder.path());
    let program = program(folder.path());
    let expected = files(&built(build(Command::new(&program), &bases, folder.path(), "root")));
    for (name, subordinate) in [("imgbuild-test-ids", true), ("imgbuild-test-none", false)] {
        let user = User::new(name, subordinate);
        let layout = built(build(user.command(&program), &bases, folder.path(), name));
        same(&expected, &layout, name);
    }
}

/// A container with nothing but this program and the host's libraries for it.
pub(super) fn contained(docker: &Docker, image: &str, folder: &Path, options: &[&str]) -> Command {
    let mut command = docker.client();
    command.args(["run", "--rm", "--network=host", "--env", "HOME=/tmp"]).args(options);
    for library in ["/lib", "/lib64", "/usr/lib", "/etc/ssl"] {
        if Path::new(library).exists() {
            command.args(["--volume", &format!("{library}:{library}:ro")]);
        }
    }
    // Certificates as this machine has them, where the container finds them too.
    if let Some(bundle) = std::env::var_os("SSL_CERT_FILE") {
        let copy = folder.join("certificates.pem");
        fs::copy(bundle, &copy).unwrap();
        command.arg("--env").arg(joined("SSL_CERT_FILE=", &copy));
    }
    let shared = folder.display();
    command.args(["--volume", &format!("{shared}:{shared}"), image]).arg(folder.join("imgbuild"));
    command
}

/// What a test in a container needs: a daemon, and the name of the image that it runs.
fn container(folder: &Path) -> (Bases, Docker, String) {
    context(folder);
    program(folder);
    daemon()
}

pub(super) fn daemon() -> (Bases, Docker, String) {
    let bases = Bases::with(&["python:3.11-slim", "busybox"]);
    let docker = Docker::start();
    let image = format!("{}/library/busybox:latest", bases.host());
    run(docker.client().args(["pull", "--quiet", &image]));
    (bases, docker, image)
}

#[test]
fn root_in_an_ordinary_container_builds_what_root_builds() {
    let folder = open_folder();
    let (bases, docker, image) = container(folder.path());
    let outside = Command::new(folder.path().join("imgbuild"));
    let expected = files(&built(build(outside, &bases, folder.path(), "outside")));
    let inside = || contained(&docker, &image, folder.path(), &["--user=0:0"]);
    says(
        inside().arg("doctor"),
        0,
        &["RUN steps use the sandbox mode chroot", "For a better one:", UNCONFINED],
    );
    same(&expected, &built(build(inside(), &bases, folder.path(), "inside")), "root in a container");

    // Without namespaces, a filter keeps commands from the network.
    let script = "import socket as s\nfor f in (s.AF_INET, s.AF_INET6):\n try: s.socket(f)\n except OSError as e: print(e)\n\
                  s.socket(s.AF_UNIX); print(\"local\")";
    let text = format!("FROM python:3.11-slim\nRUN --network=none <<EOF python -\n{script}\nEOF\n");
    fs::write(folder.path().join("context/Dockerfile"), text).unwrap();
    let (_, output) = build(inside(), &bases, folder.path(), "network");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("local"), "{}", told(&output));
    assert_eq!(said.matches("Network is unreachable").count(), 2, "{said}");
}

/// What lets a container's user make user namespaces.
pub(super) const UNCONFINED: &str = "--security-opt seccomp=unconfined --security-opt apparmor=unconfined";

#[test]
fn a_user_in_an_unconfined_container_builds_what_root_builds() {
    let folder = open_folder();
    let (bases, docker, image) = container(folder.path());
    let outside = Command::new(folder.path().join("imgbuild"));
    let expected = files(&built(build(outside, &bases, folder.path(), "outside")));
    let options =
        ["--user=1000:1000", "--security-opt=seccomp=unconfined", "--security-opt=apparmor=unconfined"];
    let inside = || contained(&docker, &image, folder.path(), &options);
    says(inside().arg("doctor"), 0, &["RUN steps use the sandbox mode single-id", "newuidmap"]);
    same(&expected, &built(build(inside(), &bases, folder.path(), "inside")), "a user in a container");
}

#[track_caller]
pub(super) fn says(command: &mut Command, status: i32, essentials: &[&str]) {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(status), "{}", told(&output));
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    for essential in essentials {
        assert!(said.contains(essential), "{essential:?} is missing in\n{said}");
    }
}

/// There it has no user namespace, no mount, no chroot.
#[test]
fn a_user_in_an_ordinary_container_learns_why_nothing_runs() {
    let folder = open_folder();
    let (bases, docker, image) = container(folder.path());
    let inside = || contained(&docker, &image, folder.path(), &["--user=1000:1000"]);
    says(
        inside().arg("doctor"),
        1,
        &["RUN steps cannot be used on this host; builds without them can", UNCONFINED],
    );
    let (_, output) = build(inside(), &bases, folder.path(), "user");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(8), "{}", told(&output));
    let why = "RUN needs a way to isolate commands, and this host has none. Tried root: ";
    for essential in
        [why, "; single-id: ", "; chroot: ", "hint: in a container: run imgbuild as root", UNCONFINED]
    {
        assert!(said.contains(essential), "{essential:?} is missing in\n{said}");
    }

    // What runs nothing is built all the same.
    let dockerfile = "FROM busybox\nCOPY hello.txt /\nWORKDIR /work\nUSER 1000\n";
    fs::write(folder.path().join("context/Dockerfile"), dockerfile).unwrap();
    built(build(inside(), &bases, folder.path(), "without"));
}
