//! A registry within the test's process that can be told to misbehave.
//!
//! It keeps real state (uploads, blobs, manifests, tags), verifies digests, issues tokens and checks their scopes, so
//! that a client that gets a blob in has done it right. Misbehaviour is of two kinds: [`Options`], which hold for all
//! requests, and [`Rule`]s, which hold for the first few requests that they match.

mod exchange;

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::{Bytes, BytesMut};
use exchange::{Exchange, full};
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper::{
    Method, Request, Response,
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use imgbuild::oci::Digest;
use tokio::{net::TcpListener, task::JoinHandle};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Reply = Response<BoxBody<Bytes, BoxError>>;

/// How clients identify.
#[derive(Debug, Clone, Default)]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// By user and password with each request.
    Basic(&'static str, &'static str),
    /// By tokens of the token server, which is at `/token` of the same host.
    Bearer(Bearer),
}

/// The token server.
#[derive(Debug, Clone, Default)]
pub struct Bearer {
    /// Who gets tokens; `None`: everybody.
    pub user: Option<(&'static str, &'static str)>,
    /// The identity token that the OAuth2 POST takes.
    pub identity: Option<&'static str>,
    /// What the POST is answered with instead of a token.
    pub post_status: Option<u16>,
    /// How many requests a token is good for.
    pub uses: Option<usize>,
    /// `expires_in` of tokens.
    pub expires_in: Option<u64>,
    /// Token requests that ask for pulling from this repository are refused.
    pub refuses: Option<&'static str>,
    /// `/v2/` and refusals name no challenge, except to the ping.
    pub challenge_only_on_ping: bool,
    /// `/v2/` answers 200, and only requests are challenged.
    pub open_ping: bool,
}

/// What happens to mounts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mounts {
    /// They are done.
    #[default]
    Done,
    /// 202 and an upload.
    Declined,
    /// This status.
    Refused(u16),
}

/// What cannot be deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Keeps {
    /// Tags and manifests can be.
    #[default]
    Nothing,
    /// Manifests can be, tags alone not, as with distribution 2.
    Tags,
    /// Nothing can be.
    All,
}

/// How the registry behaves throughout.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How clients identify.
    pub auth: Auth,
    /// What happens to mounts.
    pub mounts: Mounts,
    /// Uploads are accepted without a `Location`.
    pub no_location: bool,
    /// `Location`s are absolute, on this root (`http://127.0.0.1:1234`).
    pub upload_root: Option<String>,
    /// No `Docker-Content-Digest`.
    pub no_digest: bool,
    /// Bodies above this are answered with 413.
    pub max_body: Option<u64>,
    /// Chunks above this are answered with 416.
    pub max_patch: Option<u64>,
    /// `OCI-Chunk-Min-Length`.
    pub min_chunk: Option<u64>,
    /// Reads of blobs are redirected to this root.
    pub blob_root: Option<String>,
    /// The first byte of blobs is another one.
    pub corrupt: bool,
    /// Ranges are not understood.
    pub no_ranges: bool,
    /// Tags on a page.
    pub page: Option<usize>,
    /// Tags that exist cannot be changed.
    pub immutable: bool,
    /// `?tag=` of a manifest's digest sets tags.
    pub many_tags: bool,
    /// What cannot be deleted.
    pub keeps: Keeps,
    /// `OCI-Subject` of written manifests.
    pub subject: Option<String>,
    /// `Warning` of all answers.
    pub warning: Option<&'static str>,
}

/// What a rule does to a request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Answers it with a status, headers and a body, before reading its body.
    Answer(u16, Vec<(&'static str, String)>, &'static str),
    /// Reads this many bytes of its body, keeps them, and hangs up.
    HangUp(usize),
    /// Sends this many bytes of the answer's body and hangs up.
    BreakOff(usize),
    /// Sends this many bytes of the answer's body, and nothing more.
    Stall(usize),
}

/// A fault and the requests that it is for.
#[derive(Debug, Clone)]
pub struct Rule {
    method: Method,
    path: String,
    times: usize,
    fault: Fault,
}

impl Rule {
    /// A fault for the next request with this method and this text in its path.
    pub fn new(method: &str, path: &str, fault: Fault) -> Self {
        Self { method: method.parse().unwrap(), path: path.to_owned(), times: 1, fault }
    }

    /// A plain status.
    pub fn status(method: &str, path: &str, status: u16) -> Self {
        Self::new(method, path, Fault::Answer(status, vec![], ""))
    }

    /// For this many requests instead of one.
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its method.
    pub method: String,
    /// Its path and query.
    pub path: String,
    /// Its headers.
    pub headers: hyper::HeaderMap,
}

