//! Tests of the room.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    sync::{Arc, Mutex},
};

use proptest::prelude::*;

use super::{fingerprint::digest, *};
use crate::{
    event::{Event, Sink},
    store::Store,
};

#[test]
fn ignores_as_docker_does() {
    // Content of the ignore file; paths it ignores; paths it does not.
    let table: &[(&str, &[&str], &[&str])] = &[
        ("", &[], &["a"]),
        ("# comment\n#a\n\n", &[], &["a", "#a"]),
        (" #a\n", &["#a"], &["a"]),
        ("\u{feff}a\r\nb\r\n", &["a", "b"], &["c"]),
        ("*/temp*", &["x/temporary.txt", "x/temp/y"], &["temp", "a/b/temp"]),
        ("*/*/temp*", &["x/y/temporary.txt"], &["x/temp"]),
        ("temp?", &["tempa", "tempb/x"], &["temp", "tempab", "x/tempa"]),
        ("*.md\n!README.md", &["a.md"], &["README.md", "x/a.md"]),
        ("*.md\n!README*.md\nREADME-secret.md", &["a.md", "README-secret.md"], &["README.md"]),
        ("*.md\nREADME-secret.md\n!README*.md", &["a.md"], &["README.md", "README-secret.md"]),
        ("**/*.go", &["a.go", "x/a.go", "x/y/a.go"], &["a.gox"]),
        ("**", &["a", "a/b"], &[]),
        ("**/", &["a", "a/b"], &[]),
        ("a/**", &["a/b", "a/b/c"], &["a", "ab"]),
        ("a/**/b", &["a/b", "a/x/b", "a/x/y/b", "a/b/c"], &["a", "ab", "a/xb"]),
        ("a**", &["a", "ab", "ab/c"], &["b/a"]),
        ("a**b", &["ab", "ax/b"], &["axb"]),
        ("**foo", &["foo", "xfoo", "x/yfoo"], &["foox"]),
        ("**foo*", &["foox", "x/foox"], &["xfoo"]),
        ("*\n!src", &["a", "b/c"], &["src", "src/a/b"]),
        ("*\n!src/a", &["src", "src/b"], &["src/a", "src/a/c"]),
        ("foo\n!foo/x\nfoo", &["foo", "foo/x"], &["x"]),
        ("/a", &["a", "a/b"], &["x/a"]),
        ("a/", &["a", "a/b"], &["x/a"]),
        ("  a  ", &["a"], &["  a  "]),
        ("./a/../b", &["b"], &["a"]),
        ("../a", &[], &["a"]),
        ("/../a", &["a"], &[]),
        (".", &[], &["a", "a/b"]),
        ("/", &[], &["a"]),
        ("a\n! /a", &[], &["a"]),
        ("[a-c]x", &["ax", "cx"], &["dx"]),
        ("[^a-c]x", &["dx"], &["ax"]),
        ("[!a]x", &["!x", "ax"], &["bx"]),
        ("\\*", &["*"], &["a"]),
        ("\\!a", &["!a"], &["a"]),
        ("a\\[b", &["a[b"], &["ab"]),
        ("?", &["a", "é", "日"], &["ab"]),
        ("a.b", &["a.b"], &["axb"]),
        ("a+(b)|{c}$^", &["a+(b)|{c}$^"], &["aab"]),
        ("a b", &["a b"], &["a"]),
        ("a/**/2*", &["a/b/2.md", "a/2"], &["a", "a/1", "a/b"]),
        ("**b*", &["a/b", "a/b/2.md", "b"], &["ab", "a/1"]),
        ("[^a-c]*", &[".x", "q.go", "src/k", "é"], &["a/1", "ab", "c/d"]),
    ];
    for (text, ignored, kept) in table {
        let ignore = Ignore::parse(text).unwrap();
        for path in *ignored {
            assert!(ignore.matches(path), "{text:?} must ignore {path:?}");
        }
        for path in *kept {
            assert!(!ignore.matches(path), "{text:?} must not ignore {path:?}");
        }
    }
    for (text, line) in
        [("a\n[", 2), ("[]a]", 1), ("[a-]", 1), ("[b-a]", 1), ("a\\", 1), ("#\n\n!", 3), ("! ", 1)]
    {
        match Ignore::parse(text) {
            Err(ContextError::Pattern { line: found, .. }) => assert_eq!(found, line, "{text:?}"),
            other => panic!("{text:?}: {other:?}"),
        }
    }
}

