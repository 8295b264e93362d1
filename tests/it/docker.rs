//! A Docker daemon of a test's own.

use std::{
    path::PathBuf,
    process::{Command, Output},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::tools::{Daemon, run, told, tool};

/// How long a program in a container may take until it answers.
const PATIENCE: Duration = Duration::from_secs(60);

/// The daemon, without networks: its containers have the host's, or none. It ends, and its images go, when it is dropped.
pub(crate) struct Docker {
    socket: String,
    config: PathBuf,
    _daemon: Daemon,
    _folder: TempDir,
}

impl Docker {
    pub(crate) fn start() -> Self {
        assert!(rustix::process::geteuid().is_root(), "this test needs root: it starts a Docker daemon");
        let folder = TempDir::new().unwrap();
        let root = folder.path();
        let socket = format!("unix://{}", root.join("d.sock").display());
        let mut command = tool("dockerd", "docker.io");
        command.args(["--iptables=false", "--ip6tables=false", "--bridge=none"]);
        command.args(["--host", &socket, "--insecure-registry", "127.0.0.0/8"]);
        for (flag, place) in [("--data-root", "data"), ("--exec-root", "exec"), ("--pidfile", "pid")] {
            command.arg(flag).arg(root.join(place));
        }
        let mut daemon = Daemon::start(&mut command, root.join("log"));
        let config = root.join("client");
        daemon.wait_until("dockerd", || {
            let mut info = tool("docker", "docker.io");
            info.arg("--config").arg(&config).args(["--host", &socket, "info"]);
            info.output().is_ok_and(|output| output.status.success())
        });
        Self { socket, config, _daemon: daemon, _folder: folder }
    }

    pub(crate) fn client(&self) -> Command {
        let mut command = tool("docker", "docker.io");
        command.arg("--config").arg(&self.config).args(["--host", &self.socket]);
        command
    }

    /// Starts a container in the background, with these options of `docker run`.
    #[track_caller]
    pub(crate) fn container(&self, options: &[&str]) -> Container<'_> {
        let id = run(self.client().args(["run", "--detach"]).args(options));
        Container { docker: self, id: id.trim().to_owned() }
    }

    /// A container without a network of its own kind: it has the other one's, and finds it at 127.0.0.1.
    #[track_caller]
    pub(crate) fn beside(&self, other: &Container, options: &[&str]) -> Container<'_> {
        let network = format!("--network=container:{}", other.id);
        self.container(&[&[network.as_str()], options].concat())
    }
}

/// A running container; it is removed when it is dropped.
pub(crate) struct Container<'a> {
    docker: &'a Docker,
    id: String,
}

impl Container<'_> {
    fn exec(&self, words: &[&str]) -> Output {
        let mut command = self.docker.client();
        command.args(["exec", &self.id]).args(words).output().expect("docker can be started")
    }

    /// Runs a command in it, which must succeed, and gives what it prints.
    #[track_caller]
    pub(crate) fn run(&self, words: &[&str]) -> String {
        let output = self.exec(words);
        assert!(output.status.success(), "{words:?}: {}", told(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// None of these paths is there.
    #[track_caller]
    pub(crate) fn lacks(&self, paths: &[&str]) {
        let script = "for path; do if test -e \"$path\"; then echo \"$path\"; exit 1; fi; done";
        self.run(&[&["sh", "-c", script, "sh"], paths].concat());
    }

    /// Waits until the image's own health check says that it is well.
    #[track_caller]
    pub(crate) fn until_healthy(&self) {
        let start = Instant::now();
        loop {
            let mut inspect = self.docker.client();
            inspect.args(["inspect", "--format", "{{json .State.Health}}", &self.id]);
            let health = run(&mut inspect);
            if health.contains("\"Status\":\"healthy\"") {
                return;
            }
            if start.elapsed() > PATIENCE {
                let logs = self.docker.client().args(["logs", &self.id]).output().unwrap();
                panic!("{health}\n--- the container's log\n{}", told(&logs));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Runs a command in it until it succeeds.
    #[track_caller]
    pub(crate) fn until(&self, words: &[&str]) -> String {
        let start = Instant::now();
        loop {
            let output = self.exec(words);
            if output.status.success() {
                return String::from_utf8(output.stdout).unwrap();
            }
            if start.elapsed() > PATIENCE {
                let logs = self.docker.client().args(["logs", &self.id]).output().unwrap();
                panic!("{words:?}: {}\n--- the container's log\n{}", told(&output), told(&logs));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let _ = self.docker.client().args(["rm", "--force", "--volumes", &self.id]).output();
    }
}
