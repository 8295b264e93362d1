//! Runs the program, apart from the user's own files.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// A project's folder, a store and a home of its own.
pub struct TestContext {
    root: tempfile::TempDir,
}

impl TestContext {
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["project", "home", "store"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        Self { root }
    }

    /// The folder that the program runs in.
    pub fn project(&self) -> PathBuf {
        self.root.path().join("project")
    }

    /// The user's home directory.
    pub fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// The local store, `IMGBUILD_HOME`.
    pub fn store(&self) -> PathBuf {
        self.root.path().join("store")
    }

    /// Writes a file of the project.
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) -> &Self {
        write(&self.project().join(path), text.as_ref());
        self
    }

    /// The program with an environment that holds nothing of the user's.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_imgbuild"));
        command
            .args(arguments)
            .current_dir(self.project())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home())
            .env("IMGBUILD_HOME", self.store())
            .stdin(Stdio::null());
        command
    }

    /// Runs the program.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs the program and tells everything it did as one text, filtered by [`TestContext::filter`].
    pub fn transcript(&self, arguments: &[&str]) -> String {
        self.describe(&self.run(arguments))
    }

    /// Status, standard output and standard error as one text.
    pub fn describe(&self, output: &Output) -> String {
        let status = output.status.code().map_or("none".to_owned(), |code| code.to_string());
        let text = |bytes: &[u8]| self.filter(&String::from_utf8_lossy(bytes));
        format!(
            "status: {status}\n----- stdout\n{}----- stderr\n{}",
            text(&output.stdout),
            text(&output.stderr)
        )
    }

    /// Text without what differs from run to run: paths, digests, durations.
    pub fn filter(&self, text: &str) -> String {
        let mut text = text.replace(&*self.root.path().to_string_lossy(), "[ROOT]");
        let mut out = String::new();
        while let Some(at) = text.find("sha256:") {
            let end =
                text[at + 7..].find(|c: char| !c.is_ascii_hexdigit()).map_or(text.len(), |end| at + 7 + end);
            out.push_str(&text[..at]);
            out.push_str("sha256:[DIGEST]");
            text = text[end..].to_owned();
        }
        out.push_str(&text);
        let words = out.split_inclusive([' ', '\n']).map(|word| {
            let bare = word.trim_end();
            let number = bare.strip_suffix('s').is_some_and(|number| {
                number.contains('.') && number.bytes().all(|b| b.is_ascii_digit() || b == b'.')
            });
            if number { word.replace(bare, "[TIME]") } else { word.to_owned() }
        });
        words.collect()
    }
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}
