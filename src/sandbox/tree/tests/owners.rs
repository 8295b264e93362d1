//! Owners, attributes and times: of directories that a layer does not tell of, and where a file cannot have them.

use std::{fs, os::unix::fs::MetadataExt};

use super::*;

fn owned(mut entry: Entry, uid: u64, gid: u64) -> Entry {
    (entry.uid, entry.gid) = (uid, gid);
    entry
}

#[test]
fn a_directory_that_is_not_told_of_is_as_it_is_below() {
    let folder = tempfile::tempdir().unwrap();
    let (lower, upper) = (folder.path().join("lower"), folder.path().join("upper"));
    let mut tmp = owned(entry("tmp", Kind::Directory, 0o1777), 5, 6);
    tmp.xattrs.insert(b"user.note".to_vec(), b"kept".to_vec());
    let hidden = owned(entry("var", Kind::Directory, 0o700), 1, 1);
    for flavour in [ROOT, SINGLE] {
        unpack([&tmp, &hidden], &lower, &[], flavour).unwrap();
        let layer = [
            file("tmp/new/f", b""),
            entry("var/cache", Kind::Whiteout, 0),
            entry("var", Kind::Opaque, 0),
            file("var/x", b""),
        ];
        unpack(layer, &upper, std::slice::from_ref(&lower), flavour).unwrap();
        let new = Entry { mtime: 0, ..dir("tmp/new") };
        let mark = |at: &str, kind: Kind| Entry::new(path(at), kind, 0);
        let expected = [
            tmp.clone(),
            new,
            file("tmp/new/f", b""),
            hidden.clone(),
            mark("var", Kind::Opaque),
            mark("var/cache", Kind::Whiteout),
            file("var/x", b""),
        ];
        assert_eq!(captured(&upper, flavour), expected);
        remove(&lower).unwrap();
        remove(&upper).unwrap();
    }
    // Whoever unpacks knows where a link leads to; here it would be hidden.
    let links = [entry("lib", Kind::Symlink(b"usr/lib".to_vec()), 0o777)];
    unpack(links, &lower, &[], ROOT).unwrap();
    let error = unpack([file("lib/a", b"")], &upper, &[lower], ROOT).unwrap_err();
    assert_eq!(error.to_string(), "cannot unpack /lib: it is a symbolic link in the layers below");
}

#[test]
fn a_hard_link_to_a_lower_file_is_a_copy() {
    let folder = tempfile::tempdir().unwrap();
    let trees = ["a", "b", "c"].map(|name| folder.path().join(name));
    let below = owned(file("d/f", b"from below"), 7, 8);
    unpack([&below], &trees[0], &[], ROOT).unwrap();
    let link = entry("g", Kind::Hardlink(path("d/f")), 0o600);
    unpack([&link], &trees[1], &trees[..1], ROOT).unwrap();
    assert_eq!(captured(&trees[1], ROOT), [Entry { path: path("g"), ..below }]);
    let gone = entry("d/f", Kind::Whiteout, 0);
    let error = unpack([&gone, &link], &trees[2], &trees[..2], ROOT).unwrap_err();
    assert_eq!(error.to_string(), "cannot unpack /g: it is a hard link to /d/f, which is not there");
}

#[test]
fn recorded_owners_come_from_the_record_the_lower_file_or_the_step() {
    let folder = tempfile::tempdir().unwrap();
    let (lower, upper) = (folder.path().join("lower"), folder.path().join("upper"));
    let below = [
        dir("etc"),
        owned(file("etc/group", b""), 0, 0),
        owned(file("etc/shadow", b"old"), 0, 42),
        owned(entry("home", Kind::Directory, 0o755), 1000, 1000),
        owned(file("home/f", b""), 1000, 1000),
    ];
    unpack(&below, &lower, &[], SINGLE).unwrap();
    // As a step would: files rewritten, one made, one given away, a directory made anew.
    fs::create_dir_all(upper.join("etc")).unwrap();
    fs::create_dir_all(upper.join("home")).unwrap();
    for at in ["etc/group", "etc/shadow", "etc/given", "etc/mine", "home/f"] {
        fs::write(upper.join(at), "new").unwrap();
    }
    let mark = |at: &str, name: &str, value: &str| {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::lsetxattr(upper.join(at), name, value.as_bytes(), flags).unwrap();
    };
    mark("etc/given", "user.imgbuild.owner", "33:34");
    mark("home", "user.overlay.opaque", "y");
    mark("home", "user.overlay.origin", "whatever");
    let options = CaptureOptions { latest_mtime: Some(9), default_owner: (7, 7), bare_owners: None };
    let lowers = [lower];
    // The second time from what the first has recorded.
    for options in [options, CaptureOptions { default_owner: (0, 0), ..options }] {
        let (found, warnings) = entries(&upper, &lowers, SINGLE, &options).unwrap();
        assert!(warnings.is_empty());
        assert!(found.iter().all(|entry| entry.mtime <= 9 && entry.xattrs.is_empty()));
        // The tree is what the tar says: the next step stands on it.
        let times = found
            .iter()
            .map(|entry| fs::symlink_metadata(upper.join(entry.path.to_string())).unwrap().mtime());
        assert!(times.into_iter().all(|time| time <= 9));
        let owners: Vec<(String, u64, u64)> =
            found.iter().map(|entry| (entry.path.to_string(), entry.uid, entry.gid)).collect();
        let expected = [
            ("etc", 0, 0),
            ("etc/given", 33, 34),
            ("etc/group", 0, 0),
            ("etc/mine", 7, 7),
            ("etc/shadow", 0, 42),
            ("home", 7, 7),
            ("home", 0, 0),
            ("home/f", 7, 7),
        ];
        assert_eq!(owners, expected.map(|(at, uid, gid)| (at.to_owned(), uid, gid)));
    }
}

#[test]
fn capabilities_are_for_every_root() {
    let folder = tempfile::tempdir().unwrap();
    let tool = folder.path().join("tool");
    fs::write(&tool, "").unwrap();
    let v3 = [1, 0, 0, 3, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xe9, 3, 0, 0];
    rustix::fs::lsetxattr(&tool, "security.capability", &v3, rustix::fs::XattrFlags::empty()).unwrap();
    let v2 = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(captured(folder.path(), ROOT)[0].xattrs[&b"security.capability"[..]], v2);
}

#[test]
fn sockets_are_left_out_and_an_empty_tree_is_an_empty_layer() {
    let folder = tempfile::tempdir().unwrap();
    let mut out = tempfile::tempfile().unwrap();
    let none = CaptureOptions::default();
    let empty = capture(folder.path(), &[], ROOT, &none, &mut out).unwrap();
    assert_eq!((empty.size, empty.warnings.len()), (1024, 0));
    assert_eq!(empty.diff_id, crate::oci::Digest::of(&[0; 1024]));
    let sockets: Vec<_> =
        ["a", "b"].map(|at| std::os::unix::net::UnixListener::bind(folder.path().join(at)).unwrap()).into();
    let again = capture(folder.path(), &[], ROOT, &none, &mut out).unwrap();
    drop(sockets);
    assert_eq!(again.diff_id, empty.diff_id);
    assert_eq!(again.warnings, ["left out the socket /a and 1 more: a layer cannot hold it"]);
}
