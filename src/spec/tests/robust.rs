//! Nothing that a file says makes the program panic.

use proptest::prelude::*;

use super::{Spec, evaluate, render, request};
use crate::{error::Failure, source::SourceFile, spec::json_schema};

const SEEDS: [&str; 3] = [
    include_str!("../../../fixtures/specs/example.yaml"),
    include_str!("../../../fixtures/specs/every-step.yaml"),
    include_str!("../../../fixtures/specs/every-config.yaml"),
];

const PIECES: [&str; 24] = [
    "${",
    "}",
    "$",
    ":-",
    "\"",
    "'",
    "[",
    "]",
    "{",
    "}",
    ": ",
    "- ",
    "\n",
    "\t",
    "&a ",
    "*a",
    "<<: ",
    "|\n",
    "é",
    "\u{feff}",
    "---\n",
    "!!binary ",
    "null",
    "byPlatform",
];

/// A valid spec with some pieces put in, taken out or doubled.
fn mutated() -> impl Strategy<Value = String> {
    let edit = (any::<prop::sample::Index>(), 0..12_usize, 0..PIECES.len());
    (0..SEEDS.len(), prop::collection::vec(edit, 1..6)).prop_map(|(seed, edits)| {
        let mut chars: Vec<char> = SEEDS[seed].chars().collect();
        for (at, length, piece) in edits {
            let at = at.index(chars.len());
            let end = (at + length).min(chars.len());
            chars.splice(at..end, PIECES[piece].chars());
        }
        chars.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn a_mutated_spec_is_read_or_refused(text in mutated()) {
        let result = Spec::parse(SourceFile::new("imgbuild.yaml", text))
            .map_err(Failure::from)
            .and_then(|spec| evaluate(&spec, &request()));
        if let Err(error) = result {
            prop_assert!(!render(&*error).is_empty());
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Err(error) = Spec::from_bytes("x", &bytes) {
            prop_assert!(!render(&error).is_empty());
        }
    }
}

#[test]
fn the_schema_is_checked_in() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("build-specs/schema.json");
    let schema = json_schema();
    if std::env::var_os("IMGBUILD_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
        std::fs::write(&path, &schema).expect("writable");
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        known == schema,
        "build-specs/schema.json is not what the types say; write it anew with\n    \
         IMGBUILD_BLESS=1 cargo test --lib spec::tests::robust::the_schema_is_checked_in"
    );
}
