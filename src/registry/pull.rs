//! Reading blobs.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt, stream};
use reqwest::{
    Method, StatusCode,
    header::{ACCEPT_ENCODING, CONTENT_RANGE, RANGE},
};
use url::Url;

use super::{
    Client, RegistryError, Result, answer::Answer, client::Endpoint, error::transport_words, location,
    passed::Passed, request::Call, retry::Backoff, token::Scopes,
};
use crate::{
    event::Running,
    oci::{Descriptor, Repository},
};

/// Progress that makes earlier failures forgotten.
const PROGRESS: u64 = 1 << 20;

/// A blob's bytes as they come. Whoever takes them verifies them; the size is verified here.
pub struct BlobStream(Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>);

impl fmt::Debug for BlobStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlobStream(..)")
    }
}

impl Stream for BlobStream {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(context)
    }
}

/// A read under way.
struct Reading {
    client: Client,
    endpoints: Vec<Endpoint>,
    blob: Descriptor,
    action: String,
    task: Option<Arc<Running>>,
    answer: Option<Answer>,
    offset: u64,
    /// What of the answer's body was had before, from a server that knows no ranges.
    skip: u64,
    backoff: Backoff,
    /// Where the failures were counted from.
    mark: u64,
}

impl Client {
    /// Reads a blob from the registry or its mirrors, or else from the descriptor's `urls`. A body that breaks off is
    /// taken up where it broke.
    ///
    /// The stream counts as a request to the host while it lives: read it, or drop it.
    pub async fn blob(&self, repository: &Repository, blob: &Descriptor) -> Result<BlobStream> {
        self.read_blob(repository, blob, None).await
    }

    pub(super) async fn read_blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        task: Option<Arc<Running>>,
    ) -> Result<BlobStream> {
        let mut reading = Reading {
            client: self.clone(),
            endpoints: self.endpoints(repository)?,
            blob: blob.clone(),
            action: format!("fetch the blob {} of {repository}", blob.digest),
            task,
            answer: None,
            offset: 0,
            skip: 0,
            backoff: Backoff::new(self.patience),
            mark: 0,
        };
        // Now and not at the first poll, so that a blob that is not there is an error of this call.
        reading.connect().await?;
        let stream = stream::try_unfold(reading, async |mut reading| {
            Ok(reading.next().await?.map(|bytes| (bytes, reading)))
        });
        Ok(BlobStream(stream.boxed()))
    }

    /// Whether the registry has the blob in this repository.
    pub async fn has_blob(&self, repository: &Repository, blob: &Descriptor) -> Result<bool> {
        if self.knows(repository, &blob.digest) {
            return Ok(true);
        }
        let at = self.endpoint(repository)?;
        let action = format!("look for the blob {} in {repository}", blob.digest);
        let answer = self.head_blob(&at, blob, Scopes::pull(&at.path), action).await?;
        match answer.status() {
            StatusCode::OK => {
                self.learn(repository, &blob.digest);
                Ok(true)
            }
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(answer.into_error().await),
        }
    }

    pub(super) async fn head_blob(
        &self,
        at: &Endpoint,
        blob: &Descriptor,
        scopes: Scopes,
        action: String,
    ) -> Result<Answer> {
        let url = self.url(&at.host, &format!("{}/blobs/{}", at.path, blob.digest)).await?;
        self.send(&Call::new(&at.host, Method::HEAD, url, scopes, action)).await
    }
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if self.offset == self.blob.size {
                return Ok(None);
            }
            if self.answer.is_none() {
                self.connect().await?;
            }
            let Some(answer) = &mut self.answer else { continue };
            let idle = self.client.patience.idle;
            let problem = match tokio::time::timeout(idle, answer.response.chunk()).await {
                Ok(Ok(Some(mut bytes))) => {
                    let skipped = self.skip.min(bytes.len() as u64);
                    self.skip -= skipped;
                    bytes.advance(skipped as usize);
                    if bytes.is_empty() {
                        continue;
                    }
                    self.offset += bytes.len() as u64;
                    if self.offset > self.blob.size {
                        return Err(answer.protocol(format!(
                            "the blob has more than the {} bytes that its descriptor promises",
                            self.blob.size
                        )));
                    }
                    if self.offset - self.mark > PROGRESS {
                        self.mark = self.offset;
                        self.backoff.progressed();
                    }
                    return Ok(Some(bytes));
                }
                Ok(Ok(None)) => format!("it ended after {} of {} bytes", self.offset, self.blob.size),
                Ok(Err(error)) => transport_words(error),
                Err(_) => format!("nothing came for {} s", idle.as_secs()),
            };
            self.answer = None;
            match self.backoff.next(None) {
                Some(wait) => self.client.pause(self.task.as_deref(), problem, wait).await,
                None => return Err(RegistryError::Transport { action: self.action.clone(), problem }),
            }
        }
    }

    /// Asks for what is missing.
    async fn connect(&mut self) -> Result<()> {
        let (mut found, mut passed) = (None, Passed::default());
        for at in &self.endpoints {
            match self.ask(at).await {
                Ok(answer) => {
                    found = Some(answer);
                    break;
                }
                Err(error) => passed.over(&self.client, at, error),
            }
        }
        let answer = match found {
            Some(answer) => answer,
            None => match passed.into_error(&self.action) {
                error @ RegistryError::NotFound { .. } => self.elsewhere().await.ok_or(error)?,
                error => return Err(error),
            },
        };
        self.skip = match answer.status() {
            StatusCode::PARTIAL_CONTENT if start_of(&answer) == Some(self.offset) => 0,
            StatusCode::PARTIAL_CONTENT => {
                return Err(answer.protocol("it sent another part of the blob than was asked for"));
            }
            _ => self.offset,
        };
        self.answer = Some(answer);
        Ok(())
    }

    async fn ask(&self, at: &Endpoint) -> Result<Answer> {
        let url = self.client.url_in(at, &format!("{}/blobs/{}", at.path, self.blob.digest)).await?;
        let call = Call::new(&at.host, Method::GET, url, Scopes::pull(&at.path), self.action.clone());
        self.request(if at.mirror { call.once() } else { call }).await
    }

    /// The places that the descriptor itself names, for layers that registries do not carry. They get no credentials.
    async fn elsewhere(&self) -> Option<Answer> {
        let host = &self.endpoints.last()?.host;
        let from = host.base.get()?;
        for url in self.blob.urls.iter().filter_map(|url| Url::parse(url).ok()) {
            if location::check(from, &url, host.insecure).is_err() {
                continue;
            }
            let path = &self.endpoints.last()?.path;
            let call = Call::new(host, Method::GET, url, Scopes::pull(path), self.action.clone());
            if let Ok(answer) = self.request(call).await {
                return Some(answer);
            }
        }
        None
    }

    async fn request(&self, call: Call<'_>) -> Result<Answer> {
        let call = call.header(ACCEPT_ENCODING, "identity").of(self.task.as_deref());
        let call = match self.offset {
            0 => call,
            offset => call.header(RANGE, &format!("bytes={offset}-")),
        };
        let answer = self.client.send(&call).await?;
        match answer.status() {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(answer),
            _ => Err(answer.into_error().await),
        }
    }
}

/// The first byte's position, from `Content-Range: bytes 5-9/10`.
fn start_of(answer: &Answer) -> Option<u64> {
    answer.header(CONTENT_RANGE.as_str())?.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}