#[test]
fn prunes_what_cannot_come_back() {
    let ignore = Ignore::parse("*\n!src/*/keep\nnode_modules\n").unwrap();
    assert!(ignore.may_reinclude_below("src"));
    assert!(ignore.may_reinclude_below("src/x"));
    assert!(!ignore.may_reinclude_below("docs"));
    assert!(!ignore.may_reinclude_below("node_modules"));
    assert_eq!(ignore.filter().why("docs/a").unwrap().written, "*");
}

/// The definition, without an automaton: `**/` is any number of whole directories.
fn naive(pattern: &[u8], path: &[u8]) -> bool {
    match pattern {
        [] => path.is_empty(),
        [b'*', b'*'] => true,
        [b'*', b'*', b'/', rest @ ..] => {
            naive(rest, path) || (0..path.len()).any(|at| path[at] == b'/' && naive(rest, &path[at + 1..]))
        }
        [b'*', rest @ ..] => {
            naive(rest, path) || (path.first().is_some_and(|b| *b != b'/') && naive(pattern, &path[1..]))
        }
        [b'?', rest @ ..] => path.first().is_some_and(|b| *b != b'/') && naive(rest, &path[1..]),
        [c, rest @ ..] => path.first() == Some(c) && naive(rest, &path[1..]),
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_pattern_or_an_error(text in proptest::collection::vec(any::<u8>(), 0..40), path in ".{0,20}") {
        if let Ok(pattern) = Pattern::parse(&text) {
            pattern.matches(&path);
        }
        let _ = Ignore::parse(&text);
    }

    #[test]
    fn matches_by_the_definition(
        rules in proptest::collection::vec(("!?", "([ab*?]|\\*\\*)(/([ab?]|a\\*|\\*\\*)){0,3}"), 1..4),
        path in "[ab]{1,2}(/[ab]{1,2}){0,3}",
    ) {
        let text: Vec<String> = rules.iter().map(|(sign, pattern)| format!("{sign}{pattern}")).collect();
        let ignore = Ignore::parse(text.join("\n")).unwrap();
        let mut excluded = false;
        for (sign, pattern) in &rules {
            let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
            if ends.clone().any(|end| naive(pattern.as_bytes(), &path.as_bytes()[..end])) {
                excluded = sign.is_empty();
            }
        }
        prop_assert_eq!(ignore.matches(&path), excluded, "{:?} {}", text, path);
        // What is pruned holds nothing that is kept.
        if !excluded {
            for (at, _) in path.match_indices('/') {
                let above = &path[..at];
                prop_assert!(!ignore.matches(above) || ignore.may_reinclude_below(above), "{:?} {}", text, path);
            }
        }
    }
}

struct Place {
    folder: tempfile::TempDir,
    store: Store,
    warnings: Arc<Mutex<Vec<String>>>,
}

impl Place {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("home")).unwrap();
        let place = Self { folder, store, warnings: Arc::default() };
        fs::create_dir(place.root()).unwrap();
        for (path, content) in files {
            place.write(path, content);
        }
        place
    }

    fn root(&self) -> std::path::PathBuf {
        self.folder.path().join("context")
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn open(&self) -> Context {
        let warnings = Arc::clone(&self.warnings);
        let sink = Sink::new(move |event| {
            if let Event::Warning { message, .. } = event {
                warnings.lock().unwrap().push(message);
            }
        });
        Context::open(&self.root(), Ignore::load(&self.root(), None).unwrap(), &self.store, &sink).unwrap()
    }

    fn select(&self, sources: &[&str], exclude: &[&str]) -> Result<Vec<Picked>, ContextError> {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        self.open().select(&Selection {
            sources: owned(sources),
            exclude: owned(exclude),
            ..Selection::default()
        })
    }

    /// What is selected, as `matched:entry`.
    fn paths(&self, sources: &[&str], exclude: &[&str]) -> Vec<String> {
        let picked = self.select(sources, exclude).unwrap();
        let name = |one: &Picked| one.path.as_ref().map(ToString::to_string).unwrap_or_default();
        picked
            .iter()
            .flat_map(|one| one.items.iter().map(move |item| format!("{}:{}", name(one), item.entry.path)))
            .collect()
    }

    fn digest(&self) -> crate::oci::Digest {
        digest(&self.select(&["."], &[]).unwrap())
    }
}

