use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::layer::{Content, EntryPath, FileStat};

fn entry(path: &str, kind: Kind) -> Entry {
    Entry::new(EntryPath::new(path).unwrap(), kind, 0o644)
}

/// A file of so many bytes, which nobody reads.
fn file(path: &str, size: u64) -> Entry {
    let stat = FileStat { size, ..FileStat::default() };
    entry(path, Kind::File(Content::File { path: path.into(), stat, digest: None }))
}

/// Sorted, with the directories that lead to each.
fn layer(entries: impl IntoIterator<Item = Entry>) -> Vec<Entry> {
    let mut all: BTreeMap<(EntryPath, bool), Entry> = BTreeMap::new();
    for entry in entries {
        let mut parent = entry.path.parent();
        while let Some(path) = parent {
            parent = path.parent();
            all.insert((path.clone(), false), Entry::new(path, Kind::Directory, 0o755));
        }
        all.insert((entry.path.clone(), entry.kind == Kind::Opaque), entry);
    }
    all.into_values().collect()
}

/// Packages as a program's dependencies have them: 300 directories of 1 to 40 files, some with directories of their own.
fn packages() -> Vec<Entry> {
    let files = (0..300_u64).flat_map(|package| {
        (0..1 + package * 7 % 40).map(move |number| match number % 3 {
            0 => file(&format!("app/modules/p{package}/f{number}"), number * 1000),
            _ => file(&format!("app/modules/p{package}/lib/f{number}"), number * 3000),
        })
    });
    layer(files)
}

/// The part of each entry that is no directory.
fn places<'a>(parts: &[Part<'a>]) -> BTreeMap<&'a EntryPath, usize> {
    let entries = parts.iter().flat_map(|part| part.entries.iter().map(|entry| (part.number, *entry)));
    let files = entries.filter(|(_, entry)| entry.kind != Kind::Directory);
    files.map(|(number, entry)| (&entry.path, number)).collect()
}

