//! The cache service of GitHub Actions within the test's process: calls of Twirp in JSON, and the block blobs that its
//! signed URLs lead to. It keeps to the documented rules: a key is reserved once, found when it is committed, and by
//! what it starts with; a blob is what was put at once, or the blocks of its list.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, StatusCode, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

/// The token of the job.
pub const TOKEN: &str = "hunter2";

const CALLS: &str = "/twirp/github.actions.results.api.v1.CacheService/";

/// The service, until it is dropped.
pub struct Service {
    host: String,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    /// In the order in which they were reserved.
    entries: Vec<Entry>,
    seen: Vec<String>,
    /// Requests whose line contains this are answered with this status, so many times.
    fault: Option<(&'static str, u16, usize)>,
}

#[derive(Default)]
struct Entry {
    key: String,
    version: String,
    committed: bool,
    bytes: Option<Bytes>,
    blocks: HashMap<String, Bytes>,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Service {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State::default()));
        let (kept, name) = (state.clone(), host.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, host) = (kept.clone(), name.clone());
                let answer = service_fn(move |request| answer(state.clone(), host.clone(), request));
                let http = hyper::server::conn::http1::Builder::new();
                tokio::spawn(http.serve_connection(TokioIo::new(stream), answer));
            }
        });
        Self { host, state, task }
    }

    /// Its URL, `ACTIONS_RESULTS_URL`.
    pub fn url(&self) -> String {
        format!("http://{}/", self.host)
    }

    /// All keys, in the order in which they were reserved.
    pub fn keys(&self) -> Vec<String> {
        self.state.lock().unwrap().entries.iter().map(|entry| entry.key.clone()).collect()
    }

    /// Method and path of all requests since the last time.
    pub fn take_seen(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().seen)
    }

    /// Answers requests whose method and path contain `words` with a status, so many times.
    pub fn fail(&self, words: &'static str, status: u16, times: usize) {
        self.state.lock().unwrap().fault = Some((words, status, times));
    }

    /// Changes what is stored under keys that contain these words; `None`: evicts them.
    pub fn change(&self, words: &str, bytes: Option<&[u8]>) {
        let entries = &mut self.state.lock().unwrap().entries;
        match bytes {
            None => entries.retain(|entry| !entry.key.contains(words)),
            Some(bytes) => {
                for entry in entries.iter_mut().filter(|entry| entry.key.contains(words)) {
                    entry.bytes = Some(Bytes::copy_from_slice(bytes));
                }
            }
        }
    }

    /// Reserves a key, as a job that dies then.
    pub fn reserve(&self, key: &str, version: &str) {
        let (key, version) = (key.to_owned(), version.to_owned());
        self.state.lock().unwrap().entries.push(Entry { key, version, ..Entry::default() });
    }

    /// The version of the first key.
    pub fn version(&self) -> String {
        self.state.lock().unwrap().entries[0].version.clone()
    }
}

type Reply = Response<Full<Bytes>>;

async fn answer(
    state: Arc<Mutex<State>>,
    host: String,
    request: Request<Incoming>,
) -> Result<Reply, Infallible> {
    let (parts, body) = request.into_parts();
    let bytes = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let mut state = state.lock().unwrap();
    let line = format!("{} {}", parts.method, parts.uri);
    let faulty = state.fault.as_mut().filter(|(words, _, times)| *times > 0 && line.contains(words));
    let fault = faulty.map(|(_, status, times)| {
        *times -= 1;
        *status
    });
    state.seen.push(line);
    if let Some(status) = fault {
        return Ok(reply(status, Bytes::new()));
    }
    let path = parts.uri.path();
    let Some(method) = path.strip_prefix(CALLS) else {
        let number: usize = path.trim_start_matches("/blob/").parse().unwrap();
        let query = parts.uri.query().unwrap_or_default();
        // The signature, that whoever changes the URL must keep.
        assert!(query.starts_with("sig=a%2Fb%3D"), "{query}");
        assert!(parts.headers.get("authorization").is_none(), "a signed URL needs no token");
        let entry = &mut state.entries[number];
        if parts.method == Method::GET {
            return Ok(reply(200, entry.bytes.clone().unwrap()));
        }
        let whole = parts.headers.get("x-ms-blob-type").is_some_and(|kind| kind == "BlockBlob");
        return Ok(entry.put(&query["sig=a%2Fb%3D".len()..], whole, bytes));
    };
    let token = format!("Bearer {TOKEN}");
    if parts.headers.get("authorization").is_none_or(|given| given != token.as_str()) {
        let refusal = json!({"code": "unauthenticated", "msg": "invalid token"});
        return Ok(reply(401, refusal.to_string().into()));
    }
    assert_eq!(parts.headers["content-type"], "application/json");
    let asked: Value = serde_json::from_slice(&bytes).unwrap();
    let (status, answer) = state.call(method, &asked, &host);
    Ok(reply(status, answer.to_string().into()))
}

