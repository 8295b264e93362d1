//! Specs from end to end: text → recipe, and text → message.

mod corpus;
mod docs;
mod positive;
mod robust;

use std::collections::{BTreeMap, HashMap};

use super::Spec;
use crate::{
    error::{Explain, Failure},
    oci::ImageConfig,
    recipe::{Frontend, Recipe, Request},
    source::SourceFile,
};

/// A request for linux/amd64, built on linux/arm64.
fn request() -> Request {
    Request {
        platform: "linux/amd64".parse().expect("a platform"),
        build_platform: "linux/arm64".parse().expect("a platform"),
        target: None,
        args: BTreeMap::new(),
        contexts: BTreeMap::new(),
        source_date_epoch: None,
    }
}

/// Evaluates a spec whose bases all have a PATH and a working directory.
fn evaluate(spec: &Spec, request: &Request) -> Result<Recipe, Failure> {
    let mut configs = HashMap::new();
    for base in spec.bases(request)? {
        let mut config = ImageConfig::scratch(base.platform.clone());
        config.config.env = vec!["PATH=/usr/bin:/bin".to_owned()];
        config.config.cmd = Some(vec!["bash".to_owned()]);
        configs.insert(base, config);
    }
    spec.recipe(request, &configs)
}

fn build(text: &str, request: &Request) -> Recipe {
    let result = Spec::parse(SourceFile::new("imgbuild.yaml", text))
        .map_err(Failure::from)
        .and_then(|spec| evaluate(&spec, request));
    result.unwrap_or_else(|error| panic!("{}", render(&*error)))
}

/// An error as the command line shows it.
fn render(error: &dyn Explain) -> String {
    let mut out = match error.snippet() {
        Some(snippet) => snippet,
        None => format!("error: {error}"),
    };
    for hint in error.hints() {
        out.push_str("\nhint: ");
        out.push_str(&hint);
    }
    out.push('\n');
    out
}
