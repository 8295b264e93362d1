//! Caches of a build: flags, environment and configuration file to settings.

use std::{collections::BTreeSet, path::PathBuf};

use clap::{Args, ValueHint};

use super::{
    Environment, GlobalSettings, SettingsError,
    cache::{parse_cache_from, parse_cache_to},
    env, eviction,
    flags::WorkFlags,
};
use crate::{
    cache::{self, Target},
    registry::Secret,
    solve::SharedMounts,
    store::Cap,
};

/// What goes between machines, and who is believed.
#[derive(Debug, Clone, Default, Args)]
pub struct SharedCacheFlags {
    /// Let cache mounts begin with what --cache-from has of them, and give --cache-to what they hold at the end: both,
    /// import or export, or mode=…,max=SIZE for at most so many bytes of each [default: none; 2GB]
    /// [env: IMGBUILD_CACHE_MOUNTS]
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "both")]
    pub cache_mounts: Option<String>,
    /// Sign what --cache-to gets: the file of a private key, or env:NAME; see `imgbuild cache keygen`
    /// [env: IMGBUILD_CACHE_SIGN_KEY]
    #[arg(long, value_name = "FILE|env:NAME", value_hint = ValueHint::FilePath)]
    pub cache_sign_key: Option<String>,
    /// Believe of --cache-from only what this public key has signed: a file, or env:NAME; may be repeated
    /// [env: IMGBUILD_CACHE_TRUST_KEY]
    #[arg(long, value_name = "FILE|env:NAME", value_hint = ValueHint::FilePath)]
    pub cache_trust_key: Vec<String>,
}

/// Which caches are asked of what other machines did.
#[derive(Debug, Clone, Default, Args)]
pub struct SharedBuildFlags {
    /// Look for builds in a cache that machines share, too: as `imgbuild build` takes it
    #[arg(long, value_name = "CACHE")]
    pub cache_from: Vec<String>,
    /// Believe only what this public key has signed: a file, or env:NAME; may be repeated
    /// [env: IMGBUILD_CACHE_TRUST_KEY]
    #[arg(long, value_name = "FILE|env:NAME", value_hint = ValueHint::FilePath)]
    pub cache_trust_key: Vec<String>,
}

impl SharedBuildFlags {
    /// The caches, and the keys that are trusted.
    ///
    /// # Errors
    /// A text that is no cache or no key.
    pub fn resolve(
        &self,
        global: &GlobalSettings,
        environment: &Environment,
    ) -> Result<CacheSettings, SettingsError> {
        let from = self.cache_from.iter().map(|text| parse_cache_from(text, environment));
        Ok(CacheSettings {
            from: from.collect::<Result<_, _>>()?,
            trust_keys: trust_keys(&self.cache_trust_key, global, environment)?,
            ..CacheSettings::default()
        })
    }
}

/// Where a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// In a file.
    File(PathBuf),
    /// In an environment variable: its name, and its value.
    Variable(String, Secret),
}

/// What is done again although it was done before, and where else that is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheSettings {
    /// Every step.
    pub no_cache: bool,
    /// The steps of these stages.
    pub no_cache_filter: BTreeSet<String>,
    /// Asking what a tag means.
    pub pull: bool,
    /// Caches of other machines that are asked, in this order.
    pub from: Vec<cache::Place>,
    /// Caches of other machines that are told.
    pub to: Vec<Target>,
    /// The steps that the build fails for if they are not in the cache.
    pub fail_on_miss: Vec<String>,
    /// Where the key is that signs what is written.
    pub sign_key: Option<KeySource>,
    /// Where the keys are whose signatures count.
    pub trust_keys: Vec<KeySource>,
}

impl CacheSettings {
    pub(super) fn resolve(
        flags: &WorkFlags,
        shared: &SharedCacheFlags,
        global: &GlobalSettings,
        environment: &Environment,
    ) -> Result<Self, SettingsError> {
        let from = flags.cache_from.iter().map(|text| parse_cache_from(text, environment));
        let to = flags.cache_to.iter().map(|text| parse_cache_to(text, environment));
        Ok(Self {
            no_cache: flags.no_cache,
            no_cache_filter: flags.no_cache_filter.iter().cloned().collect(),
            pull: flags.pull,
            from: from.collect::<Result<_, _>>()?,
            to: to.collect::<Result<_, _>>()?,
            fail_on_miss: flags.fail_on_miss.clone(),
            sign_key: sign_key(shared, global, environment)?,
            trust_keys: trust_keys(&shared.cache_trust_key, global, environment)?,
        })
    }
}

