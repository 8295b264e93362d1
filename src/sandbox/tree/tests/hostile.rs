//! Layers that want out of their tree, or to be more than a layer may.

use std::{
    fs,
    os::unix::fs::{MetadataExt, symlink},
};

use proptest::prelude::*;

use super::*;

/// Unpacks next to a directory that nothing may happen to.
fn refused(entries: &[Entry]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let outside = folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("precious"), "as it was").unwrap();
    let outcome = unpack(entries, &folder.path().join("tree"), &[], ROOT);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(outside.join("precious")).unwrap(), "as it was");
    outcome.map_or_else(|error| error.to_string(), |warnings| format!("unpacked {warnings:?}"))
}

fn link(at: &str, target: &str) -> Entry {
    entry(at, Kind::Symlink(target.as_bytes().to_vec()), 0o777)
}

fn hardlink(at: &str, target: &str) -> Entry {
    entry(at, Kind::Hardlink(path(target)), 0o644)
}

#[test]
fn nothing_gets_out_of_the_tree() {
    let cases: Vec<(Vec<Entry>, &str)> = vec![
        (
            vec![link("out", "../outside"), file("out/precious", b"gone")],
            "cannot unpack /out/precious: it lies below a symbolic link",
        ),
        (
            vec![link("out", "../outside"), dir("out/sub/deep")],
            "cannot unpack /out/sub/deep: it lies below a symbolic link",
        ),
        (
            vec![link("out", "../outside"), entry("out/precious", Kind::Whiteout, 0)],
            "cannot unpack /out/precious: it lies below a symbolic link",
        ),
        (vec![link("out", "../outside"), entry("out", Kind::Opaque, 0)], "unpacked []"),
        (vec![link("out", "../outside"), dir("out"), file("out/precious", b"mine")], "unpacked []"),
        (vec![link("out", "../outside/precious"), file("out", b"mine")], "unpacked []"),
        (
            vec![link("out", "../outside"), hardlink("stolen", "out/precious")],
            "cannot unpack /stolen: it is a hard link to /out/precious, which lies below a link or a file",
        ),
        // The link itself gets one more name.
        (vec![link("out", "../outside/precious"), hardlink("stolen", "out")], "unpacked []"),
        (
            vec![hardlink("stolen", "outside/precious")],
            "cannot unpack /stolen: it is a hard link to /outside/precious, which is not there",
        ),
        (vec![dir("d"), hardlink("d2", "d")], "cannot unpack /d2: it is a hard link to the directory /d"),
        (vec![hardlink("self", "self")], "cannot unpack /self: it is a hard link to itself"),
        (
            vec![file("f", b""), file("f/g", b"")],
            "cannot unpack /f: it is no directory, but has something in it",
        ),
        (
            vec![entry("gone", Kind::Whiteout, 0), hardlink("x", "gone")],
            "cannot unpack /x: it is a hard link to /gone, which is not there",
        ),
    ];
    for (entries, expected) in cases {
        assert_eq!(refused(&entries), expected, "{entries:?}");
    }
}

#[test]
fn a_layer_cannot_speak_to_overlayfs() {
    let folder = tempfile::tempdir().unwrap();
    let mut directory = dir("etc");
    directory.xattrs.insert(b"trusted.overlay.redirect".to_vec(), b"/root".to_vec());
    directory.xattrs.insert(b"trusted.overlay.opaque".to_vec(), b"y".to_vec());
    let entries =
        [directory, entry("hole", Kind::CharDevice { major: 0, minor: 0 }, 0o666), hardlink("h", "hole")];
    let warnings = unpack(&entries, folder.path(), &[], ROOT).unwrap();
    assert_eq!(warnings, ["left out the device /hole: 0:0 means to overlayfs that nothing is there"]);
    assert_eq!(captured(folder.path(), ROOT), entries[..1]);
    let mut value = [0; 16];
    let name = "trusted.overlay.overlay.redirect";
    assert_eq!(rustix::fs::lgetxattr(folder.path().join("etc"), name, &mut value[..]), Ok(5));
    let name = "trusted.overlay.redirect";
    let marked = rustix::fs::lgetxattr(folder.path().join("etc"), name, &mut value[..]);
    assert_eq!(marked, Err(rustix::io::Errno::NODATA));
}

#[test]
fn owners_that_are_none_are_refused() {
    let mut bad = file("f", b"");
    bad.uid = u64::from(u32::MAX);
    assert_eq!(
        refused(&[bad]),
        "cannot unpack /f: it belongs to 4294967295, which is no id of a user or group"
    );
}

#[test]
fn what_comes_later_replaces() {
    let folder = tempfile::tempdir().unwrap();
    let entries = [
        entry("a", Kind::Whiteout, 0),
        entry("b", Kind::Whiteout, 0),
        dir("c"),
        dir("c/d"),
        file("c/d/e", b"lost"),
        file("a", b"new"),
        dir("b"),
        file("c", b"a file now"),
        file("a", b"newer"),
        entry("b", Kind::Whiteout, 0),
    ];
    unpack(entries, folder.path(), &[], ROOT).unwrap();
    let opaque = Entry { mtime: 0, ..entry("b", Kind::Opaque, 0) };
    assert_eq!(
        captured(folder.path(), ROOT),
        [file("a", b"newer"), dir("b"), opaque, file("c", b"a file now")]
    );
}

