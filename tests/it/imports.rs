//! The floors of the house: a room imports from floors below its own, never from above.
//!
//! Every path of the source that starts at `crate::` counts, in `use` lines and in code, tests included: a test that
//! needs a higher floor belongs on that floor, or here.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The floors, lowest first. `docs/architecture.md` says what lives in each room.
const FLOORS: [&[&str]; 7] = [
    &["oci", "event", "error", "source"],
    &["context", "layer", "store", "registry", "tags", "lock"],
    &["rootfs", "remote", "sandbox", "cache"],
    &["recipe", "graph", "solve", "image", "output"],
    &["spec", "dockerfile"],
    &["report", "convert", "release"],
    &["cli", "settings"],
];

/// Who may import a room of its own floor. Floor 0 is one family and needs no list.
const SIDEWAYS: [(&str, &[&str]); 10] = [
    ("remote", &["rootfs"]),
    ("sandbox", &["rootfs"]),
    ("context", &["layer", "store"]),
    ("layer", &["store"]),
    ("registry", &["store"]),
    ("graph", &["recipe"]),
    ("solve", &["graph", "recipe", "image"]),
    ("image", &["recipe"]),
    ("output", &["image"]),
    ("cli", &["settings"]),
];

#[test]
fn imports_go_down_only() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut faults = Vec::new();
    for file in rust_files(&source) {
        let path = file.strip_prefix(&source).expect("listed below src");
        let text = fs::read_to_string(&file).expect("a source file is readable");
        faults.extend(check(path, &text));
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn every_room_has_a_floor() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let declared: BTreeSet<String> = fs::read_to_string(root.join("lib.rs"))
        .expect("src/lib.rs is readable")
        .lines()
        .filter_map(|line| Some(line.strip_prefix("pub mod ")?.strip_suffix(';')?.to_owned()))
        .collect();
    let known: BTreeSet<String> =
        FLOORS.iter().flat_map(|rooms| rooms.iter().map(|r| (*r).to_owned())).collect();
    assert_eq!(declared, known, "the rooms of src/lib.rs and the floors of this test differ");
}

#[test]
fn finds_what_it_looks_for() {
    let cases = [
        ("solve/run.rs", "use crate::layer::Layer;", None),
        ("oci/mod.rs", "use crate::error::Kind;", None),
        ("layer/a.rs", "use crate::layer::entry::Entry;", None),
        ("cli/build.rs", "use crate::{settings::Settings, solve::{self, Solver}};", None),
        (
            "layer/a.rs",
            "use crate::solve::Op;",
            Some("layer/a.rs:1: `layer` (floor 1) imports `solve` (floor 3) above it"),
        ),
        (
            "layer/a.rs",
            "\nfn f() -> crate::spec::Spec {}",
            Some("layer/a.rs:2: `layer` (floor 1) imports `spec` (floor 4) above it"),
        ),
        (
            "oci/a.rs",
            "use crate::{\n  oci::Digest,\n  store::{Store, nested::cli},\n};",
            Some("oci/a.rs:1: `oci` (floor 0) imports `store` (floor 1) above it"),
        ),
        (
            "store/a.rs",
            "use crate::layer::Entry;",
            Some("store/a.rs:1: `store` imports `layer` beside it, which is not in the list"),
        ),
        ("store/a.rs", "use crate::utils::x;", Some("store/a.rs:1: `utils` is no room")),
        ("loft/a.rs", "", Some("loft/a.rs: `loft` is no room")),
        ("store/a.rs", "// use crate::layer::Entry;\n/// [`crate::cli`]", None),
        ("store/a.rs", "let s = \"https://x/y\"; pub(crate) fn f() {}", None),
    ];
    for (path, text, want) in cases {
        assert_eq!(check(Path::new(path), text).first().map(String::as_str), want, "{path}: {text}");
    }
}

/// What is wrong with one file, given its path below `src`.
fn check(path: &Path, text: &str) -> Vec<String> {
    let at = path.display();
    let Some(room) = room_of(path) else { return Vec::new() };
    let floors = floors();
    let Some(&floor) = floors.get(room.as_str()) else { return vec![format!("{at}: `{room}` is no room")] };

    let mut faults = Vec::new();
    for (line, target) in imports(&without_comments(text)) {
        match floors.get(target.as_str()) {
            None => faults.push(format!("{at}:{line}: `{target}` is no room")),
            Some(&of) if of > floor => {
                faults.push(format!(
                    "{at}:{line}: `{room}` (floor {floor}) imports `{target}` (floor {of}) above it"
                ));
            }
            Some(&of) if of == floor && floor > 0 && target != room && !sideways(&room, &target) => {
                faults.push(format!(
                    "{at}:{line}: `{room}` imports `{target}` beside it, which is not in the list"
                ));
            }
            Some(_) => {}
        }
    }
    faults
}

fn floors() -> BTreeMap<&'static str, usize> {
    FLOORS
        .iter()
        .enumerate()
        .flat_map(|(floor, rooms)| rooms.iter().map(move |room| (*room, floor)))
        .collect()
}

fn sideways(room: &str, target: &str) -> bool {
    SIDEWAYS.iter().any(|(from, to)| *from == room && to.contains(&target))
}

/// The room that a file belongs to; `None` for `lib.rs` and `main.rs`, which stand before the door.
fn room_of(path: &Path) -> Option<String> {
    let first = Path::new(path.components().next()?.as_os_str());
    match first.to_str()? {
        "lib.rs" | "main.rs" => None,
        _ => Some(first.file_stem()?.to_str()?.to_owned()),
    }
}

/// The same text with line comments (documentation too) blanked: they may name what they like.
fn without_comments(text: &str) -> String {
    text.lines()
        .map(|line| if line.trim_start().starts_with("//") { "" } else { line })
        .collect::<Vec<_>>()
        .join("\n")
}

/// Each `crate::room` of a text, and each room of a `crate::{…}` group, with the line that it starts on.
fn imports(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        if text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let line = 1 + text[..at].matches('\n').count();
        let rest = &text[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(heads(group).into_iter().map(|head| (line, head))),
            None => found.extend(identifier(rest).map(|head| (line, head))),
        }
    }
    found
}

/// The first names of the paths in a group, whose opening brace is already gone.
fn heads(group: &str) -> Vec<String> {
    let (mut depth, mut start, mut heads) = (1, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && c == ',') {
            heads.extend(identifier(group[start..at].trim_start()));
            start = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    heads
}

fn identifier(text: &str) -> Option<String> {
    let name: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).expect("a source directory is readable") {
        let path = entry.expect("a directory entry is readable").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}
