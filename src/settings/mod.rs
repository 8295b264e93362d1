//! Settings: flags, environment and configuration file, resolved to typed values that the commands are given.
//!
//! Flags as written ([`BuildFlags`], [`GlobalFlags`], …) and what they come to ([`BuildSettings`], …) are different
//! types, and this room is the only way from one to the other. A flag goes before the environment, the environment
//! before the configuration file, the file before a spec's own values, and those before the defaults.
//!
//! This room does not know how anything is built or shown.

mod awaited;
mod build;
mod cache;
mod cache_settings;
mod check;
mod ci;
mod command;
mod compression;
mod config_file;
mod discover;
mod emulators;
pub mod env;
mod eviction;
mod flags;
mod foreign;
mod git;
mod git_log;
mod global;
mod limits;
mod lock;
mod login;
mod output_flag;
mod pairs;
mod registry;
mod release;
mod tag_event;
mod tag_plan;
mod tag_rules;
mod tags;
mod target;

pub use crate::source::suggest::closest;
pub use awaited::{Awaited, MainContext};
pub use build::{Annotations, BuildSettings, ImageSettings, RequestSettings};
pub use cache::{parse_cache_from, parse_cache_to};
pub use cache_settings::{CacheSettings, KeySource, SharedBuildFlags, SharedCacheFlags};
pub use check::{CheckFlags, CheckSettings};
pub use ci::{CiFlags, actions_workspace};
pub use compression::{Compression, CompressionKind};
pub use config_file::{BuildConfig, CacheConfig, ConfigFile, RegistryConfig};
pub use discover::{BuildFile, discover};
pub use emulators::emulators;
pub use env::Environment;
pub use eviction::EvictionSettings;
pub use flags::{BuildFlags, CommandFlags, GlobalFlags, InputFlags, RegistryFlags};
pub use foreign::{Call, ForeignFlags};
pub use git_log::{Commit, Commits};
pub use global::{ColorChoice, GlobalSettings, Progress};
pub use lock::{LockFlags, LockUse};
pub use login::{LoginFlags, LoginSettings};
pub use output_flag::{OutputFlag, parse_output};
pub use registry::{HostSettings, RegistrySettings};
pub use release::{SetFlags, TagFlags, index_annotations, releases};
pub use tag_plan::{TagsFlags, TagsSettings};
pub use tag_rules::{Levels, NamingFlags, ResolvedNames, TagRuleFlags, Tagging};
pub use tags::{parse_tag, resolve_tags};
pub use target::parse_target;

use crate::error::{Explain, Kind};

/// A setting that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SettingsError {
    message: String,
    kind: Kind,
    hints: Vec<String>,
}

impl SettingsError {
    /// A setting that the user must correct.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), kind: Kind::Input, hints: Vec::new() }
    }

    /// Something that a setting names and that is not there.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self { kind: Kind::NotFound, ..Self::new(message) }
    }

    /// Tells the user what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Asks whether one of the candidates was meant, if one is close to what was written.
    #[must_use]
    pub fn did_you_mean<'a>(self, word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        match closest(word, candidates) {
            Some(candidate) => self.hint(format!("did you mean `{candidate}`?")),
            None => self,
        }
    }
}

impl Explain for SettingsError {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn hints(&self) -> Vec<String> {
        self.hints.clone()
    }
}

#[cfg(test)]
mod tests;