#[test]
fn deep_and_odd_trees_are_captured_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    let deep = vec!["d"; 600].join("/");
    let odd = EntryPath::new(b"\xff\n* ").unwrap();
    let entries = [file(&deep, b"down here"), Entry { path: odd.clone(), ..file("x", b"odd") }];
    unpack(&entries, &tree, &[], ROOT).unwrap();
    let found = captured(&tree, ROOT);
    assert_eq!(found.len(), 601);
    assert_eq!(found[599], entries[0]);
    assert_eq!(found[600].path, odd);
    remove(&tree).unwrap();
    assert!(!tree.exists());
}

#[test]
fn removing_reaches_any_depth_and_follows_no_link() {
    let folder = tempfile::tempdir().unwrap();
    let (tree, precious) = (folder.path().join("tree"), folder.path().join("precious"));
    fs::write(&precious, "").unwrap();
    fs::create_dir(&tree).unwrap();
    symlink(folder.path(), tree.join("link")).unwrap();
    // Deeper than a path can be long.
    let mut at = fs::File::open(&tree).unwrap();
    for depth in 0..500 {
        let mode = rustix::fs::Mode::from_raw_mode(if depth % 7 == 0 { 0 } else { 0o755 });
        rustix::fs::mkdirat(&at, "down-and-down", mode).unwrap();
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY;
        let next = rustix::fs::openat(&at, "down-and-down", flags, rustix::fs::Mode::empty()).unwrap();
        rustix::fs::symlinkat("..", &at, "up").unwrap();
        at = next.into();
    }
    remove(&tree).unwrap();
    assert!(!tree.exists() && precious.exists());
    remove(&tree).unwrap();
    remove(&precious).unwrap();
    assert!(!precious.exists());
}

#[test]
fn paths_that_cannot_be_opened_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut at = fs::File::open(folder.path()).unwrap();
    let name = "n".repeat(250);
    for _ in 0..20 {
        rustix::fs::mkdirat(&at, &name, rustix::fs::Mode::from_raw_mode(0o755)).unwrap();
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY;
        at = rustix::fs::openat(&at, &name, flags, rustix::fs::Mode::empty()).unwrap().into();
    }
    let error = entries(folder.path(), &[], ROOT, &CaptureOptions::default()).unwrap_err().to_string();
    assert!(error.starts_with("cannot read /nnnn") && error.ends_with("the path is too long"), "{error}");
}

fn anything() -> impl Strategy<Value = Vec<Entry>> {
    let name = || {
        let part = prop::sample::select(vec!["a", "b", "c"]);
        prop::collection::vec(part, 1..4).prop_map(|parts| path(&parts.join("/")))
    };
    let target = prop::sample::select(vec![
        "../outside",
        "../../outside",
        "..",
        "/",
        "a",
        "b/c",
        "../outside/precious",
    ]);
    let kind = prop_oneof![
        2 => Just(Kind::Directory),
        3 => any::<u8>().prop_map(|byte| Kind::File(Content::Bytes(vec![byte].into()))),
        3 => target.prop_map(|target| Kind::Symlink(target.into())),
        3 => name().prop_map(Kind::Hardlink),
        1 => Just(Kind::Whiteout),
        1 => Just(Kind::Opaque),
        1 => Just(Kind::Fifo),
        1 => Just(Kind::CharDevice { major: 0, minor: 0 }),
    ];
    prop::collection::vec((name(), kind), 0..14).prop_map(|entries| {
        let made = |(path, kind): (EntryPath, Kind)| Entry::new(path, kind, 0o644);
        entries.into_iter().map(made).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_entries_gets_out(entries in anything()) {
        let said = refused(&entries);
        prop_assert!(said.starts_with("unpacked") || said.starts_with("cannot unpack /"), "{}", said);
    }

    #[test]
    fn what_is_unpacked_stands_on_anything(lower in anything(), upper in anything()) {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        if unpack(&lower, &at("lower"), &[], ROOT).is_err() || unpack(&upper, &at("upper"), &[at("lower")], ROOT).is_err() {
            return Ok(());
        }
        let told = captured(&at("upper"), ROOT);
        unpack(&told, &at("again"), &[at("lower")], ROOT).unwrap();
        prop_assert_eq!(captured(&at("again"), ROOT), told);
        flatten(&[at("lower"), at("upper")], &at("flat"), ROOT).unwrap();
        let marks = |entry: &Entry| matches!(entry.kind, Kind::Whiteout | Kind::Opaque);
        prop_assert!(!captured(&at("flat"), ROOT).iter().any(marks));
    }
}

#[test]
fn holes_are_told_of_and_take_no_space() {
    let folder = tempfile::tempdir().unwrap();
    let (upper, changes) = (folder.path().join("upper"), folder.path().join("changes"));
    fs::create_dir(&upper).unwrap();
    fs::write(upper.join("after"), "something").unwrap();
    const SIZE: u64 = 300 << 20;
    fs::File::create(upper.join("sparse")).unwrap().set_len(SIZE).unwrap();
    let mut out = fs::File::create_new(&changes).unwrap();
    let captured = capture(&upper, &[], ROOT, &CaptureOptions::default(), &mut out).unwrap();
    assert_eq!(
        captured.warnings,
        ["/sparse takes 314 MB in the layer though most of it is holes: layers cannot hold these"]
    );
    let written = changes.metadata().unwrap();
    assert_eq!(written.len(), captured.size);
    assert!(captured.size > SIZE && written.blocks() * 512 < SIZE / 10, "{} blocks", written.blocks());
    assert_eq!(crate::oci::Digest::of(&fs::read(&changes).unwrap()), captured.diff_id);
}