/// Which ways cache mounts go.
pub(super) fn shared_mounts(
    flags: &SharedCacheFlags,
    global: &GlobalSettings,
    environment: &Environment,
) -> Result<SharedMounts, SettingsError> {
    let variable = env::IMGBUILD_CACHE_MOUNTS;
    match (&flags.cache_mounts, environment.text(variable), &global.config.cache.mounts) {
        (Some(text), ..) => mounts(text).ok_or_else(|| wrong_mounts("--cache-mounts", text)),
        (None, Some(text), _) => mounts(text).ok_or_else(|| wrong_mounts(variable, text)),
        (None, None, config) => Ok(config.unwrap_or(SharedMounts::NONE)),
    }
}

fn wrong_mounts(name: &str, text: &str) -> SettingsError {
    SettingsError::new(format!("{name} {text:?} is not {MOUNTS}"))
}

/// What `--cache-mounts` must be, in words.
pub(super) const MOUNTS: &str = "both, import, export or none, or as in mode=both,max=2GB";

/// Reads `--cache-mounts`: a mode, or a list with `mode` and `max`.
pub(super) fn mounts(text: &str) -> Option<SharedMounts> {
    let mut shared = SharedMounts { import: true, export: true, ..SharedMounts::NONE };
    for part in text.split(',') {
        let (key, value) = part.split_once('=').unwrap_or(("mode", part));
        match (key, value) {
            ("mode", "both" | "true" | "1") => (shared.import, shared.export) = (true, true),
            ("mode", "import") => (shared.import, shared.export) = (true, false),
            ("mode", "export") => (shared.import, shared.export) = (false, true),
            ("mode", "none" | "false" | "0") => (shared.import, shared.export) = (false, false),
            ("max", size) => match eviction::size(size)? {
                Cap::Bytes(bytes) if bytes > 0 => shared.max_size = bytes,
                _ => return None,
            },
            _ => return None,
        }
    }
    Some(shared)
}

fn sign_key(
    flags: &SharedCacheFlags,
    global: &GlobalSettings,
    environment: &Environment,
) -> Result<Option<KeySource>, SettingsError> {
    let text = flags.cache_sign_key.as_deref().or(environment.text(env::IMGBUILD_CACHE_SIGN_KEY));
    match text {
        Some(text) => key("--cache-sign-key", text, environment).map(Some),
        None => Ok(global.config.cache.sign_key.clone().map(KeySource::File)),
    }
}

/// The keys whose signatures count.
pub(super) fn trust_keys(
    flags: &[String],
    global: &GlobalSettings,
    environment: &Environment,
) -> Result<Vec<KeySource>, SettingsError> {
    let texts = match (flags, environment.text(env::IMGBUILD_CACHE_TRUST_KEY)) {
        ([], None) => {
            return Ok(global.config.cache.trust_keys.iter().cloned().map(KeySource::File).collect());
        }
        ([], Some(text)) => vec![text.to_owned()],
        (texts, _) => texts.to_vec(),
    };
    texts.iter().map(|text| key("--cache-trust-key", text, environment)).collect()
}

/// A key as a flag names it.
fn key(flag: &str, text: &str, environment: &Environment) -> Result<KeySource, SettingsError> {
    if text.is_empty() {
        return Err(SettingsError::new(format!("{flag} is empty")));
    }
    let Some(name) = text.strip_prefix("env:") else {
        return Ok(KeySource::File(environment.current_dir().join(text)));
    };
    let value = environment.text(name);
    let missing = || SettingsError::not_found(format!("{flag} {text}: the variable {name} is not set"));
    Ok(KeySource::Variable(name.to_owned(), Secret::new(value.ok_or_else(missing)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_of_cache_mounts_are_read() {
        let ways = |text| mounts(text).map(|shared| (shared.import, shared.export, shared.max_size));
        for (text, expected) in [
            ("both", Some((true, true, 2_000_000_000))),
            ("import", Some((true, false, 2_000_000_000))),
            ("mode=export,max=1GiB", Some((false, true, 1 << 30))),
            ("max=5MB", Some((true, true, 5_000_000))),
            ("none", Some((false, false, 2_000_000_000))),
            ("", None),
            ("max=10%", None),
            ("max=0", None),
            ("mode=sideways", None),
            ("both,min=1", None),
        ] {
            assert_eq!(ways(text), expected, "{text:?}");
        }
    }

    #[test]
    fn keys_are_files_or_variables() {
        let environment = Environment::of("/here", [("KEY", "secret")]);
        let key = |text| key("--cache-sign-key", text, &environment);
        assert_eq!(key("a.pem"), Ok(KeySource::File("/here/a.pem".into())));
        assert_eq!(key("env:KEY"), Ok(KeySource::Variable("KEY".into(), Secret::new("secret"))));
        assert!(!format!("{:?}", key("env:KEY")).contains("secret"));
        for wrong in ["", "env:OTHER"] {
            key(wrong).unwrap_err();
        }
    }
}
