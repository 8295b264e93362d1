//! `fixtures/errors/*.yaml`: each with the whole message it gives beside it, in a file that ends in `.stderr`.
//! `IMGBUILD_BLESS=1 cargo test --lib spec::tests::corpus` writes the messages anew.

use std::{fs, path::Path};

use super::{Spec, evaluate, render, request};
use crate::{error::Failure, recipe::Frontend};

fn message(name: &str, bytes: &[u8]) -> String {
    let mut request = request();
    let text = String::from_utf8_lossy(bytes);
    if let Some(target) = text.lines().next().and_then(|line| line.strip_prefix("# --target ")) {
        request.target = Some(target.to_owned());
    }
    let result = Spec::from_bytes(name, bytes).map_err(Failure::from).and_then(|spec| {
        spec.defaults(&request.args)?;
        evaluate(&spec, &request)
    });
    match result {
        Ok(recipe) => format!("no error: {recipe:#?}\n"),
        Err(error) => render(&*error),
    }
}

#[test]
fn every_bad_spec_gives_its_message() {
    let bless = std::env::var_os("IMGBUILD_BLESS").is_some();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/errors");
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("the corpus") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        count += 1;
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let message = message(&name, &fs::read(&path).expect("readable"));
        let expected = path.with_extension("stderr");
        if bless {
            fs::write(&expected, &message).expect("writable");
        }
        let known = fs::read_to_string(&expected).unwrap_or_default();
        if known != message || message.starts_with("no error") {
            wrong.push(format!("--- {name}: expected\n{known}--- got\n{message}"));
        }
    }
    assert!(count >= 40, "only {count} bad specs");
    assert!(
        wrong.is_empty(),
        "{} of {count} messages differ (IMGBUILD_BLESS=1 writes them anew):\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
