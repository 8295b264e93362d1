//! Contents that are not what was promised, and names that say something else.

use super::*;

#[test]
fn a_changed_file_is_an_error() {
    type Change = fn(&Path);
    let changes: [Change; 5] = [
        |path| fs::write(path, "longer than before").unwrap(),
        |path| fs::write(path, "").unwrap(),
        |path| {
            let file = File::options().write(true).open(path).unwrap();
            file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        },
        |path| {
            fs::rename(path, path.with_extension("old")).unwrap();
            fs::copy(path.with_extension("old"), path).unwrap();
        },
        |path| {
            fs::rename(path, path.with_extension("old")).unwrap();
            std::os::unix::fs::symlink(path.with_extension("old"), path).unwrap();
        },
    ];
    for change in changes {
        let bench = Bench::new();
        let content = bench.file("file", b"before");
        change(&bench.folder.path().join("file"));
        let error = bench.fail(&[Entry::new(path("file"), Kind::File(content), 0o644)]);
        assert!(matches!(error, LayerError::Changed { .. }), "{error:?}");
        assert!(error.to_string().ends_with("/file changed while it was read"), "{error}");
        assert!(!error.hints().is_empty());
    }
}

#[test]
fn unreadable_contents_are_errors() {
    let bench = Bench::new();
    let missing = bench.file("missing", b"x");
    fs::remove_file(bench.folder.path().join("missing")).unwrap();
    let error = bench.fail(&[Entry::new(path("f"), Kind::File(missing), 0o644)]);
    assert!(error.to_string().starts_with("failed to open /"), "{error}");
    assert_eq!(error.kind(), crate::error::Kind::NotFound);

    let folder = on_disk(bench.folder.path());
    let error = bench.fail(&[Entry::new(path("f"), Kind::File(folder), 0o644)]);
    assert!(error.to_string().starts_with("failed to read /") || matches!(error, LayerError::Changed { .. }));

    let short = bench.folder.path().join("short");
    fs::write(&short, "1234").unwrap();
    let range = Content::Range { file: short.as_path().into(), offset: 2, size: 3, digest: None };
    let error = bench.fail(&[Entry::new(path("f"), Kind::File(range), 0o644)]);
    assert!(error.to_string().ends_with("/short ends before byte 5"), "{error}");
}

#[test]
fn a_wrong_digest_makes_no_wrong_layer() {
    let bench = Bench::new();
    let with = |content: Content| match content {
        Content::File { path, stat, .. } => {
            Content::File { path, stat, digest: Some(Digest::of(b"the same, wrongly")) }
        }
        other => other,
    };
    let one = with(bench.file("one", b"one"));
    let two = with(bench.file("two", b"two"));
    let first = bench.write(&[Entry::new(path("f"), Kind::File(one), 0o644)]);
    let previous = [first.layer.descriptor.digest];
    let options = Options { previous: &previous, ..Options::default() };
    let second = bench.write_with(1, &[Entry::new(path("f"), Kind::File(two), 0o644)], &options);
    assert_eq!(second.reused, 0);
    assert!(bench.tar(&second.layer).windows(3).any(|window| window == b"two"));
}

#[test]
fn a_damaged_range_is_an_error_and_its_file_goes() {
    let bench = Bench::new();
    let tar = bench.folder.path().join("tar");
    let range =
        |digest| Content::Range { file: tar.as_path().into(), offset: 2, size: 3, digest: Some(digest) };
    let entry = |digest| Entry::new(path("f"), Kind::File(range(digest)), 0o644);
    let good = entry(Digest::of(b"abc"));

    fs::write(&tar, "..abc..").unwrap();
    assert!(
        bench.tar(&bench.write(std::slice::from_ref(&good)).layer).windows(3).any(|window| window == b"abc")
    );
    let mut bytes = Vec::new();
    range(Digest::of(b"abc")).open().unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"abc");

    for damage in ["..abX..", "..ab"] {
        let bench = Bench::new();
        fs::write(&tar, damage).unwrap();
        let error = bench.fail(std::slice::from_ref(&good));
        assert!(matches!(error, LayerError::Damaged { .. } | LayerError::Truncated { .. }), "{error:?}");
        assert!(!error.hints().is_empty());
        assert!(!tar.exists(), "the next build makes it again");

        fs::write(&tar, damage).unwrap();
        assert!(range(Digest::of(b"abc")).open().unwrap().read_to_end(&mut Vec::new()).is_err());
        assert!(!tar.exists());

        fs::write(&tar, damage).unwrap();
        assert!(write_tar(std::slice::from_ref(&good), &mut Vec::new()).is_err());
        assert!(!tar.exists());
    }
}

#[test]
fn a_name_that_is_a_whiteout_is_refused() {
    let bench = Bench::new();
    for name in [".wh.x", "a/.wh.x", ".wh.a/x", "a/.wh..wh..opq"] {
        let error = bench.fail(&[text(name, "")]).to_string();
        assert!(error.starts_with(&format!("failed to write {name} into the layer: ")), "{error}");
    }
    bench.write(&[text("a.wh.x", ""), Entry::new(path("b"), Kind::Whiteout, 0)]);
}