impl Seen {
    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

#[derive(Debug, Default)]
struct State {
    options: Options,
    rules: Vec<Rule>,
    seen: Vec<Seen>,
    blobs: HashMap<(String, String), Bytes>,
    manifests: BTreeMap<(String, String), (String, Bytes)>,
    uploads: HashMap<usize, BytesMut>,
    next: usize,
    tokens: HashMap<String, (Vec<String>, Option<usize>)>,
}

/// The registry. It stops when it is dropped.
#[derive(Debug)]
pub struct Fake {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Fake {
    /// Starts a well-behaved registry on a free loopback port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        let server = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let _ = connection.set_nodelay(true);
                let state = shared.clone();
                let service = service_fn(move |request| serve(state.clone(), address, request));
                tokio::spawn(async move {
                    let builder = hyper::server::conn::http1::Builder::new();
                    // Clients that leave are part of the tests.
                    let _ = builder.serve_connection(TokioIo::new(connection), service).await;
                });
            }
        });
        Self { address, state, server }
    }

    /// Its name in references.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The root of its URLs.
    pub fn root(&self) -> String {
        format!("http://{}", self.address)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Changes how it behaves throughout.
    pub fn configure(&self, change: impl FnOnce(&mut Options)) {
        change(&mut self.state().options);
    }

    /// Adds a fault for requests to come.
    pub fn inject(&self, rule: Rule) {
        self.state().rules.push(rule);
    }

    /// Takes back all faults.
    pub fn forget_rules(&self) {
        self.state().rules.clear();
    }

    /// All requests that came, and forgets them.
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state().seen)
    }

    /// How many requests came with this method and this text in their path.
    pub fn count(&self, method: &str, path: &str) -> usize {
        self.state().seen.iter().filter(|seen| seen.method == method && seen.path.contains(path)).count()
    }

    /// Puts a blob there.
    pub fn put_blob(&self, repository: &str, bytes: impl Into<Bytes>) -> Digest {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        self.state().blobs.insert((repository.to_owned(), digest.to_string()), bytes);
        digest
    }

    /// A blob that is there.
    pub fn blob(&self, repository: &str, digest: &Digest) -> Option<Bytes> {
        self.state().blobs.get(&(repository.to_owned(), digest.to_string())).cloned()
    }

    /// Puts a manifest there, under its digest and a tag.
    pub fn put_manifest(
        &self,
        repository: &str,
        tag: &str,
        media_type: &str,
        bytes: impl Into<Bytes>,
    ) -> Digest {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        for target in [tag, &digest.to_string()] {
            let key = (repository.to_owned(), target.to_owned());
            self.state().manifests.insert(key, (media_type.to_owned(), bytes.clone()));
        }
        digest
    }

    /// A manifest that is there, by tag or digest.
    pub fn manifest(&self, repository: &str, target: &str) -> Option<Bytes> {
        let key = (repository.to_owned(), target.to_owned());
        self.state().manifests.get(&key).map(|(_, bytes)| bytes.clone())
    }
}

async fn serve(
    state: Arc<Mutex<State>>,
    address: SocketAddr,
    request: Request<Incoming>,
) -> Result<Reply, BoxError> {
    let seen = Seen {
        method: request.method().to_string(),
        // A client that takes this server for a proxy names the host too.
        path: request.uri().path_and_query().map_or_else(|| request.uri().to_string(), ToString::to_string),
        headers: request.headers().clone(),
    };
    let (fault, options) = {
        let mut state = state.lock().unwrap();
        state.seen.push(seen.clone());
        let rule = state.rules.iter_mut().find(|rule| {
            rule.times > 0 && rule.method == seen.method.as_str() && seen.path.contains(&rule.path)
        });
        let fault = rule.map(|rule| {
            rule.times -= 1;
            rule.fault.clone()
        });
        (fault, state.options.clone())
    };
    let mut cut_off = None;
    let (parts, mut body) = request.into_parts();
    let exchange = Exchange { state, address, seen, options };
    match fault {
        Some(Fault::Answer(status, headers, text)) => {
            let mut builder = Response::builder().status(status);
            for (name, value) in headers {
                builder = builder.header(name, value);
            }
            return Ok(builder.body(full(text)).unwrap());
        }
        Some(Fault::HangUp(bytes)) => {
            let mut kept = BytesMut::new();
            while kept.len() < bytes
                && let Some(frame) = body.frame().await
            {
                kept.extend_from_slice(&frame?.into_data().unwrap_or_default());
            }
            kept.truncate(bytes);
            exchange.keep(&kept);
            return Err("hung up".into());
        }
        Some(Fault::BreakOff(bytes)) => cut_off = Some((bytes, false)),
        Some(Fault::Stall(bytes)) => cut_off = Some((bytes, true)),
        None => {}
    }
    if let Some(refusal) = exchange.authorize() {
        return Ok(refusal);
    }
    let length = parts.headers.get("content-length").and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if exchange.options.max_body.is_some_and(|limit| length.is_some_and(|length| length > limit)) {
        return Ok(exchange.reply(413, &[], "<html>too large</html>"));
    }
    let bytes = body.collect().await?.to_bytes();
    let mut reply = exchange.answer(&parts.method, bytes);
    if let Some(text) = exchange.options.warning {
        reply.headers_mut().insert("warning", text.parse().unwrap());
    }
    if let Some((limit, stalls)) = cut_off {
        let (parts, body) = reply.into_parts();
        let bytes = body.collect().await?.to_bytes();
        let sent = stream::iter([Ok(Frame::data(bytes.slice(..limit.min(bytes.len()))))]);
        let body = match stalls {
            true => BodyExt::boxed(StreamBody::new(sent.chain(stream::pending()))),
            false => {
                BodyExt::boxed(StreamBody::new(sent.chain(stream::iter([Err(BoxError::from("broke off"))]))))
            }
        };
        return Ok(Response::from_parts(parts, body));
    }
    Ok(reply)
}
