//! Image configs: what runs in an image, and how it came to be.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned, ser::SerializeMap};
use serde_json::value::RawValue;

use super::{Digest, JsonError, Platform, canonical};

/// An image config (image-spec `config.md`), written in the spec's field order. Fields that the spec does not know
/// are kept as the text they were read as and written behind the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageConfig {
    /// When the image was made, RFC 3339.
    pub created: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// What it runs on.
    pub platform: Platform,
    /// What a container of it runs.
    pub config: Config,
    /// The layers by the digests of their uncompressed tars.
    pub rootfs: RootFs,
    /// One entry for each step.
    pub history: Vec<History>,
    /// Other fields: name → JSON text.
    pub extra: BTreeMap<String, String>,
}

/// The execution parameters of an image (image-spec `config.md`, "config"), with Docker's extensions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// `user`, `uid`, `user:group`, `uid:gid`.
    pub user: Option<String>,
    /// `port/protocol`, sorted.
    pub exposed_ports: BTreeSet<String>,
    /// `NAME=value`, in the order they were set.
    pub env: Vec<String>,
    /// The program, with its fixed arguments.
    pub entrypoint: Option<Vec<String>>,
    /// The program or the default arguments to the entrypoint.
    pub cmd: Option<Vec<String>>,
    /// Mount points, sorted.
    pub volumes: BTreeSet<String>,
    /// The directory that the program starts in.
    pub working_dir: Option<String>,
    /// Free key-value pairs.
    pub labels: BTreeMap<String, String>,
    /// The signal that asks the program to end.
    pub stop_signal: Option<String>,
    /// Docker: how to find out whether the program is well.
    pub healthcheck: Option<Healthcheck>,
    /// Docker: the command is a single shell line (Windows).
    pub args_escaped: Option<bool>,
    /// Docker: instructions for images built on this one.
    pub on_build: Vec<String>,
    /// Docker: seconds between the stop signal and SIGKILL.
    pub stop_timeout: Option<i64>,
    /// Docker: the shell of shell-form commands.
    pub shell: Option<Vec<String>>,
    /// Other fields: name → JSON text.
    pub extra: BTreeMap<String, String>,
}

/// Docker's health check (moby `image/spec/specs-go/v1`): times are in nanoseconds, 0 means Docker's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", arg…]` or `["CMD-SHELL", line]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<Vec<String>>,
    /// Nanoseconds between checks.
    #[serde(skip_serializing_if = "is_zero")]
    pub interval: i64,
    /// Nanoseconds until a check counts as failed.
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout: i64,
    /// Nanoseconds after the start in which failures do not count.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_period: i64,
    /// Nanoseconds between checks in the start period.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    /// Failures in a row until the container is unhealthy.
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: i64,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// The layers of an image, lowest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The digests of the uncompressed tars.
    pub diff_ids: Vec<Digest>,
}

impl Default for RootFs {
    fn default() -> Self {
        Self { kind: "layers".to_owned(), diff_ids: Vec::new() }
    }
}

/// One step of how an image came to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// When, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// By which instruction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// A remark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether the step added no layer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

impl ImageConfig {
    /// The config of an empty image.
    pub fn scratch(platform: Platform) -> Self {
        Self {
            created: None,
            author: None,
            platform,
            config: Config::default(),
            rootfs: RootFs::default(),
            history: Vec::new(),
            extra: BTreeMap::new(),
        }
    }

    /// Reads a config of either family (OCI, Docker).
    pub fn parse(bytes: &[u8]) -> Result<Self, JsonError> {
        serde_json::from_slice(bytes).map_err(|source| JsonError { what: "image config", source })
    }

    /// The document's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        canonical(self)
    }
}

