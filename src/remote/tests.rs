//! Repositories on this machine.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Command,
};

use tempfile::TempDir;

use super::{GitSource, RemoteError, checkout};
use crate::{
    error::{Explain, Kind},
    store::Store,
};

struct Bench {
    folder: TempDir,
    store: Store,
}

impl Bench {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let store = Store::open(&folder.path().join("home")).unwrap();
        Self { folder, store }
    }

    /// Makes a repository of this name, or adds a commit to it.
    fn commit(&self, name: &str, files: &[(&str, &str)]) -> String {
        let root = self.folder.path().join(name);
        if !root.join(".git").exists() {
            fs::create_dir_all(&root).unwrap();
            git(&root, &["init", "-q", "-b", "main"]);
        }
        for (path, content) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        git(&root, &["add", "-A"]);
        git(&root, &["commit", "-q", "--allow-empty", "-m", "x"]);
        git(&root, &["rev-parse", "HEAD"])
    }

    fn git(&self, name: &str, args: &[&str]) -> String {
        git(&self.folder.path().join(name), args)
    }

    fn source(&self, name: &str, reference: &str) -> GitSource {
        GitSource {
            remote: format!("file://{}", self.folder.path().join(name).display()),
            reference: (!reference.is_empty()).then(|| reference.to_owned()),
            subdirectory: None,
            keep_git_dir: false,
            checksum: None,
            submodules: true,
        }
    }

    fn paths(&self, source: &GitSource) -> Result<Vec<String>, RemoteError> {
        checkout(&self.store, source, &[]).map(|found| listing(&found.path))
    }
}

fn git(folder: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "protocol.file.allow=always"])
        .args(["-c", "commit.gpgsign=false"])
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// What lies in a directory, without what lies in `.git`.
fn listing(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            if path.is_dir() && !path.is_symlink() && name != ".git" {
                folders.push(path);
            } else {
                found.push(name);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn names_mean_commits() {
    let bench = Bench::new();
    let first = bench.commit("r", &[("a", "1"), ("d/b", "2")]);
    bench.git("r", &["tag", "-a", "-m", "x", "v1"]);
    bench.git("r", &["branch", "both"]);
    let second = bench.commit("r", &[("c", "3")]);
    bench.git("r", &["tag", "both"]);
    bench.git("r", &["update-ref", "refs/pull/4/head", &first]);
    let cases = [
        ("", &second),
        ("main", &second),
        ("v1", &first),
        ("refs/tags/v1", &first),
        ("both", &first),
        ("refs/tags/both", &second),
        ("refs/heads/both", &first),
        ("pull/4/head", &first),
        (first.as_str(), &first),
        (second.as_str(), &second),
    ];
    for (reference, commit) in cases {
        let found = checkout(&bench.store, &bench.source("r", reference), &[]).unwrap();
        assert_eq!(found.commit, *commit, "{reference}");
        let expected: &[&str] = if *commit == first { &["a", "d/b"] } else { &["a", "c", "d/b"] };
        assert_eq!(listing(&found.path), expected, "{reference}");
    }
    for reference in ["none", "refs/heads/none", "--upload-pack=x", &first[..10]] {
        let error = bench.paths(&bench.source("r", reference)).unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound, "{error}");
    }
}

#[test]
fn what_was_fetched_is_not_fetched_again() {
    let bench = Bench::new();
    let commit = bench.commit("r", &[("a", "1")]);
    let found = checkout(&bench.store, &bench.source("r", "main"), &[]).unwrap();
    assert_eq!(checkout(&bench.store, &bench.source("r", "main"), &[]).unwrap(), found);
    let newer = bench.commit("r", &[("a", "2")]);
    assert_eq!(checkout(&bench.store, &bench.source("r", "main"), &[]).unwrap().commit, newer);
    // A commit never changes: nobody is asked.
    fs::remove_dir_all(bench.folder.path().join("r")).unwrap();
    assert_eq!(checkout(&bench.store, &bench.source("r", &commit), &[]).unwrap(), found);
    let error = bench.paths(&bench.source("r", "main")).unwrap_err();
    assert_eq!(error.kind(), Kind::Network, "{error}");
}

#[test]
fn a_part_of_a_commit_can_be_taken_but_nothing_else() {
    let bench = Bench::new();
    let root = bench.folder.path().join("r");
    bench.commit("r", &[("d/e/f", "1")]);
    symlink("d/e", root.join("inside")).unwrap();
    symlink("/etc", root.join("outside")).unwrap();
    bench.commit("r", &[]);
    let part = |text: &str| {
        let subdirectory = Some(text.to_owned());
        bench.paths(&GitSource { subdirectory, ..bench.source("r", "") })
    };
    for (text, expected) in [("d", "e/f"), ("/d/e/", "f"), ("inside", "f"), ("../d", "e/f")] {
        assert_eq!(part(text).unwrap(), [expected], "{text}");
    }
    for text in ["none", "outside", "d/e/f"] {
        assert_eq!(part(text).unwrap_err().kind(), Kind::NotFound, "{text}");
    }
}

#[test]
fn a_commit_is_the_one_that_is_expected() {
    let bench = Bench::new();
    let commit = bench.commit("r", &[("a", "1")]);
    let with = |checksum: &str| {
        bench.paths(&GitSource { checksum: Some(checksum.to_owned()), ..bench.source("r", "main") })
    };
    with(&commit).unwrap();
    with(&commit[..8]).unwrap();
    let error = with("0000").unwrap_err().to_string();
    assert!(error.contains("should be the commit 0000 but is"), "{error}");
}

#[test]
fn the_git_directory_comes_along_where_it_is_wanted() {
    let bench = Bench::new();
    bench.commit("r", &[("a", "1"), ("run", "#!/bin/sh")]);
    fs::set_permissions(bench.folder.path().join("r/run"), fs::Permissions::from_mode(0o777)).unwrap();
    let commit = bench.commit("r", &[]);
    let source = GitSource { keep_git_dir: true, ..bench.source("r", "main") };
    let found = checkout(&bench.store, &source, &[]).unwrap();
    assert_eq!(listing(&found.path), [".git", "a", "run"]);
    assert_eq!(git(&found.path, &["rev-parse", "HEAD"]), commit);
    assert_eq!(git(&found.path, &["status", "--porcelain"]), "");
    let mode = |name: &str| found.path.join(name).metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("a"), mode("run"), mode(".")), (0o644, 0o755, 0o755));
    assert_eq!(bench.paths(&bench.source("r", "main")).unwrap(), ["a", "run"]);
}

