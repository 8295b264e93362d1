//! The stand-ins of `fixtures/bases`, made when the first test wants them and kept in `target`.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::tools::{Daemon, answers, free_port, imgbuild, repository, run, tool};

/// Where they are: for whoever runs the tests often, outside of `target`.
fn folder() -> PathBuf {
    env::var_os("BASES_DIR")
        .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("bases"), PathBuf::from)
}

/// A registry that has them, read-only.
pub(crate) struct Bases {
    host: String,
    _daemon: Daemon,
    _folder: TempDir,
}

impl Bases {
    /// Makes those that are not there yet (the script lets one make them, and others wait), and serves all.
    pub(crate) fn with(names: &[&str]) -> Self {
        Self::of(&[], names)
    }

    /// The same, for these platforms besides this machine's: see `fixtures/bases/README.md` for what that costs.
    pub(crate) fn of(platforms: &[&str], names: &[&str]) -> Self {
        tool("mmdebstrap", "mmdebstrap");
        let scripts = repository().join("fixtures/bases");
        let mut make = Command::new(scripts.join("make"));
        make.args(platforms.iter().map(|platform| format!("--platform={platform}")));
        run(make.args(names).env("BASES_DIR", folder()).env("IMGBUILD", env!("CARGO_BIN_EXE_imgbuild")));

        let (own, host) = (TempDir::new().unwrap(), format!("127.0.0.1:{}", free_port()));
        let mut serve = Command::new(scripts.join("serve"));
        serve.arg(&host).env("BASES_DIR", folder()).env("TMPDIR", own.path());
        let mut daemon = Daemon::start(&mut serve, own.path().join("log"));
        daemon.wait_until("the registry of bases", || answers(&host));
        Self { host, _daemon: daemon, _folder: own }
    }

    /// `HOST:PORT`.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The options that let a build take its bases from here, as if they came from Docker Hub.
    pub(crate) fn options(&self) -> [String; 4] {
        let mirror = format!("docker.io={}", self.host);
        ["--registry-mirror".to_owned(), mirror, "--insecure-registry".to_owned(), self.host.clone()]
    }

    /// `imgbuild build` of a context, with a store of its own in `home`.
    pub(crate) fn build(&self, home: &Path, context: &Path) -> Command {
        let mut command = imgbuild(home);
        command.arg("build").args(self.options()).arg(context);
        command
    }
}
