//! Texts of locks.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection, option, prelude::*};

use super::{Entry, ImagePin, Input, Lock, Pin, Pins, WebPin, changes};
use crate::{
    error::Explain,
    event::Sink,
    oci::{Digest, Platform, Reference},
    source::SourceFile,
};

fn parse(text: &str) -> Result<Lock, String> {
    Lock::parse(&SourceFile::new("imgbuild.lock", text)).map_err(|error| error.to_string())
}

fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

fn commit(of: &str) -> String {
    Digest::of(of.as_bytes()).hex()[..40].to_owned()
}

fn sample() -> Lock {
    let mut lock = Lock::default();
    let platforms = [("linux/arm64", "arm"), ("linux/amd64", "amd")];
    let platforms = platforms.map(|(name, of)| (name.to_owned(), Digest::of(of.as_bytes())));
    let image = ImagePin { digest: Digest::of(b"index"), platforms: BTreeMap::from(platforms) };
    lock.put(Input::image(&reference("alpine")), Pin::Image(image), "Dockerfile");
    let web = WebPin { digest: Digest::of(b"web"), modified: Some(784_111_777) };
    lock.put(Input::web("https://me:pass@h/a.tgz?token=x"), Pin::Web(web), "Dockerfile");
    lock.put(Input::git("https://me:pass@h/x.git", Some("main")), Pin::Git(commit("c")), "imgbuild.yaml");
    lock.put(Input::git("https://me:pass@h/x.git", Some("main")), Pin::Git(commit("c")), "Dockerfile");
    lock.put(Input::git("https://h/x.git", None), Pin::Git(commit("d")), "Dockerfile");
    lock
}

#[test]
fn the_text_is_sorted_and_has_no_secrets() {
    insta::assert_snapshot!(sample());
    assert_eq!(parse(&sample().to_string()), Ok(sample()));
}

#[test]
fn the_documentation_shows_a_lock() {
    let text = include_str!("../../docs/lock.md");
    let (_, text) = text.split_once("```toml\n").unwrap();
    let (text, _) = text.split_once("```").unwrap();
    assert_eq!(parse(text).unwrap().to_string(), text);
}

#[test]
fn what_is_wrong_is_shown_at_its_line() {
    let digest = Digest::of(b"");
    let head = "version = 1\n";
    let image = |more: &str| format!("{head}[[image]]\nname = \"docker.io/library/a:1\"\n{more}");
    let cases = [
        (String::new(), "imgbuild.lock:1: there is no `version`"),
        (
            "version = 2".into(),
            "imgbuild.lock:1: this lock has a version that is not known: 1 is the only one",
        ),
        ("version = \"1\"".into(), "imgbuild.lock:1: version must be a number"),
        (format!("{head}x = 1"), "imgbuild.lock:2: unknown key `x`"),
        (format!("{head}image = 1"), "imgbuild.lock:2: image must be a list of tables"),
        (format!("{head}<<<<<<< HEAD"), "imgbuild.lock:2: this is not valid TOML"),
        (image("digest = \"sha256:1\""), "imgbuild.lock:4: a digest must be"),
        (image(""), "imgbuild.lock:2: the entry has no `digest`"),
        (image("diegst = 1"), "imgbuild.lock:4: unknown key `diegst`"),
        (image(&format!("digest = \"{digest}\"\nused-by = 1")), "imgbuild.lock:5: used-by must be a list"),
        (
            format!(
                "{head}[[image]]\nname = \"a@{digest}\"\ndigest = \"{}\"\nused-by = []",
                Digest::of(b"x")
            ),
            "imgbuild.lock:4: digest must be the one of the name",
        ),
        (
            format!("{}\n[[git]]\nremote = \"r\"\ncommit = \"12\"\nused-by = []", head),
            "imgbuild.lock:5: commit must be a commit in full",
        ),
        (
            {
                let one = format!("[[url]]\nurl = \"u\"\ndigest = \"{digest}\"\nused-by = []\n");
                format!("{head}{one}{one}")
            },
            "imgbuild.lock:6: u is here twice",
        ),
    ];
    for (text, expected) in cases {
        let error = parse(&text).unwrap_err();
        assert!(error.starts_with(expected), "{text}\n{error}");
    }
}

#[test]
fn a_text_means_names() {
    let lock = sample();
    for (text, names) in [
        ("alpine", &["alpine:latest"][..]),
        ("docker.io/library/alpine:latest", &["alpine:latest"]),
        ("alpine:3", &[]),
        ("https://h/a.tgz", &["https://h/a.tgz"]),
        ("https://h/x.git", &["https://h/x.git", "https://h/x.git#main"]),
        ("https://h/x.git#main", &["https://h/x.git#main"]),
        ("https://h/x.git#v1", &[]),
    ] {
        let found: Vec<String> = lock.meant_by(text).iter().map(Input::to_string).collect();
        // What stands for a query is checked by the snapshot.
        let plain: Vec<&str> = found.iter().filter_map(|name| name.split('?').next()).collect();
        assert_eq!(plain, names, "{text}");
    }
}