#[test]
fn submodules_come_along() {
    let bench = Bench::new();
    bench.commit("inner", &[("i", "1")]);
    bench.commit("middle", &[("m", "1")]);
    bench.git("middle", &["submodule", "-q", "add", "../inner", "deep"]);
    bench.commit("middle", &[]);
    bench.commit("r", &[("a", "1")]);
    bench.git("r", &["submodule", "-q", "add", "../middle", "sub"]);
    bench.commit("r", &[]);
    let all = [".gitmodules", "a", "sub/.gitmodules", "sub/deep/i", "sub/m"];
    assert_eq!(bench.paths(&bench.source("r", "main")).unwrap(), all);
    let without = GitSource { submodules: false, ..bench.source("r", "main") };
    assert_eq!(bench.paths(&without).unwrap(), [".gitmodules", "a"]);
}

#[test]
fn a_repository_has_nothing_executed() {
    let bench = Bench::new();
    let mark = bench.folder.path().join("mark");
    let program = format!("touch {}; false", mark.display());
    bench.commit("r", &[("a", "1"), (".gitattributes", "* filter=evil\n")]);
    // What a submodule may be at is up to the repository; programs are not places.
    let modules = format!("[submodule \"x\"]\n\tpath = x\n\turl = ext::sh -c \"{program}\"\n");
    bench.commit("r", &[(".gitmodules", &modules)]);
    let head = bench.git("r", &["rev-parse", "HEAD"]);
    bench.git("r", &["update-index", "--add", "--cacheinfo", &format!("160000,{head},x")]);
    bench.git("r", &["commit", "-q", "-m", "x"]);
    for (key, value) in [("filter.evil.smudge", program.as_str()), ("core.fsmonitor", &program)] {
        bench.git("r", &["config", key, value]);
    }
    let hook = bench.folder.path().join("r/.git/hooks/post-checkout");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, format!("#!/bin/sh\n{program}\n")).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let error = bench.paths(&bench.source("r", "main")).unwrap_err();
    assert!(error.to_string().contains("transport 'ext' not allowed"), "{error}");
    assert!(!mark.exists(), "a program that the repository names was run");
}

#[test]
fn passwords_are_not_told() {
    let bench = Bench::new();
    let remote = "http://me:hidden@127.0.0.1:1/x.git".to_owned();
    let error = bench.paths(&GitSource { remote, ..bench.source("r", "main") }).unwrap_err();
    let told = format!("{error} {:?}", error.hints());
    assert!(told.contains("http://127.0.0.1:1/x.git") && !told.contains("hidden"), "{told}");
    let mut files = vec![bench.store.root().join("git")];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            assert!(!String::from_utf8_lossy(&fs::read(&path).unwrap()).contains("hidden"), "{path:?}");
        }
    }
}