impl Config {
    /// The value of an environment variable.
    pub fn env(&self, name: &str) -> Option<&str> {
        self.env.iter().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// Sets an environment variable, in its old place if it was set before.
    pub fn set_env(&mut self, name: &str, value: &str) {
        let pair = format!("{name}={value}");
        let same = |old: &&mut String| old.split('=').next() == Some(name);
        match self.env.iter_mut().find(same) {
            Some(old) => *old = pair,
            None => self.env.push(pair),
        }
    }
}

/// The fields of an object while they are taken out one by one. Docker writes `null` for what is absent.
struct Fields(BTreeMap<String, Box<RawValue>>);

impl Fields {
    fn take<T: DeserializeOwned, E: serde::de::Error>(&mut self, name: &str) -> Result<Option<T>, E> {
        match self.0.remove(name) {
            Some(raw) => {
                serde_json::from_str(raw.get()).map_err(|error| E::custom(format!("{name}: {error}")))
            }
            None => Ok(None),
        }
    }

    /// A field of the form `{"name": {}}`, which JSON uses for sets.
    fn take_set<E: serde::de::Error>(&mut self, name: &str) -> Result<BTreeSet<String>, E> {
        let map: Option<BTreeMap<String, Box<RawValue>>> = self.take(name)?;
        Ok(map.unwrap_or_default().into_keys().collect())
    }

    fn rest(self) -> BTreeMap<String, String> {
        self.0.into_iter().map(|(name, raw)| (name, raw.get().to_owned())).collect()
    }
}

/// Writes the fields of an object in order, without those that are absent.
struct Object<S: SerializeMap>(S);

impl<S: SerializeMap> Object<S> {
    fn some<T: Serialize>(&mut self, name: &str, value: &Option<T>) -> Result<(), S::Error> {
        value.as_ref().map_or(Ok(()), |value| self.0.serialize_entry(name, value))
    }

    fn set(&mut self, name: &str, values: &BTreeSet<String>) -> Result<(), S::Error> {
        if values.is_empty() {
            return Ok(());
        }
        #[derive(Serialize)]
        struct Nothing {}
        let map: BTreeMap<&str, Nothing> = values.iter().map(|value| (value.as_str(), Nothing {})).collect();
        self.0.serialize_entry(name, &map)
    }

    fn extra(&mut self, extra: &BTreeMap<String, String>) -> Result<(), S::Error> {
        for (name, text) in extra {
            let raw: &RawValue = serde_json::from_str(text).map_err(serde::ser::Error::custom)?;
            self.0.serialize_entry(name, raw)?;
        }
        Ok(())
    }
}

fn non_empty<T>(values: &[T]) -> Option<&[T]> {
    (!values.is_empty()).then_some(values)
}

impl<'de> Deserialize<'de> for ImageConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Fields(BTreeMap::deserialize(deserializer)?);
        let text = |name: &str, fields: &mut Fields| fields.take::<String, D::Error>(name);
        let missing = |name| <D::Error as serde::de::Error>::missing_field(name);
        Ok(Self {
            created: text("created", &mut fields)?,
            author: text("author", &mut fields)?,
            platform: Platform {
                architecture: fields.take("architecture")?.ok_or_else(|| missing("architecture"))?,
                os: fields.take("os")?.ok_or_else(|| missing("os"))?,
                os_version: text("os.version", &mut fields)?,
                os_features: fields.take("os.features")?.unwrap_or_default(),
                variant: text("variant", &mut fields)?.filter(|variant| !variant.is_empty()),
            },
            config: fields.take("config")?.unwrap_or_default(),
            rootfs: fields.take("rootfs")?.ok_or_else(|| missing("rootfs"))?,
            history: fields.take("history")?.unwrap_or_default(),
            extra: fields.rest(),
        })
    }
}

