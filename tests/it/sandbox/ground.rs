//! A root file system to run commands in, and the ways to run them.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};

use imgbuild::sandbox::{
    Execution, Limits, Mode, Network, Ran, Root, Sandbox, SandboxError, Settings, Stream, User,
};
use tempfile::TempDir;

/// A store of trees with a root that has busybox in it, and a sandbox.
pub(super) struct Ground {
    directory: TempDir,
    pub(super) sandbox: Sandbox,
    pub(super) base: PathBuf,
    steps: AtomicUsize,
}

/// What a command came to.
pub(super) struct Outcome {
    pub(super) ran: Ran,
    pub(super) out: String,
    pub(super) err: String,
    pub(super) upper: PathBuf,
    pub(super) changes: PathBuf,
}

/// The programs of busybox that tests use.
const APPLETS: [&str; 45] = [
    "sh", "ash", "cat", "ls", "echo", "sleep", "mkdir", "rmdir", "rm", "mv", "cp", "ln", "chmod", "chown",
    "touch", "true", "false", "id", "ps", "kill", "env", "pwd", "stat", "test", "mount", "umount", "mknod",
    "hostname", "wc", "head", "tail", "grep", "sed", "seq", "dd", "setsid", "nohup", "ip", "ping", "df",
    "find", "readlink", "tr", "cut", "date",
];

impl Ground {
    pub(super) async fn new(mode: Option<Mode>) -> Self {
        Self::start(mode).await.unwrap()
    }

    /// A worker that another user than this one runs.
    pub(super) async fn of_user(uid: u32, mode: Option<Mode>) -> Result<Self, SandboxError> {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().join("base");
        busybox(&base);
        let mut settings = settings(directory.path(), mode);
        // A copy, as the user may not be allowed to look into the directory where it was built.
        let program = directory.path().join("imgbuild");
        fs::copy(settings.program.unwrap(), &program).unwrap();
        let wrapper = directory.path().join("as-user");
        let id = format!("--reuid {uid} --regid {uid} --clear-groups");
        fs::write(&wrapper, format!("#!/bin/sh\nexec setpriv {id} {} \"$@\"\n", program.display())).unwrap();
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
        settings.program = Some(wrapper);
        let owner = format!("{uid}:{uid}");
        let mut chown = Command::new("chown");
        assert!(chown.args(["-R", "-h", &owner]).arg(directory.path()).status().unwrap().success());
        let sandbox = Sandbox::start(&settings).await?;
        Ok(Self { directory, sandbox, base, steps: AtomicUsize::new(0) })
    }

