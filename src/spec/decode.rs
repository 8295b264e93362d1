//! [`Node`] → the types of a spec as written.

use std::ops::Range;

use schemars::JsonSchema;

use super::{
    node::{Key, Node, Value},
    suggest,
    yaml::first_line,
};
use crate::{
    oci::{Platform, PlatformError},
    source::{Diagnostic, Location, SourceFile},
};

/// A type that a YAML value can be read as.
pub(super) trait Decode: Sized {
    /// What a user must write, for messages: `a map`, `a text`.
    const EXPECTED: &'static str;

    fn decode(node: &Node, file: &SourceFile) -> Result<Self, Diagnostic>;
}

/// The place of a range; of its first line only, if it has several.
pub(super) fn place(file: &SourceFile, span: &Range<usize>) -> Location {
    file.at(first_line(file.text(), span.clone()))
}

/// A platform.
pub(super) fn parse_platform(
    text: &str,
    span: &Range<usize>,
    file: &SourceFile,
) -> Result<Platform, Diagnostic> {
    const COMMON: [&str; 5] = ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/386", "linux/riscv64"];
    text.parse().map_err(|error: PlatformError| {
        let near = COMMON.into_iter().find(|name| name.split('/').nth(1) == Some(text));
        let near = near.or_else(|| suggest::closest(text, COMMON));
        let diagnostic = Diagnostic::new(error.to_string()).at(place(file, span), "not a platform");
        match near {
            Some(near) => diagnostic.hint(format!("did you mean `{near}`?")),
            None => diagnostic,
        }
    })
}

/// The error of a value of the wrong type.
pub(super) fn wrong_type<T: Decode>(node: &Node, file: &SourceFile) -> Diagnostic {
    let diagnostic = Diagnostic::new(format!("expected {}, found {}", T::EXPECTED, node.describe()))
        .at(place(file, &node.span), format!("expected {}", T::EXPECTED));
    match node.value {
        Value::Null => diagnostic.hint("give it a value, or remove the line"),
        _ => diagnostic,
    }
}

/// The fields of a map while they are read.
pub(super) struct Fields<'a> {
    fields: &'a [(Key, Node)],
    span: &'a Range<usize>,
    file: &'a SourceFile,
    known: Vec<String>,
}

impl<'a> Fields<'a> {
    /// The fields of a node that must be a map.
    pub(super) fn of<T: Decode>(node: &'a Node, file: &'a SourceFile) -> Result<Self, Diagnostic> {
        match &node.value {
            Value::Map(fields) => Ok(Self { fields, span: &node.span, file, known: Vec::new() }),
            _ => Err(wrong_type::<T>(node, file)),
        }
    }

    /// Reads one field, named as in Rust.
    pub(super) fn take<T: DecodeField>(&mut self, name: &str) -> Result<T, Diagnostic> {
        let name = camel_case(name);
        let found = self.fields.iter().find(|(key, _)| key.text == name);
        let field = T::decode_field(found.map(|(_, node)| node), self.file)?;
        self.known.push(name.clone());
        field.ok_or_else(|| {
            let place = place(self.file, self.span);
            // A misspelt field is the likelier mistake, and the better message.
            let known = [name.as_str()];
            match self.fields.iter().find(|(key, _)| suggest::closest(&key.text, known).is_some()) {
                Some((key, _)) => Diagnostic::new(format!("unknown field `{}`", key.text))
                    .at(self.file.at(key.span.clone()), "unknown field")
                    .hint(format!("did you mean `{name}`?")),
                None => Diagnostic::new(format!("`{name}` is missing"))
                    .at(place, format!("`{name}` is missing here"))
                    .hint(format!("add `{name}: …`")),
            }
        })
    }

    /// Fails on a field that nobody took.
    pub(super) fn finish(self) -> Result<(), Diagnostic> {
        for (key, _) in self.fields {
            if !self.known.contains(&key.text) {
                let known: Vec<&str> = self.known.iter().map(String::as_str).collect();
                return Err(Diagnostic::new(format!("unknown field `{}`", key.text))
                    .at(self.file.at(key.span.clone()), "unknown field")
                    .hint(suggest::hint(&key.text, &known, "fields known here")));
            }
        }
        Ok(())
    }
}

