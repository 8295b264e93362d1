//! The sample's programs are what their source makes.

use std::{fs, process::Command};

use tempfile::TempDir;

use crate::tools::{repository, run};

/// Only the compiler that made the committed programs makes the same bytes; on a machine with another, or with none
/// for the other platform, there is nothing to compare.
#[test]
fn programs_are_rebuilt_to_the_same_bytes() {
    let hello = repository().join("fixtures/hello");
    let wanted = fs::read_to_string(hello.join("bin/compiler")).unwrap();
    for compiler in ["x86_64-linux-gnu-gcc", "aarch64-linux-gnu-gcc"] {
        let version = Command::new(compiler).arg("-dumpfullversion").output();
        let version = version.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        if version.ok().as_deref() != wanted.trim().strip_prefix("gcc ") {
            return;
        }
    }
    let folder = TempDir::new().unwrap();
    run(Command::new(hello.join("build.sh")).arg(folder.path()));
    for file in ["amd64/hello", "arm64/hello", "compiler"] {
        let (made, committed) = (fs::read(folder.path().join(file)), fs::read(hello.join("bin").join(file)));
        assert!(
            made.unwrap() == committed.unwrap(),
            "{file} differs: run fixtures/hello/build.sh and commit"
        );
    }
}
