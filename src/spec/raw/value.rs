//! The kinds of values that fields have.

use std::{borrow::Cow, ops::Range};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::super::{
    decode::{Decode, parse_platform, record, schema_of, words, wrong_type},
    node::{Key, Node, Value},
};
use crate::source::{Diagnostic, SourceFile};

/// A text as written, `${…}` included. Numbers and booleans are texts too: `1.10` stays `1.10`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The text.
    pub text: String,
    /// Whether it stands in no quotes.
    pub plain: bool,
    /// The bytes of the file that it is written in.
    pub span: Range<usize>,
}

impl From<&Key> for Text {
    fn from(key: &Key) -> Self {
        Self { text: key.text.clone(), plain: true, span: key.span.clone() }
    }
}

impl Decode for Text {
    const EXPECTED: &'static str = "a text";

    fn decode(node: &Node, file: &SourceFile) -> Result<Self, Diagnostic> {
        match &node.value {
            Value::Scalar { text, plain } => {
                Ok(Self { text: text.clone(), plain: *plain, span: node.span.clone() })
            }
            // What `key: {NAME}` or `- a: b` in a list of texts turn into.
            Value::Map(_) => Err(wrong_type::<Self>(node, file)
                .hint("put a text that has `: ` in it or starts with `{` in quotes")),
            _ => Err(wrong_type::<Self>(node, file)),
        }
    }
}

impl JsonSchema for Text {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

/// A map of names to texts, in the order written.
#[derive(Debug, Clone)]
pub struct TextMap(pub Vec<(Text, Text)>);

impl Decode for TextMap {
    const EXPECTED: &'static str = "a map of names to texts";

    fn decode(node: &Node, file: &SourceFile) -> Result<Self, Diagnostic> {
        match &node.value {
            Value::Map(fields) => {
                fields.iter().map(|(key, value)| Ok((key.into(), Text::decode(value, file)?))).collect()
            }
            Value::List(_) => {
                Err(wrong_type::<Self>(node, file).hint("write `NAME: value`, not `- NAME=value`"))
            }
            _ => Err(wrong_type::<Self>(node, file)),
        }
        .map(Self)
    }
}

impl JsonSchema for TextMap {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TextMap".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "additionalProperties": schema_of::<Text>(generator) })
    }
}

/// One value, or a list of them.
#[derive(Debug, Clone)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<T: Decode> Decode for OneOrMany<T> {
    const EXPECTED: &'static str = "one value or a list";

    fn decode(node: &Node, file: &SourceFile) -> Result<Self, Diagnostic> {
        match &node.value {
            Value::List(_) => Vec::decode(node, file).map(Self),
            _ => Ok(Self(vec![T::decode(node, file)?])),
        }
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let item = schema_of::<T>(generator);
        json_schema!({ "anyOf": [item, { "type": "array", "items": item }] })
    }
}

/// A value in short or as a map of its parts.
#[derive(Debug, Clone)]
pub enum Or<S, L> {
    /// In short.
    Short(S),
    /// As a map.
    Long(L),
}

impl<S: Decode, L: Decode> Decode for Or<S, L> {
    const EXPECTED: &'static str = S::EXPECTED;

    fn decode(node: &Node, file: &SourceFile) -> Result<Self, Diagnostic> {
        match node.value {
            Value::Map(_) => L::decode(node, file).map(Self::Long),
            _ => S::decode(node, file).map(Self::Short),
        }
    }
}

impl<S: JsonSchema, L: JsonSchema> JsonSchema for Or<S, L> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("{}_or_{}", S::schema_name(), L::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [schema_of::<S>(generator), schema_of::<L>(generator)] })
    }
}

/// A value that may differ by platform.
#[derive(Debug, Clone)]
pub enum Choice<T> {
    /// The same for all.
    One(T),
    /// One for each platform.
    ByPlatform(ByPlatform<T>),
}

/// Values by platform.
#[derive(Debug, Clone)]
pub struct ByPlatform<T> {
    /// The platforms as written, `default` among them, each with its value.
    pub branches: Vec<(Text, T)>,
    /// The bytes of the file that it is written in.
    pub span: Range<usize>,
}

/// The key that makes a map a choice.
const BY_PLATFORM: &str = "byPlatform";

