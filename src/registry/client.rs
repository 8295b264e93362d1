//! The client: what all operations share.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::Hash,
    sync::{Arc, Mutex, OnceLock},
};

use reqwest::Certificate;
use url::Url;

use super::{
    Ecr, Patience, RegistryError, Result, Settings, aws,
    host::{self, Host, Trust, lock},
    location,
};
use crate::{
    event::Sink,
    oci::{Digest, Repository},
};

/// A client of all registries. Cheap to clone; one serves the whole process, so that connections, tokens and what was
/// learnt about registries are shared.
#[derive(Debug, Clone)]
pub struct Client {
    pub(super) inner: Arc<Inner>,
    /// Where events of this handle's requests go.
    pub(super) sink: Sink,
    /// How long this handle puts up with failures.
    pub(super) patience: Patience,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) settings: Settings,
    ca: Vec<Certificate>,
    host_ca: BTreeMap<String, Vec<Certificate>>,
    /// For hosts that nothing is known of: storage behind redirects, token servers, files of the web.
    /// Made when it is needed: loading the system's certificates takes as long as walking a large context.
    web: OnceLock<reqwest::Client>,
    hosts: Mutex<HashMap<(String, bool), Arc<Host>>>,
    warned: Mutex<HashSet<String>>,
    /// Blobs that a registry is known to have.
    known: Mutex<HashSet<(Repository, Digest)>>,
    /// The key for AWS.
    pub(super) aws: aws::Keys,
    pub(super) fetching: Flights<Digest>,
    pub(super) pushing: Flights<(Repository, Digest)>,
    pub(super) creating: Flights<String>,
}

/// A place to pull from.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    pub(super) host: Arc<Host>,
    /// The repository's path there.
    pub(super) path: String,
    /// Whether it is a mirror: one that fails is passed over.
    pub(super) mirror: bool,
}

impl Client {
    /// Makes a client. Nothing is sent before something is asked for.
    ///
    /// # Errors
    ///
    /// A certificate in the settings is none.
    pub fn new(settings: Settings) -> Result<Self> {
        let ca = certificates(&settings.ca, "the settings")?;
        let host_ca = settings
            .hosts
            .iter()
            .map(|(name, host)| Ok((name.clone(), certificates(&host.ca, name)?)))
            .collect::<Result<_>>()?;
        let (sink, patience) = (settings.sink.clone(), settings.patience);
        Ok(Self {
            sink,
            patience,
            inner: Arc::new(Inner {
                settings,
                ca,
                host_ca,
                web: OnceLock::new(),
                hosts: Mutex::default(),
                warned: Mutex::default(),
                known: Mutex::default(),
                aws: aws::Keys::default(),
                fetching: Flights::default(),
                pushing: Flights::default(),
                creating: Flights::default(),
            }),
        })
    }

    /// The same client for requests that other words, or no words, are made of, and that are worth less or more waiting:
    /// connections, tokens and what was learnt stay shared. How long a connection may take to be made stays as it was.
    pub fn with(&self, sink: Sink, patience: Patience) -> Self {
        Self { inner: self.inner.clone(), sink, patience }
    }

    /// How long this client puts up with failures.
    pub fn patience(&self) -> Patience {
        self.patience
    }