/// What holds of the parts of any layer.
fn check(entries: &[Entry], most: u8, parts: &[Part<'_>]) {
    assert!((1..=usize::from(most)).contains(&parts.len()), "{} parts", parts.len());
    let mut seen: BTreeSet<(&EntryPath, bool)> = BTreeSet::new();
    for (at, part) in parts.iter().enumerate() {
        assert!(!part.entries.is_empty() || entries.is_empty());
        assert!(
            part.number < usize::from(most) && parts[..at].iter().all(|other| other.number < part.number)
        );
        assert!(part.entries.is_sorted_by(|a, b| a.path <= b.path));
        let mut within: BTreeSet<&EntryPath> = BTreeSet::new();
        for entry in &part.entries {
            // What leads to it is in front of it, and so is what it is a name of.
            assert!(entry.path.parent().is_none_or(|parent| within.contains(&parent)), "{}", entry.path);
            if let Kind::Hardlink(target) = &entry.kind {
                assert!(within.contains(target), "{}", entry.path);
            }
            if matches!(entry.kind, Kind::Whiteout | Kind::Opaque) {
                assert_eq!(at, 0, "{}", entry.path);
            }
            within.insert(&entry.path);
            let new = seen.insert((&entry.path, entry.kind == Kind::Opaque));
            assert!(new || entry.kind == Kind::Directory, "{} is there twice", entry.path);
        }
    }
    // All of them, each as it was.
    let union: BTreeMap<_, _> = parts
        .iter()
        .flat_map(|part| &part.entries)
        .map(|entry| ((&entry.path, entry.kind == Kind::Opaque), *entry))
        .collect();
    let expected: BTreeMap<_, _> =
        entries.iter().map(|entry| ((&entry.path, entry.kind == Kind::Opaque), entry)).collect();
    assert_eq!(union, expected);
}

#[test]
fn a_large_tree_is_parted_evenly_and_packages_stay_whole() {
    let entries = packages();
    for most in [2, 4, 8, 16] {
        let parts = split(&entries, most);
        check(&entries, most, &parts);
        assert_eq!(parts.len(), usize::from(most));
        let even = places(&parts).len() / usize::from(most);
        for part in &parts {
            let files = part.entries.iter().filter(|entry| entry.kind != Kind::Directory).count();
            assert!((even / 3..even * 3).contains(&files), "{files} of {even} are in one of {most}");
        }
        let mut packages: BTreeMap<&[u8], BTreeSet<usize>> = BTreeMap::new();
        for (path, part) in places(&parts) {
            let package = path.as_bytes().split(|b| *b == b'/').nth(2).unwrap();
            packages.entry(package).or_default().insert(part);
        }
        assert!(packages.len() == 300 && packages.values().all(|parts| parts.len() == 1), "{packages:?}");
    }
}

#[test]
fn what_is_small_or_not_to_be_parted_is_one() {
    let small = layer((0..20).map(|number| file(&format!("d{number}/f"), 10)));
    for (entries, most) in [(&small, 8), (&packages(), 1), (&Vec::new(), 8)] {
        let parts = split(entries, most);
        check(entries, most.max(1), &parts);
        assert_eq!(parts.len(), 1);
    }
}

#[test]
fn large_files_of_one_directory_are_parted() {
    let entries = layer((0..20).map(|number| file(&format!("models/m{number}"), 1 << 30)));
    let parts = split(&entries, 4);
    check(&entries, 4, &parts);
    assert_eq!(parts.len(), 4);
}

#[test]
fn what_is_taken_away_goes_first_and_links_stay_with_their_files() {
    let mut entries = packages();
    let target = |path: &str| Kind::Hardlink(EntryPath::new(path).unwrap());
    entries.extend((0..100).map(|number| entry(&format!("z/d{number}/link"), target("app/modules/p3/f0"))));
    entries.extend((0..100).map(|number| entry(&format!("app/modules/p{number}/gone"), Kind::Whiteout)));
    entries.push(entry("app/modules/p7", Kind::Opaque));
    let entries = layer(entries);
    for most in [2, 8, MOST_PARTS] {
        check(&entries, most, &split(&entries, most));
    }
}

/// A file is changed, added or removed: how many parts are new?
#[test]
fn one_file_changes_one_part() {
    let entries = packages();
    let before = split(&entries, 8);
    for number in [0, 17, 1111, entries.len() - 1] {
        let mut changed = entries.clone();
        let at =
            (number..changed.len()).chain(0..number).find(|at| changed[*at].kind != Kind::Directory).unwrap();
        changed[at].mtime += 1;
        let size = match &changed[at].kind {
            Kind::File(content) => content.size(),
            _ => 0,
        };
        let path = changed[at].path.to_string();
        changed[at] = file(&path, size + size / 100 + 1);
        let added = layer(entries.iter().cloned().chain([file(&format!("{path}-new"), 10)]));
        let removed: Vec<_> =
            entries.iter().filter(|entry| entry.path.to_string() != path).cloned().collect();
        for changed in [changed, added, removed] {
            let after = split(&changed, 8);
            let other = after.iter().filter(|part| !before.contains(part)).count();
            assert_eq!((after.len(), other), (before.len(), 1), "{path}");
        }
    }
}

#[test]
fn the_same_entries_are_parted_the_same_everywhere() {
    // Other numbers than these would send every layer of every user anew.
    let numbers = ["", "app", "app/modules/p1", "usr/lib"].map(|path| part_of(path.as_bytes(), 8));
    assert_eq!(numbers, [4, 3, 0, 1]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn parts_are_the_layer(
        files in prop::collection::btree_map("[a-d](/[a-e]{1,2}){0,4}", (0_u64..1 << 26, 0_u8..8), 1..400),
        most in 0_u8..=255,
    ) {
        let paths: Vec<&String> = files.keys().collect();
        // No file is a directory, too.
        let is_directory = |path: &str| paths.iter().any(|other| other.starts_with(&format!("{path}/")));
        let mut first: Option<&str> = None;
        let mut entries = Vec::new();
        for (path, (size, kind)) in &files {
            if is_directory(path) {
                if *kind == 0 {
                    entries.push(entry(path, Kind::Opaque));
                }
                continue;
            }
            entries.push(match (kind, first) {
                (0, _) => entry(path, Kind::Whiteout),
                (1, _) => entry(path, Kind::Directory),
                (2, _) => entry(path, Kind::Symlink(b"x".to_vec())),
                (3, Some(first)) => entry(path, Kind::Hardlink(EntryPath::new(first).unwrap())),
                _ => {
                    first = Some(path);
                    file(path, *size)
                }
            });
        }
        let entries = layer(entries);
        check(&entries, most.clamp(1, MOST_PARTS), &split(&entries, most));
    }
}
