//! A spec as a front end.

use std::{cell::OnceCell, collections::BTreeMap};

use super::{
    args::{Args, PREDEFINED},
    decode::{Decode, parse_platform, place},
    evaluate::{self, Written},
    node::Value,
    raw::{self, OneOrMany, Stage, Text},
    template, yaml,
};
use crate::{
    error::{Explain, Failure},
    oci::{Platform, Repository},
    recipe::{BaseConfigs, BaseImage, Defaults, Frontend, Mention, Recipe, Request},
    source::{Diagnostic, SourceFile},
    tags::Rule,
};

/// A layer spec, read and checked as far as it can be without a platform.
#[derive(Debug, Clone)]
pub struct Spec {
    source: SourceFile,
    file: raw::File,
    stages: Vec<(Text, Stage)>,
}

impl Spec {
    /// Reads a spec. The error shows the line at fault.
    pub fn parse(source: SourceFile) -> Result<Self, Diagnostic> {
        let node = yaml::read(&source)?;
        if !matches!(node.value, Value::Map(_)) {
            return Err(Diagnostic::new(format!("expected a spec, found {}", node.describe()))
                .at(place(&source, &node.span), "not a map")
                .hint("a spec is a map of fields, such as `from: scratch` and `layers:`"));
        }
        let (file, stages) = raw::File::decode(&node, &source)?.into_stages(&node, &source)?;
        let check = Check { source: &source };
        check.args(file.args.as_ref())?;
        check.stages(&stages)?;
        // Texts with arguments in them are checked once these are known.
        check.defaults(&file, &|text| Ok((!text.text.contains("${")).then(|| text.clone())))?;
        Ok(Self { source, file, stages })
    }

    /// Reads a spec from the bytes of a file; `name` is the file's path as the user gave it.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, Diagnostic> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let line = 1 + bytes[..error.valid_up_to()].iter().filter(|b| **b == b'\n').count();
            Diagnostic::new(format!("{name} is not UTF-8 text: byte {} (line {line})", error.valid_up_to()))
                .hint("a spec is YAML text in UTF-8")
        })?;
        Self::parse(SourceFile::new(name, text))
    }

    fn written(&self) -> Written<'_> {
        Written { source: &self.source, file: &self.file, stages: &self.stages }
    }
}

impl Frontend for Spec {
    fn defaults(&self, args: &BTreeMap<String, String>) -> Result<Defaults, Failure> {
        // No platform is known yet: arguments can be used, the names of platforms cannot.
        let request = Request {
            platform: Platform::host(),
            build_platform: Platform::host(),
            target: None,
            args: args.clone(),
            contexts: BTreeMap::new(),
            source_date_epoch: None,
        };
        let known: OnceCell<Args> = OnceCell::new();
        let expand = |text: &Text| {
            if !text.text.contains("${") {
                return Ok(Some(text.clone()));
            }
            let args = match known.get() {
                Some(args) => args,
                None => {
                    let mut args = Args::new(self.file.args.as_ref(), &request, &self.source)?;
                    args.predefined.clear();
                    known.get_or_init(|| args)
                }
            };
            let expanded = evaluate::expand(&self.source, args, &request, text)?;
            Ok(Some(Text { text: expanded, ..text.clone() }))
        };
        Ok(Check { source: &self.source }.defaults(&self.file, &expand)?)
    }

    fn bases(&self, request: &Request) -> Result<Vec<BaseImage>, Failure> {
        Ok(evaluate::bases(self.written(), request)?)
    }

    fn stages(&self) -> Vec<String> {
        self.stages.iter().map(|(name, _)| name.text.clone()).collect()
    }

    fn mention(&self, request: &Request, _configs: &BaseConfigs, image: &BaseImage) -> Option<Mention> {
        // What is wrong with the spec itself was told before any image was asked for.
        evaluate::mention(self.written(), request, image).ok().flatten()
    }

    fn recipe(&self, request: &Request, configs: &BaseConfigs) -> Result<Recipe, Failure> {
        Ok(evaluate::recipe(self.written(), request, configs)?)
    }
}

/// Checks of what does not depend on platform and arguments.
struct Check<'a> {
    source: &'a SourceFile,
}

