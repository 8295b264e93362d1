//! `fixtures/errors/*.yaml`: each with the whole message it gives beside it, in a file that ends in `.stderr`.
//! `IMGBUILD_BLESS=1 cargo test --lib spec::tests::corpus` writes the messages anew.

use super::{Spec, evaluate, render, request};
use crate::{error::Failure, recipe::Frontend, source::corpus};

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
    corpus::check("fixtures/errors", "yaml", 40, message);
}
