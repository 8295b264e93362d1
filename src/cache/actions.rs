//! The cache service of GitHub Actions as a cache, by version 2 of its protocol: calls of Twirp in JSON that reserve a
//! key, commit it and find it, and signed URLs of Azure's block blobs that move the bytes.
//!
//! Keys there are for ever: what is committed under one stays until it is evicted, and a job that dies leaves its keys
//! reserved. But a key is also found by what it starts with, the last one committed first. So what names of ours end
//! with tells apart what may come twice: the digest of an entry's document, so that a better one takes the place of one
//! that nobody believes, and the number of a try, so that a blob whose first writer died gets in after all.
//!
//! Which branches see what is the service's to decide: a pull request reads what its base wrote, and not the other way.

use std::{
    io::SeekFrom,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use url::Url;

use super::{
    CacheError, Result, Service,
    backend::{Answer, New, little, name_of},
    document, receive,
};
use crate::{
    error::Kind,
    oci::{Descriptor, Digest},
    registry::{Backoff, Client, Patience, may_pass, retry_after, transport_words},
    store::{Store, StoreError},
};

/// The path of the service's calls (Twirp's specification, "URLs").
const CALLS: &str = "twirp/github.actions.results.api.v1.CacheService/";

/// The bytes of a block. A block blob has at most 50,000 of them (Azure's REST API, "Put Block").
const BLOCK: u64 = 16 << 20;

/// How many blocks of one blob are on their way at a time: they are in memory.
const AT_ONCE: usize = 3;

/// How many keys a blob may get.
const TRIES: usize = 2;

/// The largest answer that a call gives.
const LARGEST_ANSWER: usize = 64 << 10;

#[derive(Debug, Clone)]
pub(super) struct Actions {
    service: Service,
    client: Client,
}

#[derive(Serialize)]
struct Create<'a> {
    key: &'a str,
    version: &'a str,
}

#[derive(Deserialize)]
struct Created {
    #[serde(default)]
    ok: bool,
    #[serde(default, alias = "signedUploadUrl")]
    signed_upload_url: String,
}

#[derive(Serialize)]
struct Finalize<'a> {
    key: &'a str,
    /// A 64-bit number, which is text in protobuf's JSON.
    size_bytes: String,
    version: &'a str,
}

#[derive(Deserialize)]
struct Finalized {
    #[serde(default)]
    ok: bool,
}

#[derive(Serialize)]
struct Find<'a> {
    key: &'a str,
    restore_keys: [&'a str; 1],
    version: &'a str,
}

#[derive(Deserialize)]
struct Located {
    #[serde(default)]
    ok: bool,
    #[serde(default, alias = "signedDownloadUrl")]
    signed_download_url: String,
    #[serde(default, alias = "matchedKey")]
    matched_key: String,
}

/// What Twirp says of an error (its specification, "Error codes").
#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    code: String,
    #[serde(default, alias = "message")]
    msg: String,
}

impl Actions {
    pub(super) fn new(service: Service, client: &Client) -> Self {
        Self { service, client: client.clone() }
    }

    fn entry_prefix(&self, key: &Digest) -> String {
        format!("imgbuild-1-entry-{}-{}-", self.service.scope, name_of(key))
    }

    pub(super) async fn get(&self, key: &Digest) -> Result<Option<Answer>> {
        let patience = little(self.client.patience());
        let Some(url) = self.find(&self.entry_prefix(key), patience).await? else { return Ok(None) };
        let action = "read an entry of GitHub's cache";
        let Some(answer) = self.download(&url, action, patience).await? else { return Ok(None) };
        match limited(answer, document::LARGEST, action).await? {
            Some(document) => Ok(Some(Answer { document, blobs: None })),
            None => Err(CacheError::Damaged { key: Box::new(*key), problem: "it is too large".into() }),
        }
    }

    pub(super) async fn has_blob(&self, blob: &Descriptor) -> Result<bool> {
        Ok(self.find(&blob_prefix(&blob.digest), little(self.client.patience())).await?.is_some())
    }

    pub(super) async fn fetch(&self, blob: &Descriptor, store: &Store) -> Result<()> {
        let (action, patience) = ("fetch a blob from GitHub's cache", self.client.patience());
        let absent = || CacheError::Absent { digest: Box::new(blob.digest) };
        let mut backoff = Backoff::new(patience);
        loop {
            let url = self.find(&blob_prefix(&blob.digest), patience).await?.ok_or_else(absent)?;
            let answer = self.download(&url, action, patience).await?.ok_or_else(absent)?;
            let chunks = answer.bytes_stream().map(|chunk| chunk.map_err(|error| broken(action, error)));
            let what = format!("the blob {} of GitHub's cache", blob.digest);
            match receive::into_store(chunks.boxed(), blob, store, what, patience.idle).await {
                Err(error @ (CacheError::Remote { .. } | CacheError::Late { .. })) => {
                    match backoff.next(None) {
                        Some(wait) => tokio::time::sleep(wait).await,
                        None => return Err(error),
                    }
                }
                other => return other,
            }
        }
    }

