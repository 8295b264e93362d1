//! Logging in and out.

use clap::Args;

use super::{
    ConfigFile, Environment, RegistryFlags, RegistrySettings, SettingsError,
    registry::{canonical, check_host},
};
use crate::oci::DOCKER_HUB;

/// Flags of `imgbuild login`.
#[derive(Debug, Clone, Default, Args)]
pub struct LoginFlags {
    /// HOST[:PORT], perhaps with a path; Docker Hub if not given
    #[arg(value_name = "REGISTRY")]
    pub registry: Option<String>,
    /// The user [default: asked for]
    #[arg(short, long, value_name = "USER")]
    pub username: Option<String>,
    /// Read the password, or a token, from standard input [default: asked for]
    #[arg(long)]
    pub password_stdin: bool,
    /// Registries.
    #[command(flatten, next_help_heading = "Registries")]
    pub connection: RegistryFlags,
}

/// What is logged in to, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginSettings {
    /// The registry as references name it.
    pub registry: String,
    /// The registry, with the path that the credential is for, if it is not for all of it.
    pub name: String,
    /// How it is reached.
    pub connection: RegistrySettings,
}

impl LoginSettings {
    /// Resolves the flags.
    pub fn resolve(
        flags: &LoginFlags,
        config: &ConfigFile,
        environment: &Environment,
    ) -> Result<Self, SettingsError> {
        let connection = RegistrySettings::resolve(&flags.connection, config, environment)?;
        let (registry, name) = registry(flags.registry.as_deref())?;
        Ok(Self { registry, name, connection })
    }
}

/// The registry of an argument, and its name with the path behind it.
pub(super) fn registry(text: Option<&str>) -> Result<(String, String), SettingsError> {
    let text = text.unwrap_or(DOCKER_HUB).trim();
    // As people copy it from a browser, or from another tool's configuration.
    let bare = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
    let bare = bare.trim_end_matches('/');
    let bare = match bare {
        "index.docker.io/v1" => DOCKER_HUB,
        other => other,
    };
    let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
    check_host("the registry", host)?;
    let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"._-/".contains(&c);
    if !path.bytes().all(fits) {
        return Err(SettingsError::new(format!("the registry {text:?} is not HOST[:PORT][/PATH]")));
    }
    let host = canonical(host);
    let name = if path.is_empty() { host.to_owned() } else { format!("{host}/{path}") };
    Ok((host.to_owned(), name))
}

impl LoginSettings {
    /// The registry that is logged out of, with its path.
    pub fn name_of(text: Option<&str>) -> Result<String, SettingsError> {
        registry(text).map(|(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_have_many_spellings() {
        for (text, host, name) in [
            (None, "docker.io", "docker.io"),
            (Some("docker.io"), "docker.io", "docker.io"),
            (Some("https://index.docker.io/v1/"), "docker.io", "docker.io"),
            (Some("https://ghcr.io/"), "ghcr.io", "ghcr.io"),
            (Some("localhost:5000"), "localhost:5000", "localhost:5000"),
            (Some("quay.io/me/app"), "quay.io", "quay.io/me/app"),
        ] {
            assert_eq!(registry(text), Ok((host.to_owned(), name.to_owned())), "{text:?}");
        }
        for text in ["", "me@host", "ghcr.io/me:1", "host:port", "host/ME"] {
            assert!(registry(Some(text)).is_err(), "{text}");
        }
    }
}
