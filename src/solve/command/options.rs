//! What commands are given beyond what their steps say.

use std::{collections::BTreeMap, fmt, net::IpAddr, num::NonZeroUsize, path::PathBuf, sync::Arc};

use super::{EmulatorOptions, SharedMounts};
use crate::{
    recipe::Network,
    sandbox::{Limits, Mode},
};

/// What all commands of a build are given beyond what their steps say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandOptions {
    /// The sandbox's rung; the best that there is, if not given.
    pub mode: Option<Mode>,
    /// How many commands run at once.
    pub jobs: NonZeroUsize,
    /// The network of commands that ask for none in particular.
    pub network: Network,
    /// What steps may ask for.
    pub allowed: Allowed,
    /// Names in `/etc/hosts`.
    pub hosts: Vec<(String, IpAddr)>,
    /// What a command may use.
    pub limits: Limits,
    /// Secrets by id.
    pub secrets: BTreeMap<String, Secret>,
    /// The sockets of SSH agents by id.
    pub agents: BTreeMap<String, PathBuf>,
    /// Proxy variables, under every name that tools look for.
    pub proxies: Vec<(String, String)>,
    /// Where emulators of other platforms are looked for.
    pub emulators: EmulatorOptions,
    /// Which ways cache mounts go between machines.
    pub shared_mounts: SharedMounts,
    /// Certificates to trust besides the image's, as PEM.
    pub certificates: Option<Arc<[u8]>>,
}

impl Default for CommandOptions {
    fn default() -> Self {
        Self {
            mode: None,
            jobs: NonZeroUsize::MIN,
            network: Network::Default,
            allowed: Allowed::default(),
            hosts: Vec::new(),
            limits: Limits::default(),
            secrets: BTreeMap::new(),
            agents: BTreeMap::new(),
            proxies: Vec::new(),
            emulators: EmulatorOptions::default(),
            shared_mounts: SharedMounts::NONE,
            certificates: None,
        }
    }
}

impl CommandOptions {
    /// What output must not show: the secrets, and the passwords of proxies.
    pub(in super::super) fn secret_texts(&self) -> impl Iterator<Item = &[u8]> {
        let passwords = self.proxies.iter().filter_map(|(_, url)| password(url)).map(str::as_bytes);
        self.secrets.values().map(Secret::expose).chain(passwords)
    }
}

/// The password in a URL.
fn password(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    Some(user.split_once(':')?.1)
}

/// What steps may ask for that a build does not give by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowed {
    /// `RUN --security=insecure`.
    pub insecure: bool,
    /// `RUN --network=host` where the build's commands have no network.
    pub host_network: bool,
}

/// A secret's bytes. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<[u8]>);

impl Secret {
    /// A secret of these bytes.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_of_proxies_are_secret() {
        for (url, expected) in [
            ("http://me:pass@word@proxy:3128/", Some("pass@word")),
            ("http://me@proxy", None),
            ("http://proxy:3128/a:b@c", None),
            ("proxy:3128", None),
        ] {
            assert_eq!(password(url), expected, "{url}");
        }
    }
}
