//! The action of GitHub Actions: its scripts run as the runner runs them, and what builds tell a job.

mod install;
mod lint;
mod outputs;
mod script;
mod told;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::{support::cli::TestContext, tools::repository};

/// A job on a machine of its own, with a project checked out.
struct Job {
    context: TestContext,
    folder: tempfile::TempDir,
}

impl Job {
    fn new() -> Self {
        let (context, folder) = (TestContext::new(), tempfile::tempdir().unwrap());
        for file in ["outputs", "summary", "path"] {
            fs::write(folder.path().join(file), "").unwrap();
        }
        fs::create_dir(folder.path().join("temporary")).unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        Self { context, folder }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command with the variables that the runner sets.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let own = Path::new(env!("CARGO_BIN_EXE_imgbuild")).parent().unwrap();
        let path = [self.at("bin"), own.to_owned()].into_iter().chain(std::env::split_paths(&path));
        command
            .current_dir(self.context.project())
            .env_clear()
            .env("PATH", std::env::join_paths(path).unwrap())
            .env("HOME", self.context.home())
            .env("IMGBUILD_HOME", self.context.store())
            .env("CI", "true")
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_WORKSPACE", self.context.project())
            .env("GITHUB_OUTPUT", self.at("outputs"))
            .env("GITHUB_STEP_SUMMARY", self.at("summary"))
            .env("GITHUB_PATH", self.at("path"))
            .env("GITHUB_REPOSITORY", "me/app")
            .env("RUNNER_TEMP", self.at("temporary"));
        command
    }

    /// A script of the action with these inputs, and the defaults of all others.
    fn script(&self, name: &str, inputs: &[(&str, &str)]) -> Command {
        let mut command = self.command("bash");
        command.args(["--noprofile", "--norc", "-e", "-o", "pipefail"]);
        command.arg(repository().join(".github/action").join(name));
        for (name, default) in declared() {
            command.env(variable(&name), default);
        }
        for (name, value) in inputs {
            assert!(declared().contains_key(*name), "there is no input {name}");
            command.env(variable(name), value);
        }
        command
    }

    fn run(&self, name: &str, inputs: &[(&str, &str)]) -> Output {
        self.script(name, inputs).output().unwrap()
    }

    /// The outputs as the runner reads them.
    fn outputs(&self) -> BTreeMap<String, String> {
        let text = fs::read_to_string(self.at("outputs")).unwrap();
        let mut lines = text.lines();
        let mut outputs = BTreeMap::new();
        while let Some(line) = lines.next() {
            let (name, end) = line.split_once("<<").unwrap_or_else(|| panic!("{line}"));
            let value: Vec<&str> = lines.by_ref().take_while(|line| *line != end).collect();
            outputs.insert(name.to_owned(), value.join("\n"));
        }
        outputs
    }

    fn summary(&self) -> String {
        fs::read_to_string(self.at("summary")).unwrap()
    }

    /// Status and streams, without what differs from run to run.
    fn describe(&self, output: &Output) -> String {
        self.context.describe(output).replace(&*self.folder.path().to_string_lossy(), "[JOB]")
    }
}

fn variable(input: &str) -> String {
    format!("INPUT_{}", input.to_uppercase().replace('-', "_"))
}

fn action() -> String {
    fs::read_to_string(repository().join("action.yml")).unwrap()
}

/// The inputs that `action.yml` declares, with their defaults.
fn declared() -> BTreeMap<String, String> {
    let text = action();
    let inputs = text.split_once("\ninputs:\n").unwrap().1.split_once("\noutputs:\n").unwrap().0;
    let mut declared = BTreeMap::new();
    let mut last = String::new();
    for line in inputs.lines() {
        if let Some(name) = line.strip_prefix("  ").and_then(|line| line.strip_suffix(':')) {
            last = name.to_owned();
            declared.insert(last.clone(), String::new());
        } else if let Some(default) = line.strip_prefix("    default: ") {
            declared.insert(last.clone(), default.trim_matches('"').to_owned());
        }
    }
    declared
}