    /// The certificates (PEM) that are trusted for every host, besides the system's.
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.inner.settings.ca
    }

    /// The registry of this name.
    pub(super) fn host(&self, name: &str) -> Result<Arc<Host>> {
        let asked = self.inner.settings.hosts.get(name).is_some_and(|host| host.insecure);
        self.host_as(name, asked)
    }

    fn host_as(&self, name: &str, asked: bool) -> Result<Arc<Host>> {
        let mut hosts = lock(&self.inner.hosts);
        if let Some(host) = hosts.get(&(name.to_owned(), asked)) {
            return Ok(host.clone());
        }
        let own = self.inner.host_ca.get(name).map_or(&[][..], Vec::as_slice);
        let loopback = location::is_loopback(name);
        let insecure = host::is_insecure(name, asked, !own.is_empty() || !self.inner.ca.is_empty());
        let web = if own.is_empty() && !loopback && !insecure {
            self.web()?
        } else {
            let ca: Vec<_> = self.inner.ca.iter().chain(own).cloned().collect();
            host::web(Trust { insecure, loopback, ca: &ca }, &self.inner.settings)?
        };
        let settings = self.inner.settings.hosts.get(name);
        let ecr = settings.and_then(|host| host.ecr.clone()).or_else(|| Ecr::of(name));
        let host = Arc::new(Host::new(name, insecure, web, self.inner.settings.concurrency).of_ecr(ecr));
        if let Some(chunk) = settings.and_then(|host| host.chunk) {
            host.learn_chunk(chunk);
        }
        hosts.insert((name.to_owned(), asked), host.clone());
        Ok(host)
    }

    /// Where to pull a repository from: its mirrors, then the registry itself.
    pub(super) fn endpoints(&self, repository: &Repository) -> Result<Vec<Endpoint>> {
        let mut endpoints = Vec::new();
        if let Some(settings) = self.inner.settings.hosts.get(repository.registry()) {
            for mirror in &settings.mirrors {
                let (bare, plain) = match mirror.strip_prefix("http://") {
                    Some(bare) => (bare, true),
                    None => (mirror.strip_prefix("https://").unwrap_or(mirror), false),
                };
                let (name, prefix) = bare.trim_end_matches('/').split_once('/').unwrap_or((bare, ""));
                let host = if plain { self.host_as(name, true)? } else { self.host(name)? };
                let path = match prefix {
                    "" => repository.path().to_owned(),
                    prefix => format!("{prefix}/{}", repository.path()),
                };
                endpoints.push(Endpoint { host, path, mirror: true });
            }
        }
        endpoints.push(self.endpoint(repository)?);
        Ok(endpoints)
    }

    /// The registry itself, for pushes.
    pub(super) fn endpoint(&self, repository: &Repository) -> Result<Endpoint> {
        let host = self.host(repository.registry())?;
        Ok(Endpoint { host, path: repository.path().to_owned(), mirror: false })
    }

    fn web(&self) -> Result<reqwest::Client> {
        if let Some(web) = self.inner.web.get() {
            return Ok(web.clone());
        }
        let trust = Trust { insecure: false, loopback: false, ca: &self.inner.ca };
        let web = host::web(trust, &self.inner.settings)?;
        Ok(self.inner.web.get_or_init(|| web).clone())
    }

    /// The HTTP client for a URL that a registry pointed to, or a user gave.
    pub(crate) fn web_for(&self, url: &Url) -> Result<reqwest::Client> {
        let name = match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.to_owned(),
            (None, _) => return self.web(),
        };
        let special = self.inner.settings.hosts.contains_key(&name) || location::is_loopback(&name);
        match special.then(|| self.host(&name)) {
            Some(Ok(host)) => Ok(host.web.clone()),
            _ => self.web(),
        }
    }

    /// Warns, once for the same words.
    pub(super) fn warn_once(&self, message: String) {
        if lock(&self.inner.warned).insert(message.clone()) {
            self.inner.settings.sink.warn(message);
        }
    }

    /// Tells, once for the same words.
    pub(super) fn note_once(&self, message: String) {
        if lock(&self.inner.warned).insert(message.clone()) {
            self.inner.settings.sink.note(message);
        }
    }

    /// Whether this process has seen the blob there.
    pub(super) fn knows(&self, repository: &Repository, digest: &Digest) -> bool {
        lock(&self.inner.known).contains(&(repository.clone(), *digest))
    }

    pub(super) fn learn(&self, repository: &Repository, digest: &Digest) {
        lock(&self.inner.known).insert((repository.clone(), *digest));
    }
}

fn certificates(pems: &[Vec<u8>], of: &str) -> Result<Vec<Certificate>> {
    let mut certificates = Vec::new();
    for pem in pems {
        let bundle = Certificate::from_pem_bundle(pem).unwrap_or_default();
        if bundle.is_empty() {
            return Err(RegistryError::Settings(format!(
                "a certificate authority for {of} is no PEM file of certificates"
            )));
        }
        certificates.extend(bundle);
    }
    Ok(certificates)
}

/// One lock for each thing under way, so that two tasks do not move one blob twice.
#[derive(Debug)]
pub(super) struct Flights<K>(Mutex<HashMap<K, Arc<tokio::sync::Mutex<()>>>>);

impl<K> Default for Flights<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash> Flights<K> {
    /// Waits until nobody else is at it, and keeps it until the guard is dropped.
    pub(super) async fn join(&self, key: K) -> tokio::sync::OwnedMutexGuard<()> {
        let flight = lock(&self.0).entry(key).or_default().clone();
        flight.lock_owned().await
    }
}