    pub(super) async fn put(&self, new: New<'_>, store: &Store) -> Result<()> {
        for layer in new.layers {
            self.put_blob(&layer.descriptor, store).await?;
        }
        let digest = Digest::of(new.document).hex();
        let key = format!("{}{}", self.entry_prefix(new.key), &digest[..16]);
        let Some(url) = self.create(&key).await? else { return Ok(()) };
        self.upload(&url, Bytes::copy_from_slice(new.document)).await?;
        self.finalize(&key, new.document.len() as u64).await
    }

    async fn put_blob(&self, blob: &Descriptor, store: &Store) -> Result<()> {
        let prefix = blob_prefix(&blob.digest);
        if self.find(&prefix, self.client.patience()).await?.is_some() {
            return Ok(());
        }
        // Before a key is reserved for what is not here.
        let path = store.blob_path(&blob.digest);
        let read = StoreError::io("open", path.clone());
        tokio::fs::metadata(&path).await.map_err(read)?;
        for number in 0..TRIES {
            let key = format!("{prefix}{number}");
            let Some(url) = self.create(&key).await? else {
                // Somebody was first, or reserved it and died.
                match self.find(&prefix, self.client.patience()).await? {
                    Some(_) => return Ok(()),
                    None => continue,
                }
            };
            if blob.size <= BLOCK {
                let bytes = tokio::fs::read(&path).await.map_err(StoreError::io("read", &path))?;
                self.upload(&url, bytes.into()).await?;
            } else {
                self.upload_blocks(&url, blob.size, &path).await?;
            }
            return self.finalize(&key, blob.size).await;
        }
        // Others are at it, or were: it is theirs to end.
        Ok(())
    }

    async fn upload_blocks(&self, url: &Url, size: u64, path: &std::path::Path) -> Result<()> {
        let count = size.div_ceil(BLOCK);
        // All of one length, as they must be.
        let id = |number: u64| BASE64.encode(format!("{number:08}"));
        let blocks = (0..count).map(async |number| {
            let (at, id) = (number * BLOCK, id(number));
            let bytes = read_block(path, at, BLOCK.min(size - at)).await?;
            let mut url = url.clone();
            url.query_pairs_mut().append_pair("comp", "block").append_pair("blockid", &id);
            self.upload(&url, bytes).await
        });
        stream::iter(blocks).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        let ids: String = (0..count).map(|number| format!("<Latest>{}</Latest>", id(number))).collect();
        let list = format!("<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>{ids}</BlockList>");
        let mut url = url.clone();
        url.query_pairs_mut().append_pair("comp", "blocklist");
        self.upload(&url, list.into()).await
    }

    /// The URL of what was committed last under a key that starts so.
    async fn find(&self, prefix: &str, patience: Patience) -> Result<Option<Url>> {
        let action = "look for a key in GitHub's cache";
        let asked = Find { key: prefix, restore_keys: [prefix], version: &version() };
        let found: Option<Located> = self.call("GetCacheEntryDownloadURL", &asked, action, patience).await?;
        let found = found.filter(|found| found.ok && found.matched_key.starts_with(prefix));
        found.map(|found| signed(&found.signed_download_url, action)).transpose()
    }

    /// Reserves a key: where to upload to; `None`: it was reserved before.
    async fn create(&self, key: &str) -> Result<Option<Url>> {
        let action = "reserve a key in GitHub's cache";
        let asked = Create { key, version: &version() };
        let created: Option<Created> =
            self.call("CreateCacheEntry", &asked, action, self.client.patience()).await?;
        match created {
            Some(created) if created.ok => Ok(Some(signed(&created.signed_upload_url, action)?)),
            Some(_) => Err(remote(action, "the service does not want it".into(), Kind::Denied)),
            None => Ok(None),
        }
    }

    async fn finalize(&self, key: &str, size: u64) -> Result<()> {
        let action = "commit a key to GitHub's cache";
        let asked = Finalize { key, size_bytes: size.to_string(), version: &version() };
        let done: Option<Finalized> =
            self.call("FinalizeCacheEntryUpload", &asked, action, self.client.patience()).await?;
        match done {
            Some(done) if !done.ok => {
                Err(remote(action, "the service does not take it".into(), Kind::Network))
            }
            _ => Ok(()),
        }
    }