#[test]
fn selects() {
    let place = Place::new(&[
        (".dockerignore", "*.log\nvendor\n!vendor/keep\n.dockerignore\n"),
        ("a.txt", "a"),
        ("b.txt", "b"),
        ("b.log", "b"),
        ("src/main.py", "main"),
        ("src/x/__pycache__/c", "c"),
        ("src/x/y.py", "y"),
        ("vendor/keep/k", "k"),
        ("vendor/other/o", "o"),
        ("pages/[id].ts", "id"),
    ]);
    symlink("../a.txt", place.root().join("src/link")).unwrap();
    symlink("/src", place.root().join("absolute")).unwrap();
    symlink("../../../../etc", place.root().join("escape")).unwrap();
    let table: &[(&[&str], &[&str], &[&str])] = &[
        (&["a.txt"], &[], &["a.txt:a.txt"]),
        (&["/a.txt", "./b.txt"], &[], &["a.txt:a.txt", "b.txt:b.txt"]),
        (&["*.txt"], &["b*"], &["a.txt:a.txt"]),
        (&["src"], &["**/__pycache__"], &["src:link", "src:main.py", "src:x", "src:x/y.py"]),
        (&["src"], &["x", "!x/y.py"], &["src:link", "src:main.py", "src:x", "src:x/y.py"]),
        (&["src/**/*.py"], &[], &["src/main.py:main.py", "src/x/y.py:y.py"]),
        (&["vendor"], &[], &["vendor:keep", "vendor:keep/k"]),
        (&["src/link"], &[], &["src/link:link"]),
        (&["absolute/main.py"], &[], &["absolute/main.py:main.py"]),
        (&["pages/[id].ts"], &[], &["pages/[id].ts:[id].ts"]),
        (&["src/../a.txt"], &[], &["a.txt:a.txt"]),
    ];
    for (sources, exclude, expected) in table {
        assert_eq!(place.paths(sources, exclude), *expected, "{sources:?} without {exclude:?}");
    }
    let followed = place.select(&["src/link"], &[]).unwrap();
    assert_eq!(followed[0].items[0].digest(), Some(crate::oci::Digest::of(b"a")));
    let refused = |source: &str| place.select(&[source], &[]).unwrap_err();
    assert!(matches!(refused("../x"), ContextError::Outside { .. }));
    assert!(matches!(refused("escape"), ContextError::Dangling { .. }));
    assert!(matches!(refused("escape/passwd"), ContextError::Dangling { .. }));
    assert!(matches!(refused("src/["), ContextError::Glob { .. }));
    match refused("src/mian.py") {
        ContextError::Missing { similar, .. } => assert_eq!(similar.as_deref(), Some("src/main.py")),
        other => panic!("{other}"),
    }
    match refused("b.log") {
        ContextError::Ignored { rule, line, .. } => assert_eq!((rule.as_str(), line), ("*.log", 1)),
        other => panic!("{other}"),
    }
}

#[test]
fn only_content_counts() {
    let place = Place::new(&[("d/a", "a"), ("d/b", "b")]);
    let before = place.digest();
    let file = fs::File::options().write(true).open(place.root().join("d/a")).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    let mode =
        |mode| fs::set_permissions(place.root().join("d/a"), fs::Permissions::from_mode(mode)).unwrap();
    mode(0o664);
    fs::set_permissions(place.root().join("d"), fs::Permissions::from_mode(0o775)).unwrap();
    assert_eq!(place.digest(), before);
    mode(0o755);
    assert_ne!(place.digest(), before);
    mode(0o644);
    fs::remove_file(place.root().join("d/b")).unwrap();
    fs::hard_link(place.root().join("d/a"), place.root().join("d/b")).unwrap();
    let linked = place.digest();
    fs::remove_file(place.root().join("d/b")).unwrap();
    place.write("d/b", "a");
    assert_ne!(place.digest(), linked, "a hard link is not a copy");
}

