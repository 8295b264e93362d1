use std::{path::Path, sync::Arc};

use proptest::prelude::*;

use super::{
    SharedMounts,
    import::{Imported, fits},
    layers::linked,
    merged::Merged,
    plan::{Plan, difference},
};
use crate::{
    cache::Snapshot,
    layer::{Content, Entry, EntryPath, FileStat, Kind, Layer},
    oci::{Descriptor, Digest, media_type},
    rootfs::{Item, TarIndex},
};

fn at(path: &str) -> EntryPath {
    EntryPath::new(path).unwrap()
}

/// A file of a tar, whose content is told by a number.
fn file(path: &str, content: u64) -> Item {
    let digest = Some(Digest::of(&content.to_le_bytes()));
    let range = Content::Range { file: Path::new("/tar").into(), offset: content << 20, size: 1000, digest };
    Item { entry: Entry::new(at(path), Kind::File(range), 0o644), digest }
}

fn directory(path: &str) -> Item {
    Item { entry: Entry::new(at(path), Kind::Directory, 0o755), digest: None }
}

fn link(path: &str, target: u64) -> Item {
    let kind = Kind::Symlink(target.to_string().into_bytes());
    Item { entry: Entry::new(at(path), kind, 0o777), digest: None }
}

fn index(items: impl IntoIterator<Item = Item>) -> TarIndex {
    TarIndex::of_entries(items).unwrap()
}

fn layer_of(entries: Vec<Entry>) -> TarIndex {
    index(entries.into_iter().map(|entry| {
        let digest = match &entry.kind {
            Kind::File(Content::Range { digest, .. }) => *digest,
            _ => None,
        };
        Item { entry, digest }
    }))
}

fn entries(merged: &Merged) -> Vec<Entry> {
    merged.0.values().map(|item| item.entry.clone()).collect()
}

/// What a directory may hold: everything in directories that are there.
fn tree() -> impl Strategy<Value = Merged> {
    let item = ("[a-c](/[a-c]){0,2}", 0u8..3, 0u64..6);
    proptest::collection::vec(item, 0..14).prop_map(|items| {
        let mut tree = Merged::default();
        for (path, kind, number) in items {
            let path = at(&path);
            let mut parent = path.parent();
            let mut fits = !tree.0.contains_key(&path);
            let mut missing = Vec::new();
            while let Some(above) = parent {
                match tree.get(&above) {
                    Some(found) => fits &= found.entry.kind == Kind::Directory,
                    None => missing.push(above.clone()),
                }
                parent = above.parent();
            }
            if !fits {
                continue;
            }
            for above in missing {
                tree.0.insert(above.clone(), directory(&above.to_string()));
            }
            let text = path.to_string();
            let item = match kind {
                0 => file(&text, number),
                1 => link(&text, number),
                _ => directory(&text),
            };
            tree.0.insert(path, item);
        }
        tree
    })
}

proptest! {
    #[test]
    fn a_difference_on_top_gives_what_was_wanted(old in tree(), new in tree(), newer in tree()) {
        let base = index(old.0.values().cloned());
        let first = layer_of(difference(&old, &new, true));
        let both = Merged::of([&base, &first]);
        prop_assert_eq!(entries(&both), entries(&new));
        let second = layer_of(difference(&both, &newer, true));
        prop_assert_eq!(entries(&Merged::of([&base, &first, &second])), entries(&newer));
        prop_assert!(difference(&new, &new, true).is_empty());
    }
}

