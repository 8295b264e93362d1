//! What tests of the whole program share: the program itself, other people's tools, a real registry.

use std::{
    ffi::OsStr,
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// How long a daemon may take to come up, or a process to end when asked.
const PATIENCE: Duration = Duration::from_secs(60);

/// The top of the repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The program, with a store of its own and nothing of the user's settings or credentials.
pub(crate) fn imgbuild(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imgbuild"));
    command
        .env("IMGBUILD_HOME", home.join("store"))
        .env("XDG_CONFIG_HOME", home.join("config"))
        .env("DOCKER_CONFIG", home.join("docker"))
        .env("XDG_RUNTIME_DIR", home.join("run"))
        .env_remove("GITHUB_ACTIONS")
        .env_remove("REGISTRY_AUTH_FILE")
        .env_remove("IMGBUILD_CONFIG")
        .env_remove("SOURCE_DATE_EPOCH");
    command
}

/// Another tool. Says which package has it, if it is not there.
pub(crate) fn tool(name: &str, package: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")]);
    let found = folders.map(|folder| folder.join(name)).find(|file| file.is_file());
    let program = found.unwrap_or_else(|| {
        panic!(
            "this test needs `{name}`: install the package {package} (tests/run does, on Debian and Ubuntu)"
        )
    });
    Command::new(program)
}

/// Runs a command that must succeed and gives its standard output.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("failed to start {command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", told(&output));
    String::from_utf8(output.stdout).unwrap_or_else(|_| panic!("{command:?}: the output is not UTF-8"))
}

/// Runs a command that must succeed and print JSON.
#[track_caller]
pub(crate) fn run_json(command: &mut Command) -> serde_json::Value {
    let text = run(command);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{command:?}: {error} in\n{text}"))
}

/// How a process ended and what it said.
pub(crate) fn told(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n--- stdout\n{}\n--- stderr\n{}", output.status, text(&output.stdout), text(&output.stderr))
}

/// A process that ends with its owner: asked first, so that it can clean up, then killed.
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    pub(crate) fn start(command: &mut Command, log: PathBuf) -> Self {
        let out = fs::File::create(&log).expect("the log can be made");
        let err = out.try_clone().expect("a file handle can be cloned");
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn();
        Self { child: child.unwrap_or_else(|error| panic!("failed to start {command:?}: {error}")), log }
    }

    /// Waits until `ready`; fails with the log if the process ends or takes too long.
    #[track_caller]
    pub(crate) fn wait_until(&mut self, what: &str, ready: impl Fn() -> bool) {
        let start = Instant::now();
        while !ready() {
            let ended = self.child.try_wait().expect("a child can be waited for");
            if ended.is_some() || start.elapsed() > PATIENCE {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                panic!("{what} did not come up (ended: {ended:?}):\n{log}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::TERM,
        );
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of the loopback interface that nobody uses.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("the loopback interface has a free port");
    listener.local_addr().expect("a listener has an address").port()
}

/// Debian's `docker-registry` on the loopback interface: plain HTTP, open to all.
pub(crate) struct PlainRegistry {
    host: String,
    _daemon: Daemon,
    _folder: TempDir,
}

impl PlainRegistry {
    pub(crate) fn start() -> Self {
        let folder = TempDir::new().expect("a temporary directory can be made");
        let (host, root) = (format!("127.0.0.1:{}", free_port()), folder.path());
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: {host}}}\n",
            root.join("data").display()
        );
        fs::write(root.join("config.yml"), config).expect("the temporary directory is writable");
        let mut command = tool("docker-registry", "docker-registry");
        let mut daemon = Daemon::start(command.arg("serve").arg(root.join("config.yml")), root.join("log"));
        daemon.wait_until("docker-registry", || answers(&host));
        Self { host, _daemon: daemon, _folder: folder }
    }

    /// `HOST:PORT`.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }
}

/// Whether the registry's API answers 200.
pub(crate) fn answers(host: &str) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(host)?;
        write!(stream, "GET /v2/ HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.split(' ').nth(1) == Some("200"))
    };
    ask().unwrap_or(false)
}

/// `prefix` with a path behind it, as one argument: `oci:` and a directory.
pub(crate) fn joined(prefix: &str, path: &Path) -> std::ffi::OsString {
    let mut text = std::ffi::OsString::from(prefix);
    text.push::<&OsStr>(path.as_ref());
    text
}

/// Random numbers that are the same in each run of the test (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// At least 0, less than 1.
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.next() % 1000) as f64 / 1000.0
    }

    /// Text-like bytes: they compress, but not to nothing.
    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length.div_ceil(8))
            .flat_map(|_| self.next().to_le_bytes())
            .map(|b| b'a' + (b & 15))
            .take(length)
            .collect()
    }
}