fn set_modified(path: &Path, time: std::time::SystemTime) {
    fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn the_stat_cache_is_never_wrong() {
    let place = Place::new(&[("a", "one"), ("b", "two")]);
    let future = std::time::SystemTime::now() + std::time::Duration::from_secs(1 << 20);
    let mut seen = vec![place.digest()];
    for round in 0..50 {
        // Same size, same second, often the same tick of the clock; and every way to hide it.
        let content = format!("{round:03}");
        let path = place.root().join("a");
        match round % 4 {
            0 => fs::write(&path, &content).unwrap(),
            1 => {
                fs::write(place.folder.path().join("new"), &content).unwrap();
                set_modified(
                    &place.folder.path().join("new"),
                    fs::metadata(&path).unwrap().modified().unwrap(),
                );
                fs::rename(place.folder.path().join("new"), &path).unwrap();
            }
            2 => {
                fs::write(&path, &content).unwrap();
                set_modified(&path, std::time::UNIX_EPOCH);
            }
            _ => {
                fs::write(&path, &content).unwrap();
                set_modified(&path, future);
            }
        }
        let now = place.digest();
        assert!(!seen.contains(&now), "round {round}");
        assert_eq!(place.digest(), now);
        seen.push(now);
    }
    // Damage is as good as nothing.
    let cache = place.store.stat_path(&place.root().canonicalize().unwrap());
    let bytes = fs::read(&cache).unwrap();
    for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&cache, &bytes[..cut]).unwrap();
        assert_eq!(Some(&place.digest()), seen.last());
    }
}

#[test]
fn settles_only_before_the_moment() {
    let stat = crate::layer::FileStat { mtime: (5, 1), ctime: (5, 1), ..Default::default() };
    assert!(stat_cache::settled(&stat, (5, 2)));
    assert!(!stat_cache::settled(&stat, (5, 1)));
    assert!(!stat_cache::settled(&crate::layer::FileStat { mtime: (9, 0), ..stat }, (6, 0)));
}

#[test]
fn a_changed_file_and_a_socket() {
    let place = Place::new(&[("d/a", "a")]);
    let _socket = std::os::unix::net::UnixListener::bind(place.root().join("d/s")).unwrap();
    assert_eq!(place.paths(&["d"], &[]), ["d:a"]);
    assert_eq!(place.warnings.lock().unwrap().len(), 1);
    assert!(matches!(place.select(&["d/s"], &[]), Err(ContextError::Socket { .. })));
    // Not what the stat cache knows; listed, then changed, then read.
    place.write("d/a", "another");
    let context = place.open();
    let selection =
        |source: &str| Selection { sources: vec![source.into()], exclude: vec![], ..Selection::default() };
    assert!(matches!(context.select(&selection("d/none")), Err(ContextError::Missing { .. })));
    place.write("d/a", "other");
    assert!(matches!(context.select(&selection("d/a")), Err(ContextError::Changed { .. })));
}

/// Times for people: `IMGBUILD_BENCH_CONTEXT=<directory> cargo test --release -- --ignored --nocapture measures`.
#[test]
#[ignore = "measures, asserts nothing"]
#[allow(clippy::print_stderr)]
fn measures() {
    let Some(root) = std::env::var_os("IMGBUILD_BENCH_CONTEXT") else { return };
    let home = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let store = Store::open(home.path()).unwrap();
        let start = std::time::Instant::now();
        let context = Context::open(Path::new(&root), Ignore::none(), &store, &Sink::silent()).unwrap();
        let opened = start.elapsed();
        let picked = context
            .select(&Selection { sources: vec![".".into()], exclude: vec![], ..Selection::default() })
            .unwrap();
        let selected = start.elapsed();
        let made = digest(&picked);
        let count: usize = picked.iter().map(|one| one.items.len()).sum();
        eprintln!(
            "{count} entries: open {opened:?}, select {selected:?}, digest {:?} {made}",
            start.elapsed()
        );
    }
}

#[test]
fn a_context_of_the_store_is_not_called_by_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    for (root, shown) in [(store.root().join("contexts/a"), false), (folder.path().join("a"), true)] {
        std::fs::create_dir_all(&root).unwrap();
        let context = Context::open(&root, Ignore::none(), &store, &Sink::silent()).unwrap();
        let selection = Selection { sources: vec!["none".to_owned()], ..Selection::default() };
        let error = context.select(&selection).unwrap_err().to_string();
        assert!(error.starts_with("source \"none\" matches nothing in the build context"), "{error}");
        assert_eq!(error.ends_with("/a"), shown, "{error}");
    }
}
