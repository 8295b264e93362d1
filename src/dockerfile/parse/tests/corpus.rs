//! `fixtures/errors/dockerfile/*.Dockerfile`: each with the whole message it gives beside it, in a file that ends in
//! `.stderr`. `IMGBUILD_BLESS=1 cargo test --lib dockerfile::parse::tests::corpus` writes the messages anew.

use std::{fs, path::Path};

use super::render;
use crate::dockerfile::parse_bytes;

#[test]
fn every_bad_dockerfile_gives_its_message() {
    let bless = std::env::var_os("IMGBUILD_BLESS").is_some();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/errors/dockerfile");
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("the corpus") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "Dockerfile") {
            continue;
        }
        count += 1;
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let message = match parse_bytes(&name, &fs::read(&path).expect("readable")) {
            Ok(read) => format!("no error: {read:#?}\n"),
            Err(error) => render(&error),
        };
        let expected = path.with_extension("stderr");
        if bless {
            fs::write(&expected, &message).expect("writable");
        }
        let known = fs::read_to_string(&expected).unwrap_or_default();
        if known != message || message.starts_with("no error") {
            wrong.push(format!("--- {name}: expected\n{known}--- got\n{message}"));
        }
    }
    assert!(count >= 25, "only {count} bad files");
    assert!(
        wrong.is_empty(),
        "{} of {count} messages differ (IMGBUILD_BLESS=1 writes them anew):\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
