//! The file as a whole, and its stages.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{Choice, Config, OneOrMany, Rules, Step, Text, TextMap};
use crate::{
    source::{Diagnostic, SourceFile},
    spec::{
        decode::{Decode, Fields, record, schema_of, wrong_type},
        node::{Node, Value},
    },
};

record! {
    /// What to build: stages of steps, and the images made of them.
    File {
        /// The repository's name, joined to each registry.
        name: Option<Text>,
        /// The platforms to build for; this machine's if not given.
        platforms: Option<OneOrMany<Text>>,
        /// Whose rules hold where specs and Dockerfiles differ: `own` (if not given) or `docker`.
        rules: Option<Rules>,
        /// Build arguments with their defaults; `--build-arg NAME=value` goes before them.
        args: Option<Args>,
        /// The stages by name. A single stage can be written without: `from`, `platform`, `workdir`, `layers` and
        /// `config` then stand at the top.
        stages: Option<Stages>,
        /// A single stage: what it starts from.
        from: Option<Choice<Text>>,
        /// A single stage: the platform that the base is taken for, if not the one built for.
        platform: Option<Choice<Text>>,
        /// A single stage: the working directory of its steps and of the image.
        workdir: Option<Choice<Text>>,
        /// A single stage: its steps.
        layers: Option<Vec<Step>>,
        /// A single stage: what a container of the image runs.
        config: Option<Config>,
        /// The stage that is built unless `--target` says another; the last one if not given.
        target: Option<Text>,
        /// The image's tags, and rules that give some: `semver`, `branch`, `sha`, `type=semver,pattern={{version}}`.
        tags: Option<OneOrMany<Text>>,
        /// Registries that the image is pushed to, each with an optional path: `docker.io/me`.
        registries: Option<OneOrMany<Text>>,
        /// Annotations of the image's manifests and of the index.
        annotations: Option<Choice<TextMap>>,
        /// Annotations of the index alone, on top of `annotations`.
        index_annotations: Option<TextMap>,
    }
}

record! {
    /// A stage: a chain of steps on a base.
    Stage {
        /// What it starts from: another stage, a named context, an image, or `scratch`.
        from: Choice<Text>,
        /// The platform that the base is taken for and commands run on, if not the one built for.
        platform: Option<Choice<Text>>,
        /// The working directory of the steps and of the image.
        workdir: Option<Choice<Text>>,
        /// The steps, in order.
        layers: Option<Vec<Step>>,
        /// What a container of the image runs.
        config: Option<Config>,
    }
}

/// Stages by name, in the order written.
#[derive(Debug, Clone)]
pub struct Stages(pub Vec<(Text, Stage)>);

impl Decode for Stages {
    const EXPECTED: &'static str = "a map of stages by name";

    fn decode(node: &Node, file: &SourceFile) -> Result<Self, Diagnostic> {
        match &node.value {
            Value::Map(stages) => stages
                .iter()
                .map(|(key, stage)| Ok((key.into(), Stage::decode(stage, file)?)))
                .collect::<Result<_, _>>()
                .map(Self),
            Value::List(_) => {
                Err(wrong_type::<Self>(node, file).hint("write `name:` above each stage, not `- `"))
            }
            _ => Err(wrong_type::<Self>(node, file)),
        }
    }
}

impl JsonSchema for Stages {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Stages".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "additionalProperties": schema_of::<Stage>(generator), "minProperties": 1 })
    }
}

/// Build arguments, in the order written, each with its default if it has one.
#[derive(Debug, Clone)]
pub struct Args(pub Vec<(Text, Option<Text>)>);

impl Decode for Args {
    const EXPECTED: &'static str = "a map of names to defaults, or a list of names";

    fn decode(node: &Node, file: &SourceFile) -> Result<Self, Diagnostic> {
        match &node.value {
            Value::Map(args) => args
                .iter()
                .map(|(key, value)| match value.value {
                    Value::Null => Ok((key.into(), None)),
                    _ => Ok((key.into(), Some(Text::decode(value, file)?))),
                })
                .collect::<Result<_, _>>()
                .map(Self),
            Value::List(items) => items
                .iter()
                .map(|item| {
                    let whole = Text::decode(item, file)?;
                    Ok(match whole.text.clone().split_once('=') {
                        None => (whole, None),
                        Some((name, default)) => {
                            let name = Text { text: name.to_owned(), ..whole.clone() };
                            (name, Some(Text { text: default.to_owned(), ..whole }))
                        }
                    })
                })
                .collect::<Result<_, _>>()
                .map(Self),
            _ => Err(wrong_type::<Self>(node, file)),
        }
    }
}

impl JsonSchema for Args {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Args".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "object", "additionalProperties": { "type": ["string", "number", "boolean", "null"] } },
                { "type": "array", "items": { "type": "string" } },
            ]
        })
    }
}

impl File {
    /// The stages by name: `stages`, or the single one that stands at the top, named `main`.
    pub(in crate::spec) fn into_stages(
        mut self,
        node: &Node,
        file: &SourceFile,
    ) -> Result<(Self, Vec<(Text, Stage)>), Diagnostic> {
        let loose = match &node.value {
            Value::Map(fields) => fields.iter().map(|(key, _)| key).find(|key| {
                matches!(key.text.as_str(), "from" | "platform" | "workdir" | "layers" | "config")
            }),
            _ => None,
        };
        match (self.stages.take(), loose) {
            (Some(_), Some(key)) => {
                Err(Diagnostic::new(format!("`{}` belongs to a stage, and the file has `stages`", key.text))
                    .at(file.at(key.span.clone()), "not inside a stage")
                    .hint("move it into a stage"))
            }
            (Some(stages), None) if stages.0.is_empty() => {
                Err(Diagnostic::new("`stages` has no stage").hint("add one: `app: {from: …, layers: [...]}`"))
            }
            (Some(stages), None) => Ok((self, stages.0)),
            (None, _) => {
                let Some(from) = self.from.take() else {
                    // Reads the fields again, for the message that names a misspelt one.
                    let mut fields = Fields::of::<Self>(node, file)?;
                    fields.take::<Choice<Text>>("from")?;
                    return Err(Diagnostic::new("`from` is missing"));
                };
                let stage = Stage {
                    from,
                    platform: self.platform.take(),
                    workdir: self.workdir.take(),
                    layers: self.layers.take(),
                    config: self.config.take(),
                    span: self.span.clone(),
                };
                let name = Text { text: "main".to_owned(), plain: true, span: self.span.clone() };
                Ok((self, vec![(name, stage)]))
            }
        }
    }
}
