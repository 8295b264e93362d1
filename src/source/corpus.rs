//! Wrong files with the messages that they give, for the tests of front ends.

use std::{fs, path::Path};

/// Looks at all files of a folder below the project's whose names have this ending: `message` must give what the file of
/// the same name that ends in `.stderr` holds. With `IMGBUILD_BLESS` in the environment, those are written anew.
pub(crate) fn check(folder: &str, extension: &str, least: usize, message: impl Fn(&str, &[u8]) -> String) {
    let bless = std::env::var_os("IMGBUILD_BLESS").is_some();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("the corpus") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|found| found != extension) {
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
    assert!(count >= least, "only {count} wrong files");
    assert!(
        wrong.is_empty(),
        "{} of {count} messages differ (IMGBUILD_BLESS=1 writes them anew):\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
