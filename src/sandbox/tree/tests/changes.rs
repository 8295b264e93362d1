//! Any changes to any tree come through a layer as they were made.

use proptest::prelude::*;

use super::{overlay::same_in_overlay, *};

/// Few names, so that things happen to the same ones.
fn place() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4).prop_map(|parts| parts.join("/"))
}

fn tree() -> impl Strategy<Value = Vec<Entry>> {
    let kind = prop_oneof![
        3 => Just(Kind::Directory),
        4 => any::<Vec<u8>>().prop_map(|bytes| Kind::File(Content::Bytes(bytes.into()))),
        1 => Just(Kind::Symlink(b"a/b".to_vec())),
        1 => Just(Kind::Fifo),
    ];
    let owner = prop_oneof![2 => Just((0u64, 0u64)), 1 => Just((1000, 33))];
    let mode = prop::sample::select(vec![0o755, 0o644, 0o4755, 0o1777, 0o600]);
    prop::collection::btree_map(place(), (kind, owner, mode), 0..9).prop_map(|map| {
        let mut entries: Vec<Entry> = map
            .into_iter()
            .map(|(at, (kind, (uid, gid), mode))| {
                let (mode, owner) =
                    if matches!(kind, Kind::Symlink(_)) { (0o777, (0, 0)) } else { (mode, (uid, gid)) };
                Entry { uid: owner.0, gid: owner.1, ..entry(&at, kind, mode) }
            })
            .collect();
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        // Nothing lies below what is no directory.
        let mut solid: Vec<EntryPath> = Vec::new();
        entries.retain(|entry| {
            let free = !solid.iter().any(|above| entry.path.starts_with(above));
            if free && entry.kind != Kind::Directory {
                solid.push(entry.path.clone());
            }
            free
        });
        entries
    })
}

/// A line of shell each. Some fail, in both places alike.
fn changes() -> impl Strategy<Value = String> {
    let change = (0..9, place(), place()).prop_map(|(which, one, two)| match which {
        0 => format!("rm -rf {one};"),
        1 => format!("mkdir -p {one};"),
        2 => format!("[ -p {one} ] || echo {two} > {one};"),
        3 => format!("[ -p {one} ] || echo more >> {one};"),
        4 => format!("mv {one} {two};"),
        5 => format!("[ -L {one} ] || ln {one} {two};"),
        6 => format!("ln -s {one} {two};"),
        7 => format!("[ -L {one} ] || chmod 751 {one};"),
        _ => format!("rm -rf {one}; mkdir {one}; echo new > {one}/n;"),
    });
    prop::collection::vec(change, 0..8).prop_map(|lines| lines.join("\n"))
}

/// What is left of a tree when times and the names of one file do not count.
fn essence(entries: Vec<Entry>) -> Vec<Entry> {
    let mut files = std::collections::HashMap::new();
    let mut out = Vec::new();
    for mut entry in entries {
        if let Kind::Hardlink(target) = &entry.kind {
            let first: &Entry = &files[target];
            entry = Entry { path: entry.path, ..first.clone() };
        }
        entry.mtime = 0;
        files.insert(entry.path.clone(), entry.clone());
        out.push(entry);
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn trees_come_back(lower in tree()) {
        for flavour in [ROOT, SINGLE] {
            let folder = tempfile::tempdir().unwrap();
            let at = |name: &str| folder.path().join(name);
            unpack(&lower, &at("lower"), &[], flavour).unwrap();
            let told = captured(&at("lower"), flavour);
            unpack(&told, &at("again"), &[], flavour).unwrap();
            prop_assert_eq!(&captured(&at("again"), flavour), &told);
            let mut found = told;
            // Directories that nobody told of come on top.
            found.retain(|entry| lower.iter().any(|told| told.path == entry.path));
            let mut expected = lower.clone();
            if flavour == SINGLE {
                // Pipes cannot have a record.
                for entry in expected.iter_mut().filter(|entry| entry.kind == Kind::Fifo) {
                    (entry.uid, entry.gid) = (0, 0);
                }
            }
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn changes_are_found_by_looking(lower in tree(), script in changes()) {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        unpack(&lower, &at("lower"), &[], USER).unwrap();
        flatten(&[at("lower")], &at("flat"), USER).unwrap();
        let before = snapshot(&at("flat")).unwrap();
        let run = std::process::Command::new("sh").args(["-c", &script]).current_dir(at("flat")).output();
        run.unwrap();
        compare(&before, &at("flat"), &at("upper"), USER).unwrap();
        flatten(&[at("lower"), at("upper")], &at("found"), USER).unwrap();
        let expected = essence(captured(&at("flat"), USER));
        prop_assert_eq!(essence(captured(&at("found"), USER)), expected, "{}", script);
        if script.is_empty() {
            prop_assert_eq!(captured(&at("upper"), USER), vec![]);
        }
    }

    #[test]
    fn overlayfs_and_a_plain_directory_agree(lower in tree(), script in changes()) {
        // A directory of the layer below cannot be renamed on overlayfs; `mv` then copies, which breaks hard links.
        if let Some((found, expected)) = same_in_overlay(&lower, &script) {
            prop_assert_eq!(essence(found), essence(expected), "{}", script);
        }
    }
}
