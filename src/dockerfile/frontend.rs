//! A Dockerfile as a front end.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{Mutex, PoisonError},
};

use super::{
    check::{self, Finding, Selection, Surroundings},
    evaluate, parse_bytes, syntax,
};
use crate::{
    error::Failure,
    event::Sink,
    recipe::{BaseConfigs, BaseImage, Defaults, Frontend, Mention, Recipe, Request},
    source::{Diagnostic, Diagnostics},
};

/// The build argument that stands in for `# check=` (Docker docs, "Build checks").
const CHECK_ARGUMENT: &str = "BUILDKIT_DOCKERFILE_CHECK";

/// A Dockerfile, read and checked as far as it can be without a platform.
#[derive(Debug)]
pub struct Dockerfile {
    syntax: syntax::Dockerfile,
    sink: Sink,
    /// The findings that were told: each once, however many platforms are built.
    told: Mutex<BTreeSet<String>>,
}

impl Dockerfile {
    /// Reads a Dockerfile from the bytes of a file; `name` is the file's path as the user gave it. All that is wrong
    /// with its text is told at once.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, Diagnostics> {
        let syntax = parse_bytes(name, bytes)?;
        Ok(Self { syntax, sink: Sink::silent(), told: Mutex::default() })
    }

    /// Tells what the build checks find as warnings while recipes are made.
    #[must_use]
    pub fn with_sink(self, sink: Sink) -> Self {
        Self { sink, ..self }
    }

    /// The file as written.
    pub fn syntax(&self) -> &syntax::Dockerfile {
        &self.syntax
    }

    /// What all rules find in the file, sorted by place, and whether that makes it fail (`# check=error=true`). The file
    /// may be wrong in ways that only a build can tell.
    pub fn check(&self, around: Surroundings<'_>) -> Result<(Vec<Finding>, bool), Diagnostic> {
        let selection = self.selection(around.request)?;
        let error = selection.error;
        Ok((check::of_file(&self.syntax, around, selection), error))
    }

    /// What stages and images the file means, as far as that is known without the bases' configs: an error here is one
    /// that a build would end with.
    pub fn plan(&self, request: &Request) -> Result<(), Diagnostic> {
        evaluate::bases(&self.syntax, request, &BaseConfigs::new()).map(|_| ())
    }

    fn selection(&self, request: &Request) -> Result<Selection, Diagnostic> {
        match (request.args.get(CHECK_ARGUMENT), &self.syntax.directives.check) {
            (Some(text), _) => Selection::parse(text)
                .map_err(|error| Diagnostic::new(format!("--build-arg {CHECK_ARGUMENT}: {error}"))),
            (None, Some(directive)) => Ok(Selection::of_directive(directive)),
            (None, None) => Ok(Selection::default()),
        }
    }

    fn warn(&self, request: &Request, configs: &BaseConfigs) -> Result<(), Diagnostic> {
        let selection = self.selection(request)?;
        let error = selection.error;
        let around = Surroundings { request, configs: Some(configs), context: None };
        let findings = check::of_build(&self.syntax, around, selection);
        for finding in &findings {
            let text = finding.to_string();
            if self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(text.clone()) {
                self.sink.warn_at(finding.location.clone(), text);
            }
        }
        match findings.first() {
            Some(first) if error => {
                let mut rules: Vec<&str> = findings.iter().map(|finding| finding.rule.name).collect();
                rules.sort_unstable();
                rules.dedup();
                Err(Diagnostic::new(format!("build checks have found something: {}", rules.join(", ")))
                    .at(first.location.clone(), first.message.clone())
                    .hint("`# check=error=true` makes warnings of checks fail the build"))
            }
            _ => Ok(()),
        }
    }
}

impl Frontend for Dockerfile {
    /// A Dockerfile says nothing of a build but which arguments it takes.
    fn defaults(&self, _args: &BTreeMap<String, String>) -> Result<Defaults, Failure> {
        let in_stages = self.syntax.stages.iter().flat_map(|stage| &stage.instructions);
        let in_stages = in_stages.filter_map(|statement| match &statement.node {
            syntax::Instruction::Arg(arg) => Some(arg),
            _ => None,
        });
        let all = self.syntax.args.iter().map(|statement| &statement.node).chain(in_stages);
        let mut known = HashSet::new();
        let names = all.flat_map(|arg| &arg.args).map(|arg| &arg.name.text);
        let args = names.filter(|name| known.insert(name.as_str())).cloned().collect();
        Ok(Defaults { args, ..Defaults::default() })
    }

    fn bases(&self, request: &Request) -> Result<Vec<BaseImage>, Failure> {
        Ok(evaluate::bases(&self.syntax, request, &BaseConfigs::new())?)
    }

    fn further_bases(&self, request: &Request, configs: &BaseConfigs) -> Result<Vec<BaseImage>, Failure> {
        Ok(evaluate::bases(&self.syntax, request, configs)?)
    }

    fn mention(&self, request: &Request, configs: &BaseConfigs, image: &BaseImage) -> Option<Mention> {
        // What is wrong with the file itself was told before any image was asked for.
        evaluate::mention(&self.syntax, request, configs, image).ok().flatten()
    }

    fn stages(&self) -> Vec<String> {
        let named = self.syntax.stages.iter().enumerate();
        let name = |(index, stage): (usize, &syntax::Stage)| match &stage.from.node.name {
            Some(name) => name.text.to_lowercase(),
            None => format!("stage-{index}"),
        };
        named.map(name).collect()
    }

    fn runs_triggers(&self) -> bool {
        true
    }

    fn recipe(&self, request: &Request, configs: &BaseConfigs) -> Result<Recipe, Failure> {
        let recipe = evaluate::recipe(&self.syntax, request, configs)?;
        self.warn(request, configs)?;
        Ok(recipe)
    }
}
