//! What the kernel makes of our trees, and we of its.

use std::{fs, path::Path, process::Command};

use super::*;

/// Runs a script in a mount of overlayfs over the trees, with a new upper one. `false`: this host cannot mount.
fn in_overlay(folder: &Path, lowers: &[&str], upper: &str, flavour: Flavour, script: &str) -> bool {
    for made in [upper, "work", "merged"] {
        fs::create_dir_all(folder.join(made)).unwrap();
    }
    let lowers: Vec<&str> = lowers.iter().rev().copied().collect();
    let (options, how): (&str, &[&str]) = match flavour.marks {
        Marks::Trusted => ("", &["-m"]),
        Marks::User => (",userxattr", &["-U", "-r", "-m"]),
    };
    let lowers = lowers.join(":");
    let mount = format!(
        "mount -t overlay overlay -o lowerdir={lowers},upperdir={upper},workdir=work{options} merged || exit 77
        cd merged; set -e; {script}"
    );
    let run =
        Command::new("unshare").args(how).args(["sh", "-c", &mount]).current_dir(folder).output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    match run.status.code() {
        Some(0) => {}
        // Users may not be allowed to; root is, wherever these tests are relied on.
        Some(77 | 1)
            if !rustix::process::geteuid().is_root()
                && (said.contains("mount") || said.contains("unshare")) =>
        {
            return false;
        }
        _ => panic!("{said}"),
    }
    remove(&folder.join("work")).unwrap();
    true
}

#[test]
fn changes_by_overlayfs_are_captured() {
    for flavour in [ROOT, USER] {
        let folder = tempfile::tempdir().unwrap();
        let lower = [
            dir("gone"),
            file("gone/f", b"1"),
            dir("kept"),
            file("kept/a", b"a"),
            file("kept/b", b"b"),
            dir("renewed"),
            file("renewed/old", b"old"),
            file("touched", b"x"),
        ];
        unpack(&lower, &folder.path().join("lower"), &[], flavour).unwrap();
        let script = "rm -r gone; rm kept/a; rm -r renewed; mkdir renewed; echo new > renewed/new
            ln kept/b kept/c; chmod 4711 touched; mkdir fresh; mkfifo fresh/pipe; ln -s nowhere fresh/link";
        if !in_overlay(folder.path(), &["lower"], "upper", flavour, script) {
            return;
        }
        let upper = folder.path().join("upper");
        let mut found = captured(&upper, flavour);
        found.iter_mut().for_each(|entry| entry.mtime = 0);
        let mut expected = vec![
            dir("fresh"),
            entry("fresh/link", Kind::Symlink(b"nowhere".to_vec()), 0o777),
            entry("fresh/pipe", Kind::Fifo, 0o644),
            entry("gone", Kind::Whiteout, 0),
            dir("kept"),
            entry("kept/a", Kind::Whiteout, 0),
            file("kept/b", b"b"),
            entry("kept/c", Kind::Hardlink(path("kept/b")), 0o644),
            dir("renewed"),
            entry("renewed", Kind::Opaque, 0),
            file("renewed/new", b"new\n"),
            entry("touched", Kind::File(Content::Bytes("x".into())), 0o4711),
        ];
        expected.iter_mut().for_each(|entry| entry.mtime = 0);
        assert_eq!(found, expected, "{flavour:?}");
    }
}

#[test]
fn overlayfs_reads_our_marks() {
    for flavour in [ROOT, USER] {
        let folder = tempfile::tempdir().unwrap();
        let lower = [dir("d"), file("d/old", b""), file("f", b""), dir("sub"), file("sub/kept", b"")];
        let upper = [
            entry("f", Kind::Whiteout, 0),
            dir("d"),
            entry("d", Kind::Opaque, 0),
            file("d/new", b""),
            file("sub/more", b""),
        ];
        let trees = ["1", "2"].map(|name| folder.path().join(name));
        unpack(lower, &trees[0], &[], flavour).unwrap();
        unpack(upper, &trees[1], &trees[..1], flavour).unwrap();
        let script = "find . -mindepth 1 ! -name list | sort > list; rm -r d; rm sub/kept";
        if !in_overlay(folder.path(), &["1", "2"], "3", flavour, script) {
            return;
        }
        let list = fs::read_to_string(folder.path().join("3/list")).unwrap();
        assert_eq!(list, "./d\n./d/new\n./sub\n./sub/kept\n./sub/more\n", "{flavour:?}");
        let flat = folder.path().join("flat");
        flatten(&[trees[0].clone(), trees[1].clone(), folder.path().join("3")], &flat, flavour).unwrap();
        let names: Vec<String> =
            captured(&flat, flavour).iter().map(|entry| entry.path.to_string()).collect();
        assert_eq!(names, ["list", "sub", "sub/more"]);
    }
}

/// One script, in overlayfs and in a plain directory: both ways have to end with the same files.
pub(super) fn same_in_overlay(lower: &[Entry], script: &str) -> Option<(Vec<Entry>, Vec<Entry>)> {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    unpack(lower, &at("lower"), &[], ROOT).unwrap();
    flatten(&[at("lower")], &at("plain"), ROOT).unwrap();
    let script = format!("set +e; {script} exit 0");
    if !in_overlay(folder.path(), &["lower"], "upper", ROOT, &script) {
        return None;
    }
    let run = Command::new("sh").args(["-c", &script]).current_dir(at("plain")).output().unwrap();
    assert!(run.status.success());
    // The upper tree over the lower one, after a way through a layer.
    let (layer, _) = entries(&at("upper"), &[], ROOT, &CaptureOptions::default()).unwrap();
    unpack(&layer, &at("again"), &[at("lower")], ROOT).unwrap();
    flatten(&[at("lower"), at("again")], &at("flat"), ROOT).unwrap();
    Some((captured(&at("flat"), ROOT), captured(&at("plain"), ROOT)))
}

#[test]
fn what_overlayfs_only_refers_to_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    unpack([dir("d")], folder.path(), &[], USER).unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::lsetxattr(folder.path().join("d"), "user.overlay.redirect", b"/old", flags).unwrap();
    let error = entries(folder.path(), &[], USER, &CaptureOptions::default()).unwrap_err().to_string();
    assert!(error.ends_with("overlayfs has left a mark of its own there (user.overlay.redirect)"), "{error}");
}