impl<T: Decode> Decode for Choice<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn decode(node: &Node, file: &SourceFile) -> Result<Self, Diagnostic> {
        let Value::Map(fields) = &node.value else {
            return T::decode(node, file).map(Self::One);
        };
        let [(key, value)] = fields.as_slice() else {
            return T::decode(node, file).map(Self::One);
        };
        if key.text != BY_PLATFORM {
            return T::decode(node, file).map(Self::One).map_err(|error| {
                let near = super::super::suggest::closest(&key.text, [BY_PLATFORM, "platform"]).is_some();
                if near || key.text.starts_with("linux/") {
                    let example = "{byPlatform: {linux/amd64: …, default: …}}";
                    return Diagnostic::new(format!("expected {}, found a map", T::EXPECTED))
                        .at(file.at(key.span.clone()), "")
                        .hint(format!("a value that differs by platform is written {example}"));
                }
                error
            });
        }
        let Value::Map(branches) = &value.value else {
            return Err(wrong_type::<TextMap>(value, file));
        };
        for (key, _) in branches {
            if key.text != "default" {
                parse_platform(&key.text, &key.span, file)?;
            }
        }
        let branches = branches
            .iter()
            .map(|(key, node)| Ok((key.into(), T::decode(node, file)?)))
            .collect::<Result<_, Diagnostic>>()?;
        Ok(Self::ByPlatform(ByPlatform { branches, span: node.span.clone() }))
    }
}

impl<T: JsonSchema> JsonSchema for Choice<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Choice_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = schema_of::<T>(generator);
        json_schema!({
            "anyOf": [
                value,
                {
                    "description": "One value for each platform, `default` for all others.",
                    "type": "object",
                    "properties": { BY_PLATFORM: {
                        "type": "object",
                        "additionalProperties": value,
                        "minProperties": 1,
                    } },
                    "required": [BY_PLATFORM],
                    "additionalProperties": false,
                },
            ]
        })
    }
}

/// A command: a list is run as it is, a text is run by the shell.
#[derive(Debug, Clone)]
pub enum Command {
    /// A line for the shell.
    Shell(Text),
    /// The program and its arguments.
    Exec(Vec<Text>, Range<usize>),
}

impl Decode for Command {
    const EXPECTED: &'static str = "a list of words or a line for the shell";

    fn decode(node: &Node, file: &SourceFile) -> Result<Self, Diagnostic> {
        match &node.value {
            Value::List(_) => Ok(Self::Exec(Vec::decode(node, file)?, node.span.clone())),
            Value::Scalar { .. } => Text::decode(node, file).map(Self::Shell),
            Value::Null => Err(wrong_type::<Self>(node, file).hint("write [] to take the base's away")),
            Value::Map(_) => Err(wrong_type::<Self>(node, file)),
        }
    }
}

impl JsonSchema for Command {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Command".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string" },
                { "type": "array", "items": { "type": ["string", "number", "boolean"] } },
            ]
        })
    }
}

words! {
    /// The times of copied files.
    Timestamps {
        /// `SOURCE_DATE_EPOCH`, else 1980-01-01: the layer is the same for everyone.
        Fixed = "fixed",
        /// The source's own.
        Preserve = "preserve",
    }
}

words! {
    /// Who may use a cache directory at once.
    Sharing {
        /// Everybody.
        Shared = "shared",
        /// One step: others at the same time get a directory of their own.
        Private = "private",
        /// One step: others wait.
        Locked = "locked",
    }
}

words! {
    /// Whose rules hold where specs and Dockerfiles differ.
    Rules {
        /// Those of specs: the same image on every machine, and layers that stay when the base changes.
        Own = "own",
        /// Those of Dockerfiles.
        Docker = "docker",
    }
}

words! {
    /// The network of a command.
    Network {
        /// What the sandbox gives.
        Default = "default",
        /// None.
        None = "none",
        /// The host's.
        Host = "host",
    }
}

record! {
    /// Modes of files and of directories.
    ModeFields {
        /// The mode of files: a quoted octal number.
        files: Option<Text>,
        /// The mode of directories: a quoted octal number.
        dirs: Option<Text>,
    }
}

/// One mode for all, or one for files and one for directories.
pub type Modes = Or<Text, ModeFields>;