/// `stop_signal` → `stopSignal`.
fn camel_case(name: &str) -> String {
    let mut parts = name.split('_');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut chars = part.chars();
        out.extend(chars.next().map(|c| c.to_ascii_uppercase()));
        out.push_str(chars.as_str());
    }
    out
}

/// A field, which may be missing.
pub(super) trait DecodeField: Sized {
    /// `None` where it is missing and must not be.
    fn decode_field(node: Option<&Node>, file: &SourceFile) -> Result<Option<Self>, Diagnostic>;
}

impl<T: Decode> DecodeField for T {
    fn decode_field(node: Option<&Node>, file: &SourceFile) -> Result<Option<Self>, Diagnostic> {
        node.map(|node| T::decode(node, file)).transpose()
    }
}

impl<T: Decode> DecodeField for Option<T> {
    fn decode_field(node: Option<&Node>, file: &SourceFile) -> Result<Option<Self>, Diagnostic> {
        node.map(|node| T::decode(node, file)).transpose().map(Some)
    }
}

/// A struct whose fields are a map's, with its JSON Schema.
macro_rules! record {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $ty:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, schemars::JsonSchema)]
        #[schemars(rename_all = "camelCase", deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $ty,)*
            /// The bytes of the file that it is written in.
            #[schemars(skip)]
            pub span: std::ops::Range<usize>,
        }

        impl $crate::spec::decode::Decode for $name {
            const EXPECTED: &'static str = "a map";

            fn decode(
                node: &$crate::spec::node::Node,
                file: &$crate::source::SourceFile,
            ) -> Result<Self, $crate::source::Diagnostic> {
                let mut fields = $crate::spec::decode::Fields::of::<Self>(node, file)?;
                let record = Self {
                    $($field: fields.take(stringify!($field))?,)*
                    span: node.span.clone(),
                };
                fields.finish()?;
                Ok(record)
            }
        }
    };
}

/// A choice of a few words, with its JSON Schema.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$word_meta:meta])* $word:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, schemars::JsonSchema)]
        pub enum $name {
            $($(#[$word_meta])* #[schemars(rename = $text)] $word,)*
        }

        impl $crate::spec::decode::Decode for $name {
            const EXPECTED: &'static str = concat!("one of", $(" `", $text, "`",)*);

            fn decode(
                node: &$crate::spec::node::Node,
                file: &$crate::source::SourceFile,
            ) -> Result<Self, $crate::source::Diagnostic> {
                match &node.value {
                    $($crate::spec::node::Value::Scalar { text, .. } if text == $text => Ok(Self::$word),)*
                    $crate::spec::node::Value::Scalar { text, .. } => {
                        let error = $crate::spec::decode::wrong_type::<Self>(node, file);
                        Err(match $crate::spec::suggest::closest(text, [$($text),*]) {
                            Some(word) => error.hint(format!("did you mean `{word}`?")),
                            None => error,
                        })
                    }
                    _ => Err($crate::spec::decode::wrong_type::<Self>(node, file)),
                }
            }
        }
    };
}

pub(super) use {record, words};

impl<T: Decode> Decode for Vec<T> {
    const EXPECTED: &'static str = "a list";

    fn decode(node: &Node, file: &SourceFile) -> Result<Self, Diagnostic> {
        match &node.value {
            Value::List(items) => items.iter().map(|item| T::decode(item, file)).collect(),
            Value::Map(_) => Err(wrong_type::<Self>(node, file).hint("start each item with `- `")),
            _ => Err(wrong_type::<Self>(node, file)),
        }
    }
}

impl<T: Decode> Decode for Box<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn decode(node: &Node, file: &SourceFile) -> Result<Self, Diagnostic> {
        T::decode(node, file).map(Box::new)
    }
}

impl Decode for bool {
    const EXPECTED: &'static str = "`true` or `false`";

    fn decode(node: &Node, file: &SourceFile) -> Result<Self, Diagnostic> {
        match &node.value {
            Value::Scalar { text, plain: true } if text == "true" => Ok(true),
            Value::Scalar { text, plain: true } if text == "false" => Ok(false),
            _ => Err(wrong_type::<Self>(node, file)),
        }
    }
}

/// Makes sure that a type of this module has a schema.
pub(super) fn schema_of<T: JsonSchema>(generator: &mut schemars::SchemaGenerator) -> serde_json::Value {
    generator.subschema_for::<T>().to_value()
}
