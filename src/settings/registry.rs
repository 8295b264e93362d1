//! How registries are reached.

use std::{collections::BTreeMap, fs, path::PathBuf};

use super::{ConfigFile, Environment, RegistryFlags, SettingsError, pairs::Form};
use crate::{
    event::Sink,
    oci::DOCKER_HUB,
    registry::{self, Credentials, Ecr, Proxy},
};

/// How registries are reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistrySettings {
    /// Settings of single registries, by `HOST` or `HOST:PORT`.
    pub hosts: BTreeMap<String, HostSettings>,
    /// PEM files whose certificates are trusted for every registry.
    pub ca: Vec<PathBuf>,
    /// The proxy of the configuration file.
    pub proxy: Option<Proxy>,
    /// Whether a push makes a repository that is not there, where the registry has an API for that.
    pub create_repositories: bool,
}

/// How one registry is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostSettings {
    /// Mirrors to pull from first, in this order: `[http://]HOST[:PORT][/PREFIX]`, where the prefix goes in front of
    /// the repository's path.
    pub mirrors: Vec<String>,
    /// Whether plain HTTP and certificates that cannot be verified are allowed.
    pub insecure: bool,
    /// PEM files whose certificates are trusted for this registry.
    pub ca: Vec<PathBuf>,
    /// The largest body of a request that the registry takes, in bytes.
    pub chunk: Option<u64>,
    /// The registry of Amazon ECR that it is, where its name does not say so.
    pub ecr: Option<Ecr>,
}

const MIRROR: Form =
    Form { flag: "--registry-mirror", form: "HOST=MIRROR", example: "docker.io=mirror.example:5000" };

impl RegistrySettings {
    /// The configuration file's settings with the flags' on top: mirrors from flags come first.
    pub fn resolve(
        flags: &RegistryFlags,
        config: &ConfigFile,
        environment: &Environment,
    ) -> Result<Self, SettingsError> {
        let mut settings = Self::default();
        for (host, config) in &config.registries {
            let host = settings.host(host);
            host.mirrors.clone_from(&config.mirrors);
            host.insecure = config.insecure;
            host.chunk = config.chunk;
            host.ecr.clone_from(&config.ecr);
            host.ca.extend(config.ca.clone());
        }
        for (number, text) in flags.registry_mirror.iter().enumerate() {
            let (registry, mirror) = MIRROR.pair(text)?;
            check_host("--registry-mirror", registry)?;
            check_mirror("--registry-mirror", mirror)?;
            // Those from flags, in their order, go before those from the file.
            let earlier = flags.registry_mirror[..number]
                .iter()
                .filter(|other| other.split('=').next() == Some(registry))
                .count();
            let mirrors = &mut settings.host(registry).mirrors;
            mirrors.insert(earlier.min(mirrors.len()), mirror.to_owned());
        }
        for host in &flags.insecure_registry {
            check_host("--insecure-registry", host)?;
            settings.host(host).insecure = true;
        }
        settings.create_repositories = flags.create_repository;
        settings.proxy = config.proxy.clone();
        settings.ca.extend(config.ca.clone());
        settings.ca.extend(flags.ca.iter().map(|path| environment.current_dir().join(path)));
        for path in settings.ca.iter().chain(settings.hosts.values().flat_map(|host| &host.ca)) {
            if let Err(error) = fs::metadata(path) {
                return Err(SettingsError::not_found(format!(
                    "failed to read the CA file {}: {error}",
                    path.display()
                )));
            }
        }
        Ok(settings)
    }

    fn host(&mut self, name: &str) -> &mut HostSettings {
        self.hosts.entry(canonical(name).to_owned()).or_default()
    }
}

/// A registry's name as references have it: Docker Hub has several.
pub(super) fn canonical(name: &str) -> &str {
    match name {
        "index.docker.io" | "registry-1.docker.io" => DOCKER_HUB,
        name => name,
    }
}

/// A mirror: a host with an optional path, behind `http://` if it speaks no TLS.
pub(super) fn check_mirror(flag: &str, text: &str) -> Result<(), SettingsError> {
    let rest = text.strip_prefix("http://").unwrap_or(text);
    let (host, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let clean = prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b));
    match check_host(flag, host) {
        Ok(()) if clean => Ok(()),
        _ => Err(SettingsError::new(format!("{flag}: {text:?} is not HOST, HOST:PORT or HOST/PREFIX"))),
    }
}

/// A host with an optional port: no scheme, no path, no user.
pub(super) fn check_host(flag: &str, text: &str) -> Result<(), SettingsError> {
    let plain = text.split_once("://").map_or(text, |(_, rest)| rest).trim_end_matches('/');
    let good = |host: &str| {
        let (name, port) = match host.rfind(']') {
            Some(end) => (&host[..=end], host[end + 1..].strip_prefix(':')),
            None => match host.split_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (host, None),
            },
        };
        !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'[' | b']' | b':'))
            && port.is_none_or(|port| port.parse::<u16>().is_ok())
    };
    if good(text) {
        return Ok(());
    }
    let error = SettingsError::new(format!("{flag}: {text:?} is not HOST or HOST:PORT"));
    Err(if plain != text && good(plain) { error.hint(format!("write `{plain}`")) } else { error })
}

impl RegistrySettings {
    /// What the registries' client is told: the same, with the certificates read.
    pub fn client(&self, credentials: Credentials, sink: Sink) -> Result<registry::Settings, SettingsError> {
        let mut settings = registry::Settings::new(credentials, sink);
        settings.ca = certificates(&self.ca)?;
        settings.proxy = self.proxy.clone();
        settings.create_repositories = self.create_repositories;
        for (name, host) in &self.hosts {
            let resolved = registry::HostSettings {
                insecure: host.insecure,
                ca: certificates(&host.ca)?,
                mirrors: host.mirrors.clone(),
                chunk: host.chunk,
                ecr: host.ecr.clone(),
            };
            settings.hosts.insert(name.clone(), resolved);
        }
        Ok(settings)
    }
}

fn certificates(paths: &[PathBuf]) -> Result<Vec<Vec<u8>>, SettingsError> {
    let read = |path: &PathBuf| {
        fs::read(path).map_err(|error| {
            SettingsError::not_found(format!("failed to read the CA file {}: {error}", path.display()))
        })
    };
    paths.iter().map(read).collect()
}
