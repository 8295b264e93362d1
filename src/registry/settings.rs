//! What the client is told: resolved settings, with no word on where they came from.

use std::{collections::BTreeMap, time::Duration};

use super::{Credentials, Ecr};
use crate::event::Sink;

/// The settings of a [`super::Client`].
#[derive(Debug, Clone)]
pub struct Settings {
    /// Settings by registry, under the name that references use: `docker.io`, `ghcr.io`, `localhost:5000`.
    pub hosts: BTreeMap<String, HostSettings>,
    /// PEM certificates that are trusted for every host, besides the system's.
    pub ca: Vec<Vec<u8>>,
    /// The proxy for all hosts but those on this machine; what the environment says if not given.
    pub proxy: Option<Proxy>,
    /// Where credentials come from.
    pub credentials: Credentials,
    /// Where events go.
    pub sink: Sink,
    /// How long failures are put up with.
    pub patience: Patience,
    /// How many requests one host gets at a time.
    pub concurrency: usize,
    /// Whether a push makes a repository that is not there, where the registry has an API for that.
    pub create_repositories: bool,
    /// The bytes of a request's body above which an upload is cut into chunks, if the registry refuses it whole.
    pub chunk: u64,
}

/// A proxy. Its URL may hold a password and is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Its URL.
    pub url: String,
    /// Hosts that are reached without it, in the form of `NO_PROXY`.
    pub no_proxy: Option<String>,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Proxy(***)")
    }
}

/// What is special about one registry.
#[derive(Debug, Clone, Default)]
pub struct HostSettings {
    /// Its certificate is not verified, and plain HTTP is used where it speaks no TLS. Loopback hosts without a `ca`
    /// are always treated so, as Docker does.
    pub insecure: bool,
    /// PEM certificates that are trusted for it.
    pub ca: Vec<Vec<u8>>,
    /// Where to pull from first, in this order: `HOST[:PORT][/PREFIX]`, where the prefix goes in front of the
    /// repository's path. A leading `http://` marks the mirror as insecure.
    pub mirrors: Vec<String>,
    /// Cuts uploads into chunks of this many bytes from the start, where a proxy in front of the registry is known to
    /// take no larger bodies; `None`: found out.
    pub chunk: Option<u64>,
    /// The registry of ECR that it is, where its name does not say it.
    pub ecr: Option<Ecr>,
}

/// How long failures that may pass are put up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// The first wait; each further one is about twice as long.
    pub first: Duration,
    /// The longest wait, unless the registry asks for a longer one.
    pub longest: Duration,
    /// All waits for one request together. A registry that asks for more is not waited for.
    pub budget: Duration,
    /// Failures in a row before giving up, whatever the budget has left.
    pub attempts: u32,
    /// How long making a connection may take.
    pub connect: Duration,
    /// How long a connection may be silent. There is no limit on a whole transfer.
    pub idle: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(30),
            budget: Duration::from_secs(240),
            attempts: 8,
            connect: Duration::from_secs(20),
            idle: Duration::from_secs(60),
        }
    }
}

impl Settings {
    /// Settings that know nothing of any host.
    pub fn new(credentials: Credentials, sink: Sink) -> Self {
        Self {
            hosts: BTreeMap::new(),
            ca: Vec::new(),
            proxy: None,
            credentials,
            sink,
            patience: Patience::default(),
            concurrency: 8,
            create_repositories: false,
            // Proxies of large networks cut bodies off at 100 MB.
            chunk: 95 << 20,
        }
    }
}