fn reply(status: u16, body: Bytes) -> Reply {
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap();
    reply
}

impl State {
    fn call(&mut self, method: &str, asked: &Value, host: &str) -> (u16, Value) {
        let text = |name: &str| asked[name].as_str().unwrap_or_default().to_owned();
        let (key, version) = (text("key"), text("version"));
        assert!(!key.is_empty() && key.len() <= 512 && !key.contains(','), "{key}");
        let same = |entry: &Entry| entry.key == key && entry.version == version;
        let url = |number: usize| format!("http://{host}/blob/{number}?sig=a%2Fb%3D");
        match method {
            "CreateCacheEntry" if self.entries.iter().any(same) => (
                409,
                json!({"code": "already_exists", "msg": "cache entry with the same key already exists"}),
            ),
            "CreateCacheEntry" => {
                self.entries.push(Entry { key, version, ..Entry::default() });
                (200, json!({"ok": true, "signed_upload_url": url(self.entries.len() - 1)}))
            }
            "FinalizeCacheEntryUpload" => {
                let entry = self.entries.iter_mut().find(|entry| same(entry)).unwrap();
                let size = entry.bytes.as_ref().unwrap().len().to_string();
                assert_eq!(asked["size_bytes"], size.as_str());
                entry.committed = true;
                (200, json!({"ok": true, "entry_id": "1"}))
            }
            "GetCacheEntryDownloadURL" => {
                let prefixes = asked["restore_keys"].as_array().unwrap();
                let starts = |entry: &Entry| {
                    prefixes.iter().any(|prefix| entry.key.starts_with(prefix.as_str().unwrap()))
                };
                let there: Vec<_> = self.entries.iter().enumerate().collect();
                let mut there =
                    there.into_iter().rev().filter(|(_, entry)| entry.committed && entry.version == version);
                let exact = there.clone().find(|(_, entry)| same(entry));
                match exact.or_else(|| there.find(|(_, entry)| starts(entry))) {
                    Some((number, entry)) => (
                        200,
                        json!({"ok": true, "signed_download_url": url(number), "matched_key": entry.key}),
                    ),
                    None => (200, json!({"ok": false, "signed_download_url": "", "matched_key": ""})),
                }
            }
            _ => (404, json!({"code": "bad_route", "msg": "no such method"})),
        }
    }
}

impl Entry {
    fn put(&mut self, query: &str, whole: bool, bytes: Bytes) -> Reply {
        if let Some(id) = query.strip_prefix("&comp=block&blockid=") {
            self.blocks.insert(id.replace("%3D", "="), bytes);
        } else if query == "&comp=blocklist" {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            let ids = text.split("<Latest>").skip(1).map(|rest| rest.split_once('<').unwrap().0);
            let mut all = Vec::new();
            for id in ids {
                assert_eq!(BASE64.decode(id).unwrap().len(), 8, "ids are of one length");
                all.extend_from_slice(&self.blocks[id]);
            }
            self.bytes = Some(all.into());
        } else {
            assert!(whole && query.is_empty(), "{query}");
            self.bytes = Some(bytes);
        }
        reply(201, Bytes::new())
    }
}
