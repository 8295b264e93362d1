//! The fuzz targets, run on what proptest makes up: a bounded number of cases (`IMGBUILD_FUZZ_CASES`), on stable.

mod targets;

use proptest::{prelude::*, sample::Index};

const DOCKERFILES: [&str; 3] = [
    "# syntax=docker/dockerfile:1\nARG V=1\nFROM --platform=$BUILDPLATFORM alpine:${V} AS a\nRUN --mount=type=cache,target=/x \\\n  make\n",
    "FROM a\nCOPY --chown=1:2 --link <<A <<-\"B\" /x/\na\nA\n\tb\n\tB\nENV A=1 B=\"c d\"\nONBUILD RUN [\"a\", \"b\"]\n",
    "# escape=`\nFROM a\nHEALTHCHECK --interval=5s --retries=3 CMD a\nLABEL a b\nVOLUME [\"/a\"]\nSHELL [\"a\"]\nEXPOSE 80\n",
];
const DOCKERFILE_PIECES: [&str; 24] = [
    "FROM ", "RUN ", "COPY ", "ADD ", "--", "=", ",", " ", "\n", "\r\n", "\\\n", "`\n", "\\", "\"", "'", "[",
    "]", "<<E", "\nE\n", "#", "${", "}", "é", "\u{0}",
];
const WORDS: [&str; 4] =
    ["${A:-${B:+'x'}}", "\"$A ${C##*/}\" $B", "${C//x*/\\}y} ${C%%.*} ${D/ö/o}", "${B:?no} a\\ b 'c d'"];
const WORD_PIECES: [&str; 24] = [
    "$", "{", "}", "${", "A", "B", "C", ":", "-", "+", "?", "#", "%", "/", "//", "*", "\\", "`", "\"", "'",
    " ", "\n", "é", "1",
];
const IGNORES: [&str; 2] = [
    "# c\n*.log\n!a/b.log\n**/x\n/y/\n[a-z]?\n--\na.log\na/b.log\nq/x\ny\n",
    "a/**/b\n\\*\n..\n!c\n--\na/b\na/q/r/b\n*",
];
const IGNORE_PIECES: [&str; 16] =
    ["*", "**", "?", "[", "]", "^", "-", "\\", "/", "!", "#", "\n", "..", ".", "\n--\n", "é"];

const LOCKS: [&str; 1] = ["# c\nversion = 1\n\n[[image]]\nname = \"docker.io/library/a:1\"\n\
    digest = \"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"\nused-by = [\"f\"]\n\n\
    [image.platforms]\n\
    \"linux/amd64\" = \"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"\n\n\
    [[url]]\nurl = \"https://h/a\"\nquery = \"9099b85613f6\"\nmodified = 7\n\
    digest = \"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"\nused-by = []\n\n\
    [[git]]\nremote = \"https://h/x.git\"\nref = \"main\"\n\
    commit = \"0123456789abcdef0123456789abcdef01234567\"\nused-by = [\"a\", \"b\"]\n"];
const LOCK_PIECES: [&str; 16] = [
    "[[image]]\n",
    "[[url]]\n",
    "[[git]]\n",
    "[",
    "]",
    "=",
    "\"",
    "'",
    "\n",
    "#",
    ".",
    "\\U0000000a",
    "1",
    "-",
    "é",
    "used-by = []\n",
];

fn config() -> ProptestConfig {
    let cases = std::env::var("IMGBUILD_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig::with_cases(cases.unwrap_or(500))
}

/// One of the seeds with some pieces put in, taken out or doubled; now and then, bytes that nobody wrote.
fn near(seeds: &'static [&'static str], pieces: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<Index>(), 0..8_usize, any::<Index>(), any::<u8>());
    let edited = (0..seeds.len(), prop::collection::vec(edit, 0..8)).prop_map(|(seed, edits)| {
        let mut data = seeds[seed].as_bytes().to_vec();
        for (at, length, piece, byte) in edits {
            let at = at.index(data.len() + 1);
            let end = (at + length).min(data.len());
            let piece = match byte {
                0..8 => vec![byte.wrapping_mul(37)],
                _ => piece.get(pieces).as_bytes().to_vec(),
            };
            data.splice(at..end, piece);
        }
        data
    });
    prop_oneof![9 => edited, 1 => prop::collection::vec(any::<u8>(), 0..300)]
}

/// An archive with files, directories, links and long names.
fn archive() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut add = |kind: tar::EntryType, path: &str, link: Option<&str>, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        let result = match link {
            Some(link) => builder.append_link(&mut header, path, link),
            None => builder.append_data(&mut header, path, content),
        };
        result.expect("written to memory");
    };
    add(tar::EntryType::Directory, "a/", None, b"");
    add(tar::EntryType::Regular, "a/b", None, b"content");
    add(tar::EntryType::Symlink, "a/c", Some("b"), b"");
    add(tar::EntryType::Link, "a/d", Some("a/b"), b"");
    add(tar::EntryType::Regular, &"long/".repeat(40), None, &[7; 700]);
    add(tar::EntryType::Regular, "a/.wh.x", None, b"");
    builder.into_inner().expect("written to memory")
}

/// The archive with some bytes of some blocks changed, their checksums put right again, and its end cut off.
fn archives() -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<Index>(), 0..512_usize, prop::collection::vec(any::<u8>(), 1..13), any::<bool>());
    let edited =
        (prop::collection::vec(edit, 0..5), any::<Index>(), any::<bool>()).prop_map(|(edits, end, cut)| {
            let mut data = archive();
            for (block, at, bytes, mend) in edits {
                let start = block.index(data.len() / 512) * 512;
                let block = &mut data[start..start + 512];
                for (byte, new) in block[at..].iter_mut().zip(bytes) {
                    *byte = new;
                }
                if mend {
                    block[148..156].copy_from_slice(b"        ");
                    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
                    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
                }
            }
            if cut {
                data.truncate(end.index(data.len()));
            }
            data
        });
    prop_oneof![9 => edited, 1 => prop::collection::vec(any::<u8>(), 0..2000)]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn dockerfile(data in near(&DOCKERFILES, &DOCKERFILE_PIECES)) {
        targets::dockerfile(&data);
    }

    #[test]
    fn words(data in near(&WORDS, &WORD_PIECES)) {
        targets::words(&data);
    }

    #[test]
    fn lock(data in near(&LOCKS, &LOCK_PIECES)) {
        targets::lock(&data);
    }

    #[test]
    fn ignore(data in near(&IGNORES, &IGNORE_PIECES)) {
        targets::ignore(&data);
    }

    #[test]
    fn tar(data in archives()) {
        targets::tar(&data);
    }
}
