use std::{io::Write, path::Path, sync::Arc};

use proptest::prelude::*;

use super::{
    archive::{ingest, ingest_as},
    error::{RootfsError, TarError},
    index::TarIndex,
    index_format,
    materialise::{damaged, load, materialise_layer, materialise_promised},
    samples::{pax_record, store, tar_of},
    view::{Found, View, read_content},
};
use crate::{
    layer::{EntryPath, Kind, Layer},
    oci::{Descriptor, Digest, media_type},
};

fn path(text: &str) -> EntryPath {
    EntryPath::new(text).unwrap()
}

fn index(members: &[(u8, &str, &str, &[u8])]) -> Result<TarIndex, TarError> {
    TarIndex::read(&tar_of(members)[..], Path::new("t"))
}

fn content(index: &Arc<TarIndex>, name: &str) -> Vec<u8> {
    match &index.get(&path(name)).unwrap().entry.kind {
        Kind::File(content) => read_content(content).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_layer_is_read_once_and_then_loaded() {
    let (_folder, store) = store();
    let tar = tar_of(&[
        (b'5', "./", "", b""),
        (b'0', "a", "", b"alpha"),
        (b'1', "b", "./a", b""),
        (b'0', "a", "", b"later"),
        (b'2', "d/s", "../a", b""),
        (b'0', "d/.wh.x", "", b""),
        (b'0', "d/.wh..wh..opq", "", b""),
        (b'0', ".wh..wh.plnk", "", b""),
        (b'6', "p", "", b""),
    ]);
    let diff_id = Digest::of(&tar);
    for (number, blob) in
        [tar.clone(), zstd::encode_all(&tar[..], 3).unwrap(), [gzip(&tar[..700]), gzip(&tar[700..])].concat()]
            .into_iter()
            .enumerate()
    {
        let _ = std::fs::remove_file(store.tar_path(&diff_id));
        let made = materialise_layer(&store, &diff_id, "layer", || Ok(&blob[..])).unwrap();
        assert_eq!(std::fs::read(store.tar_path(&diff_id)).unwrap(), tar, "{number}");
        assert_eq!(content(&made, "a"), b"later");
        assert_eq!(content(&made, "b"), b"alpha");
        let b = made.get(&path("b")).unwrap();
        assert_eq!((b.entry.mode, b.entry.uid, b.entry.gid, b.entry.mtime), (0o4644, 1, 2, 3));
        assert_eq!(b.digest, Some(Digest::of(b"alpha")));
        assert_eq!(made.whiteouts(), [path("d/x")]);
        assert_eq!(made.opaques(), [path("d")]);
        assert_eq!(made.items().len(), 4);
        assert_eq!(load(&store, &diff_id).unwrap().unwrap(), made);
    }
    let other = Digest::of(b"other");
    let wrong = materialise_layer(&store, &other, "layer", || Ok(&tar[..]));
    assert!(matches!(wrong, Err(RootfsError::DiffId { .. })));
    assert!(!store.tar_path(&other).exists());
}

#[test]
fn a_layer_is_not_unpacked_further_than_was_promised() {
    let (_folder, store) = store();
    let tar = vec![0; 4 << 20];
    let blob = zstd::encode_all(&tar[..], 3).unwrap();
    let promised = |size| Layer {
        descriptor: Descriptor::of(media_type::LAYER_ZSTD, &blob),
        diff_id: Digest::of(&tar),
        size,
    };
    let materialise = |size| materialise_promised(&store, &promised(size), "layer", || Ok(&blob[..]));
    let error = materialise(1024).unwrap_err().to_string();
    assert!(error.contains("more than 1024 bytes"), "{error}");
    assert!(!store.tar_path(&Digest::of(&tar)).exists());
    materialise(4 << 20).unwrap();
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn extensions_are_applied() {
    let long = "l".repeat(300);
    let mut pax = Vec::new();
    for (key, value) in
        [("path", long.as_bytes()), ("uid", b"3000000"), ("mtime", b"9.9"), ("SCHILY.xattr.user.k", b"\0v")]
    {
        pax.extend(pax_record(key, value));
    }
    let gnu = [b'g'; 200];
    let index = index(&[
        (b'g', "global", "", &pax_record("comment", b"c")),
        (b'x', "", "", &pax),
        (b'0', "short", "", b"1"),
        (b'L', "././@LongLink", "", &gnu),
        (b'2', "short", "t", b""),
    ])
    .unwrap();
    let entry = &index.get(&path(&long)).unwrap().entry;
    assert_eq!((entry.uid, entry.mtime), (3_000_000, 9));
    assert_eq!(entry.xattrs[&b"user.k"[..]], b"\0v");
    assert!(index.get(&EntryPath::new(gnu).unwrap()).is_some());
    assert_eq!(index.items().len(), 2);
}

/// A few blocks may tell of a hole of gigabytes: a sparse file is refused before its content is hashed, which is not
/// even here.
#[test]
fn sparse_files_that_are_not_expanded_are_not_hashed() {
    let records = [("GNU.sparse.size", "68719476736"), ("GNU.sparse.map", "0,4")];
    let records: Vec<u8> =
        records.iter().flat_map(|(key, value)| pax_record(key, value.as_bytes())).collect();
    let tar = tar_of(&[(b'x', "x", "", &records), (b'0', "a", "", b"data")]);
    let error = TarIndex::read(&tar[..3 * 512], Path::new("t")).unwrap_err();
    assert!(error.to_string().contains("sparse files"), "{error}");
}

#[test]
fn sparse_files_of_gnu_tar_are_expanded() {
    for format in ["gnu", "pax"] {
        let folder = tempfile::tempdir().unwrap();
        let file = std::fs::File::create(folder.path().join("s")).unwrap();
        use std::os::unix::fs::FileExt;
        for at in 0..9u64 {
            file.write_all_at(b"data", at << 20).unwrap();
        }
        file.set_len(10 << 20).unwrap();
        let made = std::process::Command::new("tar")
            .args(["--sparse", "--format", format, "-cf", "s.tar", "s"])
            .current_dir(folder.path())
            .status();
        if !made.is_ok_and(|status| status.success()) {
            return;
        }
        let tar = std::fs::read(folder.path().join("s.tar")).unwrap();
        assert!(tar.len() < 2 << 20, "not sparse");
        let (_store_folder, store) = store();
        let index = materialise_layer(&store, &Digest::of(&tar), "s", || Ok(&tar[..])).unwrap();
        let expected = std::fs::read(folder.path().join("s")).unwrap();
        assert!(content(&index, "s") == expected, "{format}");
        assert_eq!(index.get(&path("s")).unwrap().digest, Some(Digest::of(&expected)));
        assert!(TarIndex::read(&tar[..], Path::new("t")).is_err());
    }
}

#[test]
fn hostile_tars_are_errors() {
    let huge_metadata = vec![b'x'; (1 << 20) + 1];
    for members in [
        vec![(b'0', "../x", "", &b""[..])],
        vec![(b'0', "a/../../x", "", b"")],
        vec![(b'1', "x", "../../etc/passwd", b"")],
        vec![(b'0', "f", "", b""), (b'0', "f/x", "", b"")],
        vec![(b'2', "l", "l", b""), (b'0', "l/x", "", b"")],
        vec![(b'2', "l", "", b"")],
        vec![(b'0', ".wh.", "", b"")],
        vec![(b'0', ".wh...", "", b"")],
        vec![(b'x', "", "", &huge_metadata), (b'0', "f", "", b"")],
        vec![(b'x', "", "", b"5 a=b"), (b'0', "f", "", b"")],
        vec![(b'L', "", "", b"name")],
        vec![(b'Q', "q", "", b"")],
        vec![(b'S', "s", "", b"data")],
    ] {
        assert!(
            index(&members).is_err(),
            "{:?}",
            members.iter().map(|m| (m.0 as char, m.1)).collect::<Vec<_>>()
        );
    }
    let tar = tar_of(&[(b'0', "f", "", b"content")]);
    for end in [1, 511, 513, 515] {
        assert!(matches!(TarIndex::read(&tar[..end], Path::new("t")), Err(TarError::Truncated(_))), "{end}");
    }
    // Absolute paths are taken from the root.
    assert!(index(&[(b'0', "/a//./b", "", b"")]).unwrap().get(&path("a/b")).is_some());
}

#[test]
fn archives_of_each_kind() {
    let (_folder, store) = store();
    let tar = tar_of(&[(b'5', "d/", "", b""), (b'0', "d/f", "", b"text")]);
    let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    xz.write_all(&tar).unwrap();
    let mut bz = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bz.write_all(&tar).unwrap();
    let mut zip = ::zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let mode = |mode| ::zip::write::SimpleFileOptions::default().unix_permissions(mode);
    zip.add_directory("d/", mode(0o700)).unwrap();
    zip.start_file("d/f", mode(0o755)).unwrap();
    zip.write_all(b"text").unwrap();
    zip.add_symlink("d/l", "f", mode(0o777)).unwrap();
    let archives = [
        tar.clone(),
        gzip(&tar),
        zstd::encode_all(&tar[..], 1).unwrap(),
        xz.finish().unwrap(),
        bz.finish().unwrap(),
        zip.finish().unwrap().into_inner(),
    ];
    for archive in archives {
        let first = ingest(&store, std::io::Cursor::new(&archive), "a").unwrap();
        assert_eq!(first.key, Digest::of(&archive));
        assert_eq!(content(&first.index, "d/f"), b"text");
        assert_eq!(ingest(&store, std::io::Cursor::new(&archive), "a").unwrap().index, first.index);
        if archive.starts_with(b"PK") {
            assert_eq!(first.index.get(&path("d/l")).unwrap().entry.kind, Kind::Symlink(b"f".to_vec()));
            assert_eq!(first.index.get(&path("d/f")).unwrap().entry.mode, 0o755);
        }
    }
    for (bytes, looks) in
        [(&b""[..], "empty"), (b"#!/bin/sh\n", "script"), (b"<html>", "HTML"), (b"\x7fELF..", "ELF")]
    {
        let error = ingest(&store, std::io::Cursor::new(bytes), "a").unwrap_err().to_string();
        assert!(error.contains(looks), "{error}");
    }
    let error = ingest(&store, std::io::Cursor::new(gzip(b"hello")), "a").unwrap_err().to_string();
    assert!(error.contains("text, compressed with gzip"), "{error}");
}

#[test]
fn links_are_followed_inside_the_root() {
    let base = index(&[
        (b'5', "usr/lib", "", b""),
        (b'2', "lib", "usr/lib", b""),
        (b'2', "out", "../../../usr", b""),
        (b'2', "loop", "loop", b""),
        (b'0', "usr/lib/a", "", b""),
    ])
    .unwrap();
    let top = index(&[(b'0', "lib/b", "", b""), (b'0', "lib/.wh.a", "", b"")]).unwrap();
    let view = View::new(vec![Arc::new(base), Arc::new(top)]);
    let real = |text: &str| match view.lookup(text, true).unwrap() {
        Some(Found::Item(item)) => Some(item.entry.path.to_string()),
        Some(Found::Root) => Some("/".into()),
        None => None,
    };
    assert_eq!(real("lib/b").as_deref(), Some("usr/lib/b"));
    assert_eq!(real("/usr/lib/b").as_deref(), Some("usr/lib/b"));
    assert_eq!(real("out/lib/../../lib").as_deref(), Some("usr/lib"));
    assert_eq!(real("usr/..").as_deref(), Some("/"));
    assert_eq!(real("lib/a"), None);
    assert!(matches!(view.lookup("loop", true), Err(RootfsError::Loop { .. })));
    assert!(matches!(view.lookup("loop", false), Ok(Some(_))));
    assert_eq!(view.resolve_directory("/lib/new/x").unwrap(), Some(path("usr/lib/new/x")));
    assert!(matches!(view.resolve_directory("lib/b"), Err(RootfsError::WrongKind { .. })));
    assert_eq!(view.glob("l*/?").unwrap().unwrap(), [path("lib/b")]);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
        let _ = TarIndex::read(&bytes[..], Path::new("t"));
        let _ = index_format::decode(&bytes, &Path::new("t").into());
    }

    #[test]
    fn no_damage_panics(flips in proptest::collection::vec((0usize..3072, any::<u8>()), 1..6), fix in any::<bool>()) {
        let pax = pax_record("path", b"p");
        let mut tar = tar_of(&[(b'x', "", "", &pax), (b'0', "f", "", b"x"), (b'S', "s", "", b"y")]);
        for (at, byte) in flips {
            tar[at] = byte;
        }
        if fix {
            for block in tar.chunks_exact_mut(512) {
                let sum = format!("{:06o}\0 ", super::tar_reader::checksums(block).0);
                block[148..156].copy_from_slice(sum.as_bytes());
            }
        }
        let _ = TarIndex::read(&tar[..], Path::new("t"));
    }
}

#[test]
fn entries_at_hand_resolve_their_hard_links() {
    use super::index::Item;
    use crate::layer::{Content, Entry};
    let file = Kind::File(Content::Bytes("text".into()));
    let items = [("a", file.clone()), ("b", Kind::Hardlink(path("a"))), ("c", Kind::Hardlink(path("below")))];
    let items = items.map(|(name, kind)| Item { entry: Entry::new(path(name), kind, 0o644), digest: None });
    let index = TarIndex::of_entries(items).unwrap();
    assert_eq!(index.get(&path("b")).unwrap().entry.kind, file);
    assert_eq!(index.get(&path("c")).unwrap().entry.kind, Kind::Hardlink(path("below")));
}

#[test]
fn a_changing_archive_is_an_error() {
    let (_home, store) = store();
    let now = tar_of(&[(b'0', "f", "", b"new")]);
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("f", zip::write::SimpleFileOptions::default()).unwrap();
    for archive in [now.clone(), gzip(&now), zip.finish().unwrap().into_inner()] {
        let key = Digest::of(b"what it was before");
        let error = ingest_as(&store, std::io::Cursor::new(&archive), key, "a.tar").unwrap_err();
        assert!(matches!(error, RootfsError::Changed { .. }), "{error}");
        assert!(load(&store, &key).unwrap().is_none(), "nothing is kept");
    }
}

#[test]
fn what_is_too_long_or_too_much_is_refused() {
    let long = "a/".repeat(2049);
    let pax = |key: &str, value: &[u8]| pax_record(key, value);
    for (records, why) in [
        (pax("path", long.as_bytes()), "more than 4096 bytes"),
        (pax("linkpath", long.as_bytes()), "more than 4096 bytes"),
        (pax("SCHILY.xattr.user.x", &[b'v'; (64 << 10) + 1]), "more than 64 KiB"),
    ] {
        let error = index(&[(b'x', "", "", &records), (b'2', "l", "t", b"")]).unwrap_err().to_string();
        assert!(error.contains(why), "{}", error.split_at(error.len().min(200)).0);
    }
    // A hard link has the attributes of its file once more.
    let value = pax("SCHILY.xattr.user.x", &vec![b'v'; 64 << 10]);
    let names: Vec<String> = (0..1100).map(|number| format!("l{number}")).collect();
    let mut members: Vec<(u8, &str, &str, &[u8])> = vec![(b'x', "", "", &value), (b'0', "f", "", b"")];
    members.extend(names.iter().map(|name| (b'1', name.as_str(), "f", &b""[..])));
    let error = index(&members).unwrap_err().to_string();
    assert!(error.contains("more than 64 MiB"), "{error}");
    // Links that make a path longer and longer.
    let target = "d/".repeat(1000) + "a";
    assert!(index(&[(b'x', "", "", &pax("linkpath", target.as_bytes())), (b'2', "a", "", b"")]).is_ok());
}

#[test]
fn globs_reach_through_directories() {
    let base = index(&[
        (b'0', "app/a.so", "", b""),
        (b'0', "app/x/b.so", "", b""),
        (b'0', "app/x/y/c.so", "", b""),
        (b'0', "app/x/y/[id].ts", "", b""),
        (b'2', "app/up", "..", b""),
        (b'2', "link", "app", b""),
    ])
    .unwrap();
    let view = View::new(vec![Arc::new(base)]);
    let glob = |pattern: &str| -> Vec<String> {
        view.glob(pattern).unwrap().unwrap().iter().map(ToString::to_string).collect()
    };
    for (pattern, expected) in [
        ("app/**/*.so", &["app/a.so", "app/x/b.so", "app/x/y/c.so"][..]),
        ("**/*.so", &["app/a.so", "app/x/b.so", "app/x/y/c.so"]),
        ("/link/**/b.so", &["link/x/b.so"]),
        ("app/**", &["app/a.so", "app/up", "app/x"]),
        ("app/x/**/y", &["app/x/y"]),
        ("app/*", &["app/a.so", "app/up", "app/x"]),
        ("l*/*.so", &["link/a.so"]),
        ("*/x/[a-c].so", &["app/x/b.so", "link/x/b.so"]),
        ("app/x/y/[id].ts", &["app/x/y/[id].ts"]),
        (r"app/x/y/\[id\].ts", &["app/x/y/[id].ts"]),
        ("app/**/nothing", &[]),
    ] {
        assert_eq!(glob(pattern), expected, "{pattern}");
    }
    assert!(view.glob("app/[").unwrap().is_err());
}

#[test]
fn a_damaged_tar_is_found() {
    let (_home, store) = store();
    let archive = tar_of(&[(b'0', "d/f", "", b"text"), (b'0', "g", "", b"")]);
    let key = ingest(&store, std::io::Cursor::new(&archive), "a").unwrap().key;
    assert_eq!(damaged(&store, &key).unwrap(), None);
    let mut bytes = std::fs::read(store.tar_path(&key)).unwrap();
    bytes[512] = b'T';
    std::fs::write(store.tar_path(&key), &bytes).unwrap();
    let expected = (path("d/f"), Digest::of(b"text"), Digest::of(b"Text"));
    assert_eq!(damaged(&store, &key).unwrap(), Some(expected));
}