#[test]
fn what_others_added_stays_and_what_steps_removed_goes() {
    let begun =
        Merged::of([&index([directory("d"), file("d/kept", 1), file("d/removed", 2), file("gone", 3)])]);
    let layer = Layer {
        descriptor: Descriptor::new(media_type::LAYER_ZSTD, Digest::of(b"x"), 10),
        diff_id: Digest::of(b"y"),
        size: 1024,
    };
    let snapshot = Snapshot { key: Digest::of(b"key"), made: 0, layers: vec![layer] };
    let imported = Imported { snapshot, merged: Arc::new(begun.clone()), made: ((10, 0), (20, 0)) };
    // Another job has added a file, and one in a directory that is a file here.
    let mut base = begun.clone();
    for item in [file("d/theirs", 4), directory("x"), file("x/theirs", 5)] {
        base.0.insert(item.entry.path.clone(), item);
    }
    let listed = |path: &str, ctime: i64| {
        let stat = FileStat { size: 1000, ctime: (ctime, 0), ..FileStat::default() };
        let content = Content::File { path: "/nowhere".into(), stat, digest: None };
        Entry::new(at(path), Kind::File(content), 0o644)
    };
    let here = vec![
        directory("d").entry,
        listed("d/kept", 15),
        listed("d/new", 30),
        listed("d/touched", 5),
        listed("x", 30),
        Entry::new(at("pipe"), Kind::Fifo, 0o644),
        Entry::new(at("device"), Kind::CharDevice { major: 1, minor: 3 }, 0o666),
        Entry::new(at("hidden"), Kind::Whiteout, 0),
    ];
    let plan = Plan::new(here, Some(Arc::new(imported)));
    let unsure: Vec<String> = plan.unsure().iter().map(|entry| entry.path.to_string()).collect();
    assert_eq!(unsure, ["d/new", "d/touched", "x"], "all but the one that the kernel has not changed since");
    let packed = index([file("d/new", 6), file("d/touched", 7), file("x", 8)]);
    let all = plan.complete(Some(&packed), &base);
    let paths: Vec<String> = all.paths().map(ToString::to_string).collect();
    assert_eq!(paths, ["d", "d/kept", "d/new", "d/theirs", "d/touched", "x"]);
    let told: Vec<(String, bool)> = difference(&base, &all, true)
        .iter()
        .map(|entry| (entry.path.to_string(), entry.kind == Kind::Whiteout))
        .collect();
    let expected =
        [("d/new", false), ("d/removed", true), ("d/touched", false), ("gone", true), ("x", false)];
    assert_eq!(told, expected.map(|(path, gone)| (path.to_owned(), gone)));
}

#[test]
fn nothing_dangerous_comes_from_a_cache() {
    let mut program = file("program", 1);
    program.entry.mode = 0o6755;
    program.entry.xattrs.insert(b"security.capability".to_vec(), vec![1]);
    let device = Item {
        entry: Entry::new(at("device"), Kind::BlockDevice { major: 8, minor: 0 }, 0o666),
        digest: None,
    };
    let lost = Item { entry: Entry::new(at("lost"), Kind::Hardlink(at("nothing")), 0o644), digest: None };
    let up = link("../../up", 1);
    let merged = Merged::of([&index([program, device, lost, up])]);
    let found = entries(&merged);
    assert_eq!(found.iter().map(|entry| entry.path.to_string()).collect::<Vec<_>>(), ["program", "up"]);
    assert_eq!((found[0].mode, found[0].xattrs.len()), (0o755, 0));
}

#[test]
fn names_of_one_file_are_links_again() {
    let file = |path| file(path, 1).entry;
    let linked = linked(vec![file("a"), file("b"), self::file("c", 2).entry]);
    assert_eq!(linked[1].kind, Kind::Hardlink(at("a")));
    assert!(matches!((&linked[0].kind, &linked[2].kind), (Kind::File(_), Kind::File(_))));
}

#[test]
fn snapshots_that_are_too_large_are_left_alone() {
    let shared = SharedMounts { max_size: 1 << 20, ..SharedMounts::NONE };
    let layer = |size| Layer {
        descriptor: Descriptor::new(media_type::LAYER_ZSTD, Digest::of(b"x"), 10),
        diff_id: Digest::of(b"y"),
        size,
    };
    let snapshot = |sizes: &[u64]| Snapshot {
        key: Digest::of(b"key"),
        made: 0,
        layers: sizes.iter().map(|size| layer(*size)).collect(),
    };
    assert!(fits(&snapshot(&[1 << 20, 1 << 20]), shared));
    assert!(!fits(&snapshot(&[3 << 20, 1]), shared));
    assert!(!fits(&snapshot(&[u64::MAX, u64::MAX]), shared));
}
