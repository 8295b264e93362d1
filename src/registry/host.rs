//! A registry as it is reached, and what was learnt about it in this process.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use reqwest::{Certificate, redirect};
use tokio::sync::{OnceCell, Semaphore};
use url::Url;

use super::{
    Ecr, Found, Proxy, RateLimit, RegistryError, Result, Settings, challenge::Challenge, ecr::Issued,
    location, policy::Policy, token::Slot,
};

/// One registry, or one mirror of one.
#[derive(Debug)]
pub(super) struct Host {
    /// The name that references and credentials use: `docker.io`.
    pub(super) name: String,
    /// Whether it may be spoken to without verified TLS.
    pub(super) insecure: bool,
    pub(super) web: reqwest::Client,
    pub(super) permits: Arc<Semaphore>,
    pub(super) policy: Policy,
    /// The root of its URLs, known once it has answered.
    pub(super) base: OnceCell<Url>,
    /// Why it gave no answer as a mirror.
    pub(super) silent: OnceLock<String>,
    challenge: Mutex<Option<Challenge>>,
    /// The chunk size that uploads must keep to, once it has refused a larger body; 0: whole bodies are fine.
    chunk: AtomicU64,
    /// Tokens by their scopes.
    pub(super) slots: Mutex<HashMap<String, Arc<Slot>>>,
    /// Scopes that challenges named besides the ones we asked for, by those.
    pub(super) extra_scopes: Mutex<HashMap<String, BTreeSet<String>>>,
    /// Credentials by the repository's path.
    pub(super) found: tokio::sync::Mutex<HashMap<String, Found>>,
    /// The registry of ECR that it is.
    pub(super) ecr: Option<Ecr>,
    /// The password that AWS has issued for it.
    pub(super) issued: tokio::sync::Mutex<Option<Issued>>,
    /// Whether it was told that few requests are left.
    told_of_limit: AtomicBool,
}

impl Host {
    pub(super) fn new(name: &str, insecure: bool, web: reqwest::Client, concurrency: usize) -> Self {
        Self {
            name: name.to_owned(),
            insecure,
            web,
            permits: Arc::new(Semaphore::new(concurrency.max(1))),
            policy: Policy::of(name),
            base: OnceCell::new(),
            silent: OnceLock::new(),
            challenge: Mutex::new(None),
            chunk: AtomicU64::new(0),
            slots: Mutex::default(),
            extra_scopes: Mutex::default(),
            found: tokio::sync::Mutex::default(),
            ecr: None,
            issued: tokio::sync::Mutex::default(),
            told_of_limit: AtomicBool::new(false),
        }
    }

    /// The same host, known to be of ECR.
    pub(super) fn of_ecr(self, ecr: Option<Ecr>) -> Self {
        // One under another name has the same ways.
        let policy = match ecr {
            Some(Ecr::Private { .. }) => Policy::ECR,
            Some(Ecr::Public) | None => self.policy,
        };
        Self { policy, ecr, ..self }
    }

    /// The limit that an answer tells of, if few requests are left of it and nobody was told so yet.
    pub(super) fn news_of_limit(&self, limit: Option<RateLimit>) -> Option<RateLimit> {
        limit.filter(|limit| limit.is_low() && !self.told_of_limit.swap(true, Ordering::Relaxed))
    }

    /// The URLs to try for the root of the API, best first.
    pub(super) fn roots(&self) -> Result<Vec<Url>> {
        let host = if self.name == "docker.io" { "registry-1.docker.io" } else { self.name.as_str() };
        let schemes: &[&str] = if self.insecure { &["https", "http"] } else { &["https"] };
        schemes
            .iter()
            .map(|scheme| {
                Url::parse(&format!("{scheme}://{host}/v2/")).map_err(|error| {
                    RegistryError::Settings(format!(
                        "the registry {:?} is no HOST[:PORT]: {error}",
                        self.name
                    ))
                })
            })
            .collect()
    }

    pub(super) fn challenge(&self) -> Option<Challenge> {
        lock(&self.challenge).clone()
    }

    pub(super) fn set_challenge(&self, challenge: Challenge) {
        *lock(&self.challenge) = Some(challenge);
    }

    /// The chunk size that uploads must keep to.
    pub(super) fn chunk(&self) -> Option<u64> {
        Some(self.chunk.load(Ordering::Relaxed)).filter(|chunk| *chunk > 0)
    }

    pub(super) fn learn_chunk(&self, chunk: u64) {
        self.chunk.store(chunk, Ordering::Relaxed);
    }
}

/// Locks a map that no panic can leave half-changed.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a connection to a host is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trust<'a> {
    pub(super) insecure: bool,
    pub(super) loopback: bool,
    pub(super) ca: &'a [Certificate],
}

fn proxy(settings: &Proxy) -> Result<reqwest::Proxy> {
    // The URL is not shown: it may hold a password.
    let wrong = |_| RegistryError::Settings("the proxy's URL is not valid".to_owned());
    let proxy = reqwest::Proxy::all(&settings.url).map_err(wrong)?;
    Ok(proxy.no_proxy(settings.no_proxy.as_deref().and_then(reqwest::NoProxy::from_string)))
}

/// Makes the HTTP client for hosts of one kind.
///
/// Redirects are followed by [`super::request`], which knows what may go along.
pub(super) fn web(trust: Trust<'_>, settings: &Settings) -> Result<reqwest::Client> {
    let patience = &settings.patience;
    let proxy = settings.proxy.as_ref().filter(|_| !trust.loopback).map(proxy).transpose()?;
    let builder = || {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("imgbuild/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .tcp_nodelay(true)
            .tcp_keepalive(Duration::from_secs(30))
            .pool_idle_timeout(Duration::from_secs(90))
            .connect_timeout(patience.connect)
            // The windows of HTTP/2's defaults would slow layers down on any link with latency.
            .http2_initial_stream_window_size(4 << 20)
            .http2_initial_connection_window_size(16 << 20)
            .tls_danger_accept_invalid_certs(trust.insecure)
            .tls_certs_merge(trust.ca.iter().cloned());
        if trust.loopback {
            builder = builder.no_proxy();
        } else if let Some(proxy) = &proxy {
            builder = builder.proxy(proxy.clone());
        }
        builder
    };
    let failed = |error: reqwest::Error| {
        RegistryError::Settings(format!("failed to set up HTTPS: {}", super::error::transport_words(error)))
    };
    static PROVIDER: std::sync::Once = std::sync::Once::new();
    // Fails only if the process has a provider already, which then serves as well.
    PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
    builder().build().or_else(|_| {
        // A container without a certificate store, where reqwest refuses to build a client: the roots that Mozilla
        // trusts stand in. Any other fault shows again.
        let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS
            .iter()
            .map(|der| Certificate::from_der(der))
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed)?;
        builder().tls_certs_merge(roots).build().map_err(failed)
    })
}

/// Whether a registry is spoken to without verified TLS: as Docker does, also on loopback, unless it was given a
/// certificate authority.
pub(super) fn is_insecure(name: &str, asked: bool, has_ca: bool) -> bool {
    asked || location::is_loopback(name) && !has_ca
}