    /// One call; `None`: there is already, or not yet, what it is about.
    async fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        body: &impl Serialize,
        action: &str,
        patience: Patience,
    ) -> Result<Option<T>> {
        let wrong = |error: &dyn std::fmt::Display| remote(action, error.to_string(), Kind::Input);
        let url = self.service.url.join(&format!("{CALLS}{method}")).map_err(|error| wrong(&error))?;
        let web = self.client.web_for(&url)?;
        let body = serde_json::to_vec(body).map_err(|error| wrong(&error))?;
        let request = || {
            let request = web.post(url.clone()).bearer_auth(self.service.token.expose());
            request.header("Content-Type", "application/json").body(body.clone())
        };
        let answer = send(request, action, patience, Some(patience.idle)).await?;
        let status = answer.status();
        if status == StatusCode::CONFLICT || status == StatusCode::NOT_FOUND && method.starts_with("Get") {
            return Ok(None);
        }
        let bytes = limited(answer, LARGEST_ANSWER, action).await?.unwrap_or_default();
        if !status.is_success() {
            return Err(refused(action, status, &bytes));
        }
        let parsed = serde_json::from_slice(&bytes);
        parsed
            .map(Some)
            .map_err(|error| remote(action, format!("its answer is none: {error}"), Kind::Network))
    }

    async fn download(&self, url: &Url, action: &str, patience: Patience) -> Result<Option<Response>> {
        let web = self.client.web_for(url)?;
        let answer = send(|| web.get(url.clone()), action, patience, Some(patience.idle)).await?;
        match answer.status() {
            status if status.is_success() => Ok(Some(answer)),
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(refused(action, status, b"")),
        }
    }

    async fn upload(&self, url: &Url, bytes: Bytes) -> Result<()> {
        let (action, web) = ("upload to GitHub's cache", self.client.web_for(url)?);
        let request = || web.put(url.clone()).header("x-ms-blob-type", "BlockBlob").body(bytes.clone());
        let status = send(request, action, self.client.patience(), None).await?.status();
        if status.is_success() { Ok(()) } else { Err(refused(action, status, b"")) }
    }
}

fn blob_prefix(digest: &Digest) -> String {
    format!("imgbuild-1-blob-{}-{}-", digest.algorithm(), digest.hex())
}

/// What keys are told apart by besides: others hash paths and compression into it.
fn version() -> String {
    Digest::of(b"imgbuild cache 1").hex()
}

/// Sends a request until it is answered with something that does not pass. `silence` is how long an answer may take.
async fn send(
    request: impl Fn() -> RequestBuilder,
    action: &str,
    patience: Patience,
    silence: Option<Duration>,
) -> Result<Response> {
    let mut backoff = Backoff::new(patience);
    loop {
        let sending = request().send();
        let sent = match silence {
            Some(silence) => tokio::time::timeout(silence, sending).await.map_err(|_| silence.as_secs()),
            None => Ok(sending.await),
        };
        let (asked, error) = match sent {
            Ok(Ok(answer)) if !may_pass(answer.status()) => return Ok(answer),
            Ok(Ok(answer)) => {
                (retry_after(answer.headers(), SystemTime::now()), refused(action, answer.status(), b""))
            }
            Ok(Err(error)) => (None, broken(action, error)),
            Err(seconds) => (None, CacheError::Late { action: action.to_owned(), seconds }),
        };
        match backoff.next(asked) {
            Some(wait) => tokio::time::sleep(wait).await,
            None => return Err(error),
        }
    }
}

/// The body of an answer; `None`: it is larger than it may be.
async fn limited(mut answer: Response, most: usize, action: &str) -> Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| broken(action, error))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > most {
            return Ok(None);
        }
    }
    Ok(Some(bytes))
}

async fn read_block(path: &std::path::Path, at: u64, size: u64) -> Result<Bytes> {
    let read = async || {
        let mut file = tokio::fs::File::open(path).await?;
        file.seek(SeekFrom::Start(at)).await?;
        let mut bytes = vec![0; size as usize];
        file.read_exact(&mut bytes).await?;
        Ok(bytes.into())
    };
    Ok(read().await.map_err(StoreError::io("read", path))?)
}

/// A URL that the service signed. It is not shown: it is a credential.
fn signed(text: &str, action: &str) -> Result<Url> {
    Url::parse(text).map_err(|error| remote(action, format!("its URL is none: {error}"), Kind::Network))
}

fn remote(action: &str, problem: String, kind: Kind) -> CacheError {
    CacheError::Remote { action: action.to_owned(), problem, kind }
}

fn broken(action: &str, error: reqwest::Error) -> CacheError {
    remote(action, transport_words(error), Kind::Network)
}

fn refused(action: &str, status: StatusCode, body: &[u8]) -> CacheError {
    let kind = match status.as_u16() {
        401 | 403 => Kind::Denied,
        404 => Kind::NotFound,
        429 => Kind::RateLimited,
        _ => Kind::Network,
    };
    let said = serde_json::from_slice::<Refusal>(body).ok();
    let words = said.map(|said| if said.msg.is_empty() { said.code } else { said.msg });
    let problem = match words.filter(|words| !words.is_empty()) {
        Some(words) => format!("status {status}: {words}"),
        None => format!("status {status}"),
    };
    remote(action, problem, kind)
}
