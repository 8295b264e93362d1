//! One function for each reader of what others write: any bytes in, no panic.

use std::{collections::BTreeMap, path::Path};

use imgbuild::{
    context::Ignore,
    dockerfile::{parse_bytes, parse_trigger, syntax::Escape, word},
    error::Explain,
    lock::Lock,
    rootfs::TarIndex,
    source::SourceFile,
};

/// A Dockerfile: read, or refused with a message that can be shown; places are inside the file.
pub fn dockerfile(data: &[u8]) {
    match parse_bytes("Dockerfile", data) {
        Err(errors) => {
            assert!(errors.iter().count() > 0);
            assert!(!errors.to_string().is_empty());
            drop(errors.snippet());
        }
        Ok(dockerfile) => {
            let text = dockerfile.file.text();
            for stage in &dockerfile.stages {
                let spans = stage.instructions.iter().map(|statement| &statement.span);
                for span in spans.chain([&stage.from.span]) {
                    assert!(text.get(span.clone()).is_some(), "{span:?}");
                }
            }
        }
    }
    if let Ok(text) = std::str::from_utf8(data) {
        drop(parse_trigger(&SourceFile::new("trigger", text)));
    }
}

/// A word: expanded, or refused with a place that is inside it.
pub fn words(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let pairs = [("A", "a b"), ("B", ""), ("C", "x*y/z.tar.gz\nx"), ("D", "äöü")];
    let variables: BTreeMap<String, String> =
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    for escape in [Escape::Backslash, Escape::Backtick] {
        let results = [
            word::expand(&text, &variables, escape).map(|expanded| expanded.text),
            word::expand_heredoc(&text, &variables, escape).map(|expanded| expanded.text),
            word::expand_words(&text, &variables, escape).map(|expanded| expanded.text.concat()),
        ];
        let parts =
            [word::parts(&text, escape), word::heredoc_parts(&text)].into_iter().filter_map(Result::err);
        for error in results.into_iter().filter_map(Result::err).chain(parts) {
            assert!(text.get(error.range.clone()).is_some(), "{:?} in {text:?}", error.range);
        }
    }
}

/// A lock: read and written the same again, or refused with a message that can be shown.
pub fn lock(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Lock::parse(&SourceFile::new("imgbuild.lock", text)) {
        Err(error) => drop(error.snippet()),
        Ok(lock) => {
            let written = lock.to_string();
            assert_eq!(Lock::parse(&SourceFile::new("imgbuild.lock", written.as_str())).as_ref(), Ok(&lock));
        }
    }
}

/// An ignore file, and after a line `--` paths that are asked for.
pub fn ignore(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let rules: Vec<&[u8]> = lines.by_ref().take_while(|line| *line != b"--").collect();
    let Ok(ignore) = Ignore::parse(rules.join(&b'\n')) else { return };
    for path in lines {
        ignore.matches(path);
        ignore.may_reinclude_below(path);
    }
}

/// A tar archive: its entries, or what is wrong with it. Read with its checksums put right too, for no fuzzer guesses
/// one.
pub fn tar(data: &[u8]) {
    archive(data);
    let mut mended = data.to_vec();
    for header in mended.as_chunks_mut::<512>().0.iter_mut().filter(|block| &block[257..262] == b"ustar") {
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    if mended != data {
        archive(&mended);
    }
}

fn archive(data: &[u8]) {
    match TarIndex::read(data, Path::new("fuzz.tar")) {
        Ok(index) => {
            for entry in index.entries() {
                drop(format!("{entry:?}"));
            }
            for item in index.items() {
                assert!(index.get(&item.entry.path).is_some());
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
