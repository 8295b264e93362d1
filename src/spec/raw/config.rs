//! The image's config.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{Choice, Command, OneOrMany, Text, TextMap};
use crate::{
    source::{Diagnostic, SourceFile},
    spec::{
        decode::{Decode, record, schema_of, wrong_type},
        node::{Node, Value},
    },
};

record! {
    /// What a container of the image runs, and how. Whatever is not given is the base's.
    Config {
        /// The user: `user`, `uid`, `user:group` or `uid:gid`.
        user: Option<Choice<Text>>,
        /// Environment variables, on top of the base's; a value may use variables that are set already.
        env: Option<Choice<TextMap>>,
        /// The program with its fixed arguments; a text is run by the shell, `[]` takes the base's away. The base's
        /// `cmd` goes with it.
        entrypoint: Option<Choice<Command>>,
        /// The program, or the arguments of `entrypoint`; a text is run by the shell, `[]` takes the base's away.
        cmd: Option<Choice<Command>>,
        /// The shell that runs commands given as texts.
        shell: Option<Choice<Vec<Text>>>,
        /// The directory that the program starts in.
        workdir: Option<Choice<Text>>,
        /// Ports: `8000`, `"53/udp"`, `8000-8010`.
        expose: Option<Choice<OneOrMany<Text>>>,
        /// Mount points: absolute paths.
        volumes: Option<Choice<OneOrMany<Text>>>,
        /// Labels, on top of the base's.
        labels: Option<Choice<TextMap>>,
        /// Annotations of the image's manifest; on top of the file's. Not handed down to other stages.
        annotations: Option<Choice<TextMap>>,
        /// The signal that asks the program to end: `SIGTERM`.
        stop_signal: Option<Choice<Text>>,
        /// How long it then has before it is killed: `10s`.
        stop_timeout: Option<Choice<Text>>,
        /// How to find out whether the program is well; `none` takes the base's away.
        healthcheck: Option<Choice<Healthcheck>>,
        /// Dockerfile instructions for images built on this one, as they are.
        onbuild: Option<Choice<OneOrMany<Text>>>,
    }
}

/// A health check, or `none`.
#[derive(Debug, Clone)]
pub enum Healthcheck {
    /// The base's is taken away.
    None,
    /// A check.
    Some(Box<HealthcheckTimes>),
}

record! {
    /// How to find out whether the program is well.
    HealthcheckTimes {
        /// The command; a text is run by the shell. The base's if not given.
        cmd: Option<Command>,
        /// The time between checks: `30s`.
        interval: Option<Text>,
        /// The time until a check counts as failed.
        timeout: Option<Text>,
        /// The time after the start in which failures do not count.
        start_period: Option<Text>,
        /// The time between checks in that period.
        start_interval: Option<Text>,
        /// Failures in a row until the container is unhealthy.
        retries: Option<Text>,
    }
}

impl Decode for Healthcheck {
    const EXPECTED: &'static str = "a map with `cmd`, or `none`";

    fn decode(node: &Node, file: &SourceFile) -> Result<Self, Diagnostic> {
        match &node.value {
            Value::Scalar { text, .. } if text == "none" => Ok(Self::None),
            Value::Map(_) => HealthcheckTimes::decode(node, file).map(|check| Self::Some(Box::new(check))),
            Value::List(_) | Value::Scalar { .. } => {
                Err(wrong_type::<Self>(node, file).hint("write {cmd: …, interval: 30s}"))
            }
            Value::Null => Err(wrong_type::<Self>(node, file)),
        }
    }
}

impl JsonSchema for Healthcheck {
    fn schema_name() -> Cow<'static, str> {
        "Healthcheck".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "How to find out whether the program is well; `none` takes the base's check away.",
            "anyOf": [{ "const": "none" }, schema_of::<HealthcheckTimes>(generator)],
        })
    }
}
