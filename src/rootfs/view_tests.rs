use std::{
    collections::BTreeMap,
    os::unix::fs::{MetadataExt, symlink},
    path::Path,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use proptest::prelude::*;

use super::{
    error::RootfsError,
    extract::{ExtractOptions, extract},
    index::{Item, TarIndex},
    view::{Found, LayerSource, View, implicit},
};
use crate::{
    event::Sink,
    layer::{Content, Entry, EntryPath, Kind},
};

fn path(text: &str) -> EntryPath {
    EntryPath::new(text).unwrap()
}

type Tree = BTreeMap<EntryPath, Item>;

fn remove_below(tree: &mut Tree, path: &EntryPath, itself: bool) {
    tree.retain(|other, _| !other.starts_with(path) || (!itself && other == path));
}

fn make_directories(tree: &mut Tree, mut above: Option<EntryPath>) {
    while let Some(at) = above {
        if tree.get(&at).is_none_or(|found| found.entry.kind != Kind::Directory) {
            tree.insert(at.clone(), implicit(&at));
        }
        above = at.parent();
    }
}

/// What extracting the layers one after the other gives; no symbolic links.
fn naive(layers: &[Arc<TarIndex>]) -> Tree {
    let mut tree = Tree::new();
    for layer in layers {
        layer.opaques().iter().for_each(|path| remove_below(&mut tree, path, false));
        layer.whiteouts().iter().for_each(|path| remove_below(&mut tree, path, true));
        layer.opaques().iter().for_each(|path| make_directories(&mut tree, Some(path.clone())));
        for item in layer.items() {
            make_directories(&mut tree, item.entry.path.parent());
            let path = &item.entry.path;
            if item.entry.kind != Kind::Directory {
                remove_below(&mut tree, path, true);
            }
            tree.insert(path.clone(), item.clone());
        }
    }
    tree
}

fn any_layer() -> impl Strategy<Value = Arc<TarIndex>> {
    let path = proptest::collection::vec("[abc]", 1..4).prop_map(|parts| path(&parts.join("/")));
    let entry = (path, 0u8..6, 1u32..8);
    proptest::collection::vec(entry, 0..7).prop_map(|entries| {
        let mut kept: Vec<Item> = Vec::new();
        for (path, kind, mode) in entries {
            let kind = match kind {
                0 => Kind::Whiteout,
                1 => Kind::Opaque,
                2 | 3 => Kind::Directory,
                _ => Kind::File(Content::Bytes(Bytes::from(vec![mode as u8]))),
            };
            // A tar with an entry below a file is refused.
            let under = |file: &Item| {
                matches!(file.entry.kind, Kind::File(_))
                    && path.starts_with(&file.entry.path)
                    && path != file.entry.path
            };
            if !kept.iter().any(under) {
                kept.push(Item { entry: Entry::new(path, kind, mode), digest: None });
            }
        }
        Arc::new(TarIndex::of_entries(kept).unwrap())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn a_view_is_what_extraction_gives(layers in proptest::collection::vec(any_layer(), 1..5)) {
        let tree = naive(&layers);
        let view = View::new(layers);
        let merged = view.subtree("/").unwrap().unwrap();
        prop_assert_eq!(&merged, &tree.values().cloned().collect::<Vec<_>>());
        for a in ["a", "b", "c", "a/a", "a/b", "b/c", "a/b/c", "c/c/c", "a/a/a", "b/a/c"] {
            let expected = tree.get(&path(a)).cloned();
            let found = view.lookup(a, true).unwrap();
            prop_assert_eq!(&found, &expected.clone().map(|item| Found::Item(Box::new(item))), "{}", a);
            let below: Vec<Item> = tree.values().filter(|i| i.entry.path.starts_with(&path(a))).cloned().collect();
            prop_assert_eq!(view.subtree(a).unwrap(), expected.map(|_| below), "{}", a);
        }
    }
}

struct Counting(Vec<Arc<TarIndex>>, Arc<Mutex<Vec<usize>>>);

impl LayerSource for Counting {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn index(&self, layer: usize) -> Result<Arc<TarIndex>, RootfsError> {
        self.1.lock().unwrap().push(layer);
        Ok(self.0[layer].clone())
    }
}

fn layer(entries: Vec<(&str, Kind)>) -> Arc<TarIndex> {
    let item = |(at, kind): (&str, Kind)| Item { entry: Entry::new(path(at), kind, 0o750), digest: None };
    Arc::new(TarIndex::of_entries(entries.into_iter().map(item)).unwrap())
}

fn bytes(text: &'static str) -> Kind {
    Kind::File(Content::Bytes(text.into()))
}

#[test]
fn a_chain_is_not_as_deep_in_calls_as_it_is_long() {
    let implicit = || layer(vec![("etc/file", bytes("one more"))]);
    let view = View::new((0..2000).map(|_| implicit()).collect::<Vec<_>>());
    let look = move || view.lookup("etc/file", true).unwrap().is_some();
    let found = std::thread::Builder::new().stack_size(256 << 10).spawn(look).unwrap().join().unwrap();
    assert!(found);
}

#[test]
fn layers_are_asked_only_when_needed() {
    let base = layer(vec![("etc", Kind::Directory), ("etc/passwd", bytes("base"))]);
    let top = layer(vec![("etc", Kind::Directory), ("etc/passwd", bytes("top")), ("gone", Kind::Whiteout)]);
    let asked = Arc::default();
    let view = View::new(Counting(vec![base, top], Arc::clone(&asked)));
    assert_eq!(view.read("etc/passwd", 10).unwrap().unwrap(), b"top");
    assert!(view.lookup("gone", true).unwrap().is_none());
    assert_eq!(*asked.lock().unwrap(), [1]);
    assert!(matches!(view.read("etc/passwd", 2), Err(RootfsError::TooLarge { .. })));
    assert!(matches!(view.read("etc", 2), Err(RootfsError::WrongKind { .. })));
    assert!(view.read("etc/group", 2).unwrap().is_none());
    assert_eq!(*asked.lock().unwrap(), [1, 0]);
}

fn entry(at: &str, kind: Kind, mode: u32) -> Entry {
    Entry { mtime: 7, uid: 12, gid: 34, ..Entry::new(path(at), kind, mode) }
}

#[test]
fn extraction_writes_the_tree_and_can_do_so_again() {
    let folder = tempfile::tempdir().unwrap();
    let dest = folder.path().join("out");
    let mut file = entry("d/f", bytes("text"), 0o4750);
    file.xattrs.insert(b"user.k".to_vec(), b"v".to_vec());
    let entries = [
        entry("d", Kind::Directory, 0o555),
        file,
        entry("d/h", Kind::Hardlink(path("d/f")), 0o4750),
        entry("d/s", Kind::Symlink(b"/etc/passwd".to_vec()), 0o777),
        entry("new/p", Kind::Fifo, 0o600),
    ];
    let options = ExtractOptions::new(Sink::silent());
    for _ in 0..2 {
        extract(&entries, &dest, &options).unwrap();
        let stat = dest.join("d/f").metadata().unwrap();
        assert_eq!((stat.mode() & 0o7777, stat.mtime(), stat.nlink()), (0o4750, 7, 2));
        let directory = dest.join("d").metadata().unwrap();
        assert_eq!((directory.mode() & 0o7777, directory.mtime()), (0o555, 7));
        if options.as_root {
            assert_eq!((stat.uid(), stat.gid()), (12, 34));
        }
        assert_eq!(std::fs::read_link(dest.join("d/s")).unwrap(), Path::new("/etc/passwd"));
    }
    // What is there is replaced, whatever it is.
    extract(&[entry("d", bytes("file"), 0o600)], &dest, &options).unwrap();
    assert_eq!(std::fs::read(dest.join("d")).unwrap(), b"file");
}

#[test]
fn extraction_does_not_leave_the_directory() {
    let folder = tempfile::tempdir().unwrap();
    let (dest, outside) = (folder.path().join("out"), folder.path().join("outside"));
    std::fs::create_dir_all(&dest).unwrap();
    std::fs::create_dir_all(&outside).unwrap();
    std::fs::write(outside.join("keep"), "keep").unwrap();
    let options = ExtractOptions::new(Sink::silent());
    let through = [
        entry("l", Kind::Symlink(outside.as_os_str().as_encoded_bytes().to_vec()), 0o777),
        entry("l/f", bytes("bad"), 0o600),
    ];
    assert!(extract(&through, &dest, &options).is_err());
    let linked = [entry("h", Kind::Hardlink(path("l/keep")), 0o600)];
    assert!(extract(&linked, &dest, &options).is_err());
    assert!(!outside.join("f").exists());
    // Somebody's link where a file or a directory is to be is replaced, not followed.
    symlink(outside.join("keep"), dest.join("k")).unwrap();
    let replaced = [
        entry("k", bytes("new"), 0o600),
        entry("l", Kind::Directory, 0o755),
        entry("l/f", bytes("in"), 0o600),
    ];
    extract(&replaced, &dest, &options).unwrap();
    assert_eq!(std::fs::read_to_string(outside.join("keep")).unwrap(), "keep");
    assert_eq!(std::fs::read_to_string(dest.join("l/f")).unwrap(), "in");
    assert!(!outside.join("f").exists());
}

#[test]
fn hard_links_stay_links_when_flattened() {
    let range =
        |offset| Kind::File(Content::Range { file: Path::new("t").into(), offset, size: 1, digest: None });
    let base = layer(vec![("a", range(512)), ("b", range(512)), ("z", range(2048))]);
    let top = layer(vec![("c", Kind::Hardlink(path("b"))), ("a", Kind::Whiteout)]);
    let entries = View::new(vec![base.clone(), top]).flatten().unwrap();
    let kinds: Vec<_> = entries.iter().map(|entry| (entry.path.to_string(), entry.kind.clone())).collect();
    let expected = [("b", range(512)), ("c", Kind::Hardlink(path("b"))), ("z", range(2048))];
    assert_eq!(kinds, expected.map(|(name, kind)| (name.to_owned(), kind)));
    let broken = layer(vec![("c", Kind::Hardlink(path("nothing")))]);
    assert!(matches!(View::new(vec![base, broken]).flatten(), Err(RootfsError::NotFound { .. })));
}