impl Serialize for ImageConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = Object(serializer.serialize_map(None)?);
        object.some("created", &self.created)?;
        object.some("author", &self.author)?;
        object.0.serialize_entry("architecture", &self.platform.architecture)?;
        object.0.serialize_entry("os", &self.platform.os)?;
        object.some("os.version", &self.platform.os_version)?;
        object.some("os.features", &non_empty(&self.platform.os_features))?;
        object.some("variant", &self.platform.variant)?;
        object.0.serialize_entry("config", &self.config)?;
        object.0.serialize_entry("rootfs", &self.rootfs)?;
        object.some("history", &non_empty(&self.history))?;
        object.extra(&self.extra)?;
        object.0.end()
    }
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Fields(BTreeMap::deserialize(deserializer)?);
        // Docker writes "" for what is not set.
        let text = |name: &str, fields: &mut Fields| {
            fields.take::<String, D::Error>(name).map(|text| text.filter(|text| !text.is_empty()))
        };
        Ok(Self {
            user: text("User", &mut fields)?,
            exposed_ports: fields.take_set("ExposedPorts")?,
            env: fields.take("Env")?.unwrap_or_default(),
            entrypoint: fields.take("Entrypoint")?,
            cmd: fields.take("Cmd")?,
            volumes: fields.take_set("Volumes")?,
            working_dir: text("WorkingDir", &mut fields)?,
            labels: fields.take("Labels")?.unwrap_or_default(),
            stop_signal: text("StopSignal", &mut fields)?,
            healthcheck: fields.take("Healthcheck")?,
            args_escaped: fields.take("ArgsEscaped")?,
            on_build: fields.take("OnBuild")?.unwrap_or_default(),
            stop_timeout: fields.take("StopTimeout")?,
            shell: fields.take("Shell")?,
            extra: fields.rest(),
        })
    }
}

impl Serialize for Config {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = Object(serializer.serialize_map(None)?);
        object.some("User", &self.user)?;
        object.set("ExposedPorts", &self.exposed_ports)?;
        object.some("Env", &non_empty(&self.env))?;
        object.some("Entrypoint", &self.entrypoint)?;
        object.some("Cmd", &self.cmd)?;
        object.set("Volumes", &self.volumes)?;
        object.some("WorkingDir", &self.working_dir)?;
        object.some("Labels", &(!self.labels.is_empty()).then_some(&self.labels))?;
        object.some("StopSignal", &self.stop_signal)?;
        object.some("Healthcheck", &self.healthcheck)?;
        object.some("ArgsEscaped", &self.args_escaped)?;
        object.some("OnBuild", &non_empty(&self.on_build))?;
        object.some("StopTimeout", &self.stop_timeout)?;
        object.some("Shell", &self.shell)?;
        object.extra(&self.extra)?;
        object.0.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_kept_to_the_byte() {
        let text = concat!(
            r#"{"architecture":"arm64","os":"linux","variant":"v8","config":{"ExposedPorts":{"80/tcp":{}},"#,
            r#""Env":["A=1"],"Cmd":["sh"],"Healthcheck":{"Test":["CMD","true"],"Interval":30000000000},"#,
            r#""OnBuild":["RUN x"],"StopTimeout":3,"Shell":["/bin/sh"],"Zed":{"b":1.50,"a":[ 1 ]}},"#,
            r#""rootfs":{"type":"layers","diff_ids":[]},"history":[{"created_by":"x","empty_layer":true}],"#,
            r#""container":"abc","moby.buildkit.cache.v0":"bm8="}"#,
        );
        let config = ImageConfig::parse(text.as_bytes()).expect("valid");
        assert_eq!(String::from_utf8(config.to_bytes()).expect("UTF-8"), text);
        assert_eq!(config.config.env("A"), Some("1"));
    }

    #[test]
    fn nulls_and_empty_strings_are_absent() {
        let text = r#"{"architecture":"amd64","os":"linux","config":{"User":"","Env":null,"Cmd":null,"Volumes":null},
            "rootfs":{"type":"layers","diff_ids":[]},"history":null}"#;
        let config = ImageConfig::parse(text.as_bytes()).expect("valid");
        assert_eq!(config.config, Config::default());
    }

    #[test]
    fn an_environment_variable_keeps_its_place() {
        let mut config = Config { env: vec!["PATH=/bin".into(), "A=1".into()], ..Config::default() };
        config.set_env("PATH", "/usr/bin");
        config.set_env("B", "2");
        assert_eq!(config.env, ["PATH=/usr/bin", "A=1", "B=2"]);
    }
}