#[test]
fn files_that_are_gone_take_what_they_alone_use() {
    let mut lock = sample();
    lock.forget(|file| file == "Dockerfile");
    assert_eq!(lock.entries.len(), 1);
    let before = sample();
    let gone = changes(&before, &lock);
    assert!(gone.len() == 3 && gone.iter().all(|change| change.before.is_some() && change.after.is_none()));
    lock.merge(sample());
    assert_eq!(lock, sample());
}

#[test]
fn a_name_that_is_not_locked_is_told_once_or_refused() {
    let told = std::sync::Arc::new(std::sync::Mutex::new(0));
    let count = std::sync::Arc::clone(&told);
    let sink = Sink::new(move |_| *count.lock().unwrap() += 1);
    let pins = Pins::new(sample(), "imgbuild.lock", false, sink.clone());
    assert!(pins.image(&reference("alpine:latest")).unwrap().is_some());
    for _ in 0..2 {
        assert!(pins.image(&reference("other")).unwrap().is_none());
        // This says itself what it is.
        assert!(pins.commit("https://h/y.git", Some(&commit("y")), None).unwrap().is_none());
    }
    assert_eq!(*told.lock().unwrap(), 1);
    let strict = Pins::new(sample(), "imgbuild.lock", true, sink);
    let error = strict.web("https://h/b", None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "imgbuild.lock does not have https://h/b, and --locked allows no input that is not locked"
    );
    assert!(error.hints()[0].starts_with("run `imgbuild lock`"));
}

#[test]
fn what_a_file_says_itself_must_agree() {
    let pins = Pins::new(sample(), "imgbuild.lock", false, Sink::silent());
    let url = "https://h/a.tgz?token=x";
    assert!(pins.web(url, Some(&Digest::of(b"web"))).unwrap().is_some());
    assert!(pins.web(url, Some(&Digest::of(b"other"))).is_err());
    // By another algorithm, the file itself is compared.
    let other = Digest::Sha512([0; 64]);
    assert!(pins.web(url, Some(&other)).unwrap().is_some());
    let (remote, main) = ("https://h/x.git", Some("main"));
    assert_eq!(pins.commit(remote, main, Some(&commit("c")[..7])).unwrap(), Some(&*commit("c")));
    assert!(pins.commit(remote, main, Some("0000000")).is_err());
    let pin = pins.image(&reference("alpine")).unwrap().unwrap();
    let check =
        |of: &[u8]| pins.check_manifest(&reference("alpine"), pin, &Platform::host(), &Digest::of(of));
    assert!(check(b"amd").is_ok() && check(b"x").is_err());
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<u64>().prop_map(|seed| Digest::of(&seed.to_le_bytes()))
}

fn entry() -> impl Strategy<Value = (Input, Pin)> {
    let name = prop_oneof!["[a-z]{1,5}(/[a-z0-9]{1,5})?(:[a-z0-9]{1,4})?", "localhost:5000/[a-z]{1,3}:x"];
    let platforms = collection::btree_map("linux/[a-z0-9]{1,6}(/v[5-7])?", digest(), 0..4);
    let image = (name, digest(), platforms, any::<bool>()).prop_map(|(name, digest, platforms, exact)| {
        let named = Reference { digest: exact.then_some(digest), ..reference(&name) };
        let normal = |text: String| super::document::platform(&text).unwrap();
        let platforms = platforms.into_iter().map(|(platform, digest)| (normal(platform), digest)).collect();
        (Input::image(&named), Pin::Image(ImagePin { digest, platforms }))
    });
    let web = (any::<String>(), option::of(any::<String>()), digest(), option::of(any::<i64>()));
    let web = web.prop_map(|(url, query, digest, modified)| {
        (Input::Web { url, query }, Pin::Web(WebPin { digest, modified }))
    });
    let git = (any::<String>(), option::of(any::<String>()), any::<u64>());
    let git = git.prop_map(|(remote, reference, seed)| {
        (Input::Git { remote, reference }, Pin::Git(commit(&seed.to_string())))
    });
    prop_oneof![image, web, git]
}

fn lock() -> impl Strategy<Value = Lock> {
    let used_by = collection::btree_set(any::<String>(), 0..3);
    collection::vec((entry(), used_by), 0..8).prop_map(|all| {
        let entry =
            |((input, pin), used_by): ((Input, Pin), BTreeSet<String>)| (input, Entry { pin, used_by });
        Lock { entries: all.into_iter().map(entry).collect() }
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(lock in lock()) {
        prop_assert_eq!(parse(&lock.to_string()), Ok(lock));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(version = 1\n)?(\\[\\[(image|url|git)\\]\\]\n)?\\PC{0,60}") {
        let _ = parse(&text);
    }

    #[test]
    fn a_damaged_lock_is_read_or_refused(lock in lock(), at in any::<prop::sample::Index>(), with in "\\PC{0,3}") {
        let mut text: Vec<char> = lock.to_string().chars().collect();
        let at = at.index(text.len());
        text.splice(at..at + 1, with.chars());
        if let Err(error) = Lock::parse(&SourceFile::new("l", text.into_iter().collect::<String>())) {
            let _ = error.snippet();
        }
    }
}