    pub(super) async fn start(mode: Option<Mode>) -> Result<Self, SandboxError> {
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(directory.path(), mode);
        let sandbox = Sandbox::start(&settings).await?;
        let base = directory.path().join("base");
        busybox(&base);
        Ok(Self { directory, sandbox, base, steps: AtomicUsize::new(0) })
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A command of the shell, as root, on the base.
    pub(super) fn shell(&self, script: &str) -> Execution {
        self.command(&["/bin/sh", "-c", script])
    }

    pub(super) fn command(&self, argv: &[&str]) -> Execution {
        let number = self.steps.fetch_add(1, Ordering::Relaxed);
        Execution {
            argv: argv.iter().map(|&argument| argument.to_owned()).collect(),
            env: vec![("PATH".into(), "/bin".into())],
            workdir: "/".into(),
            emulator: None,
            user: User::default(),
            root: Root { lower: vec![self.base.clone()], upper: self.path().join(format!("upper-{number}")) },
            mounts: Vec::new(),
            files: Vec::new(),
            network: Network::Host,
            privileged: false,
            limits: Limits::default(),
            latest_mtime: None,
            of_32_bits: false,
            changes: self.path().join(format!("changes-{number}.tar")),
            locks: Vec::new(),
        }
    }

    pub(super) async fn run(&self, execution: &Execution) -> Outcome {
        self.try_run(execution).await.unwrap()
    }

    pub(super) async fn try_run(&self, execution: &Execution) -> Result<Outcome, SandboxError> {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let ran = self
            .sandbox
            .run(execution, |stream, bytes| match stream {
                Stream::Stdout => out.extend_from_slice(bytes),
                Stream::Stderr => err.extend_from_slice(bytes),
            })
            .await?;
        Ok(Outcome {
            ran,
            out: String::from_utf8_lossy(&out).into_owned(),
            err: String::from_utf8_lossy(&err).into_owned(),
            upper: execution.root.upper.clone(),
            changes: execution.changes.clone(),
        })
    }

    /// Runs a script that must succeed; what it wrote.
    pub(super) async fn sh(&self, script: &str) -> String {
        let outcome = self.run(&self.shell(script)).await;
        assert_eq!(
            outcome.ran.exit,
            imgbuild::sandbox::Exit::Code(0),
            "{script}: {}{}",
            outcome.out,
            outcome.err
        );
        outcome.out
    }
}

impl Outcome {
    /// The files in the layer with their owners, directories left out.
    pub(super) fn owners(&self) -> Vec<(String, u64, u64)> {
        let mut archive = tar::Archive::new(fs::File::open(&self.changes).unwrap());
        let entries = archive.entries().unwrap().map(|entry| entry.unwrap());
        let files = entries.filter(|entry| entry.header().entry_type().is_file());
        let owner = |entry: tar::Entry<'_, fs::File>| {
            let path = entry.path().unwrap().to_string_lossy().into_owned();
            (path, entry.header().uid().unwrap(), entry.header().gid().unwrap())
        };
        files.map(owner).collect()
    }

    /// The owner of anything in the layer.
    pub(super) fn owner(&self, path: &str) -> Option<(u64, u64)> {
        let mut archive = tar::Archive::new(fs::File::open(&self.changes).unwrap());
        let mut entries = archive.entries().unwrap().map(|entry| entry.unwrap());
        let found = entries.find(|entry| entry.path().unwrap() == Path::new(path))?;
        Some((found.header().uid().unwrap(), found.header().gid().unwrap()))
    }

    /// The paths in the layer, sorted as they are in it.
    pub(super) fn paths(&self) -> Vec<String> {
        let mut archive = tar::Archive::new(fs::File::open(&self.changes).unwrap());
        let path = |entry: tar::Entry<'_, fs::File>| entry.path().unwrap().to_string_lossy().into_owned();
        archive.entries().unwrap().map(|entry| path(entry.unwrap())).collect()
    }
}

pub(super) fn settings(directory: &Path, mode: Option<Mode>) -> Settings {
    Settings {
        mode,
        scratch: directory.join("scratch"),
        program: Some(PathBuf::from(env!("CARGO_BIN_EXE_imgbuild"))),
    }
}

/// A root file system with nothing but busybox and what programs need of `/etc`.
pub(super) fn busybox(root: &Path) {
    for directory in ["bin", "etc", "tmp"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    fs::set_permissions(root, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    fs::copy("/bin/busybox", root.join("bin/busybox")).expect("the package busybox-static");
    for applet in APPLETS {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n").unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\nuser:x:1000:\n").unwrap();
}

/// A user that has ranges of ids; made if there is none.
pub(super) fn user_with_ranges() -> u32 {
    const NAME: &str = "imgbuild-tests";
    static MADE: std::sync::Once = std::sync::Once::new();
    MADE.call_once(|| {
        // Another test's process may do the same at this moment: only the result counts.
        let _ = Command::new("useradd").args(["--no-create-home", NAME]).output();
        let listed = fs::read_to_string("/etc/subuid").unwrap_or_default();
        if !listed.lines().any(|line| line.starts_with(NAME)) {
            let ranges = ["--add-subuids", "700000-765535", "--add-subgids", "700000-765535"];
            let _ = Command::new("usermod").args(ranges).arg(NAME).output();
        }
    });
    let id = Command::new("id").args(["-u", NAME]).output().unwrap();
    String::from_utf8(id.stdout).unwrap().trim().parse().unwrap()
}

/// A user without ranges of ids: `nobody`.
pub(super) const NOBODY: u32 = 65_534;
