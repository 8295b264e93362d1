//! `fixtures/errors/dockerfile/*.Dockerfile`: each with the whole message it gives beside it, in a file that ends in
//! `.stderr`. `IMGBUILD_BLESS=1 cargo test --lib dockerfile::parse::tests::corpus` writes the messages anew.

use super::render;
use crate::{dockerfile::parse_bytes, source::corpus};

#[test]
fn every_bad_dockerfile_gives_its_message() {
    corpus::check("fixtures/errors/dockerfile", "Dockerfile", 25, |name, bytes| {
        match parse_bytes(name, bytes) {
            Ok(read) => format!("no error: {read:#?}\n"),
            Err(error) => render(&error),
        }
    });
}