impl Check<'_> {
    fn error(&self, text: &Text, message: impl Into<String>, label: &str) -> Diagnostic {
        Diagnostic::new(message).at(place(self.source, &text.span), label)
    }

    fn args(&self, args: Option<&raw::Args>) -> Result<(), Diagnostic> {
        let args = args.map(|args| args.0.as_slice()).unwrap_or_default();
        for (at, (name, _)) in args.iter().enumerate() {
            if !template::is_name(&name.text) {
                return Err(self
                    .error(name, format!("{:?} is not a name for an argument", name.text), "not a name")
                    .hint("a name has letters, digits and _, and starts with none of the digits"));
            }
            if PREDEFINED.contains(&name.text.as_str()) {
                return Err(self
                    .error(name, format!("every build has {} already", name.text), "cannot be declared")
                    .hint("remove it; it can be used without being declared"));
            }
            if args[..at].iter().any(|(other, _)| other.text == name.text) {
                return Err(self
                    .error(name, format!("`{}` is given twice", name.text), "the second time")
                    .hint("remove one of the two"));
            }
        }
        Ok(())
    }

    fn stages(&self, stages: &[(Text, Stage)]) -> Result<(), Diagnostic> {
        for (name, _) in stages {
            let text = name.text.as_str();
            if text == "scratch" {
                return Err(self
                    .error(name, "a stage cannot be called `scratch`", "")
                    .hint("`scratch` is the empty image"));
            }
            let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
            if !text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric) || !text.bytes().all(word) {
                return Err(self
                    .error(name, format!("{text:?} is not a name for a stage"), "not a name")
                    .hint(
                        "a name has letters, digits, `-`, `_` and `.`, and starts with a letter or a digit",
                    ));
            }
        }
        Ok(())
    }

    /// What is said of the build as a whole. `expand` gives a text with its arguments, or none if it is not to be looked
    /// at yet.
    fn defaults(
        &self,
        file: &raw::File,
        expand: &dyn Fn(&Text) -> Result<Option<Text>, Diagnostic>,
    ) -> Result<Defaults, Diagnostic> {
        let texts = |list: &Option<OneOrMany<Text>>| {
            let list = list.as_ref().map(|list| list.0.as_slice()).unwrap_or_default();
            list.iter().filter_map(|text| expand(text).transpose()).collect::<Result<Vec<_>, _>>()
        };
        let platforms = texts(&file.platforms)?;
        let tags = texts(&file.tags)?;
        let registries = texts(&file.registries)?;
        let name = file.name.as_ref().map(expand).transpose()?.flatten();
        if let Some(name) = &name {
            name.text.parse().map(|_: Repository| ()).map_err(|_| {
                self.error(name, format!("{:?} is not a repository's name", name.text), "not a name").hint(
                    "a name has a-z and 0-9, with `.`, `_`, `-` or `/` between them, such as `team/app`",
                )
            })?;
        }
        let mut parsed: Vec<Platform> = Vec::new();
        for text in &platforms {
            let platform = parse_platform(&text.text, &text.span, self.source)?;
            if parsed.contains(&platform) {
                return Err(self.error(
                    text,
                    format!("the platform {platform} is given twice"),
                    "the second time",
                ));
            }
            parsed.push(platform);
        }
        for text in &tags {
            if Rule::is_rule(&text.text) {
                Rule::parse_all(&text.text).map_err(|error| {
                    let told = self.error(text, error.to_string(), "not a rule");
                    error.hints().into_iter().fold(told, |told, hint| told.hint(hint))
                })?;
                continue;
            }
            let reference: Result<crate::oci::Reference, _> = format!("x:{}", text.text).parse();
            if reference.is_err() {
                return Err(self
                    .error(text, format!("{:?} is not a tag", text.text), "not a tag")
                    .hint("a tag is 1 to 128 of A-Z a-z 0-9 _ . - and starts with none of . -"));
            }
        }
        for text in &registries {
            format!("{}/x", text.text).parse().map(|_: Repository| ()).map_err(|_| {
                self.error(text, format!("{:?} is not a registry", text.text), "not a registry")
                    .hint("write HOST, HOST:PORT or either with a path, such as `docker.io/me`")
            })?;
        }
        let strings = |list: Vec<Text>| list.into_iter().map(|text| text.text).collect();
        let args = file.args.iter().flat_map(|args| &args.0).map(|(name, _)| name.text.clone()).collect();
        Ok(Defaults {
            name: name.map(|name| name.text),
            platforms: parsed,
            tags: strings(tags),
            registries: strings(registries),
            args,
        })
    }
}
