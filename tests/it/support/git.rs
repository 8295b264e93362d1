//! Repositories, and git's own server for them.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// Makes a repository of these files with one commit, or adds one.
pub fn repository(folder: &Path, files: &[(&str, &str)]) {
    for (path, content) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    for args in [&["init", "-q", "-b", "main"][..], &["add", "-A"], &["commit", "-q", "-m", "x"]] {
        let status = Command::new("git")
            .args(["-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false"])
            .args(args)
            .current_dir(folder)
            .env("GIT_COMMITTER_DATE", "@1234 +0000")
            .status();
        assert!(status.unwrap().success(), "{args:?}");
    }
}

/// git's own server, for what lies below a directory.
pub struct Daemon {
    /// Where it listens on the loopback interface.
    pub port: u16,
    child: std::process::Child,
}

impl Daemon {
    /// Starts it and waits until it answers.
    pub fn start(root: &Path) -> Self {
        // A port that was free a moment ago: git's server takes none that is open already.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // Itself and not through `git`, which would leave it behind when it is killed.
        let folder = Command::new("git").arg("--exec-path").output().unwrap().stdout;
        let folder = String::from_utf8(folder).unwrap();
        let child = Command::new(Path::new(folder.trim()).join("git-daemon"))
            .args(["--export-all", "--reuseaddr", "--listen=127.0.0.1"])
            .arg(format!("--port={port}"))
            .arg(format!("--base-path={}", root.display()))
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "safe.directory")
            .env("GIT_CONFIG_VALUE_0", "*")
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::yield_now();
        }
        Self { port, child }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
