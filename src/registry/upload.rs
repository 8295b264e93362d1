//! Writing blobs.

use std::{
    fs::File,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use reqwest::{Method, StatusCode, header::LOCATION};
use url::Url;

use super::{
    Client, RegistryError, Result,
    answer::Answer,
    client::Endpoint,
    location,
    repository::Providing,
    request::{Body, Call, Part},
    retry::{self, Backoff},
    token::Scopes,
};
use crate::{
    event::{Outcome, Running, Task},
    oci::{Descriptor, Repository},
    store::StoreError,
};

/// How often progress is told.
const TICK: Duration = Duration::from_millis(100);

const OCTETS: &str = "application/octet-stream";

/// A blob to push: what it is, and the file that holds it. The file is read as often as it takes and never whole into
/// memory.
#[derive(Debug, Clone)]
pub struct Blob {
    /// Its digest and size.
    pub descriptor: Descriptor,
    /// Where it is: [`crate::store::Store::blob_path`].
    pub path: PathBuf,
}

/// An upload under way: what all its requests share.
#[derive(Debug)]
pub(super) struct Upload<'a> {
    pub(super) client: &'a Client,
    pub(super) at: &'a Endpoint,
    pub(super) blob: &'a Descriptor,
    pub(super) file: Arc<File>,
    pub(super) sent: Arc<AtomicU64>,
    pub(super) task: &'a Running,
    pub(super) action: String,
}

/// The registry's side of an upload.
#[derive(Debug, Clone)]
pub(super) struct Session {
    /// Where the next request goes.
    pub(super) url: Url,
    /// The fewest bytes it takes in one chunk.
    pub(super) least: u64,
}

/// How one try of an upload ended.
pub(super) enum Try {
    Done,
    /// Start again, after this reason and perhaps this wait.
    Again {
        reason: String,
        asked: Option<Duration>,
        error: RegistryError,
    },
    /// The body is too large for one request.
    TooLarge(RegistryError),
}

impl Client {
    /// Pushes a blob, unless the repository has it or can link it from one of `mount_from` (those on another registry
    /// are skipped). Two calls for one blob and repository push it once. Emits [`Task::Push`].
    ///
    /// # Errors
    /// The registry does not take it. Where its file [is not there](RegistryError::is_missing_file) though it has to be
    /// sent, the task ends as [`Outcome::Needed`].
    pub async fn push_blob(
        &self,
        to: &Repository,
        blob: &Blob,
        mount_from: &[Repository],
    ) -> Result<Outcome> {
        let descriptor = &blob.descriptor;
        let _flight = self.inner.pushing.join((to.clone(), descriptor.digest)).await;
        let kind = Task::Push { to: to.to_string(), digest: descriptor.digest };
        let task = self.sink.start(kind, Some(descriptor.size));
        let outcome = match self.push(to, blob, mount_from, &task).await {
            // No failure yet: whoever knows where to get it may fetch it and push again.
            Err(error) if error.is_missing_file() => {
                task.finish(Outcome::Needed, None);
                return Err(error);
            }
            other => other?,
        };
        self.learn(to, &descriptor.digest);
        task.finish(outcome, Some((descriptor.digest, descriptor.size)));
        Ok(outcome)
    }

    async fn push(
        &self,
        to: &Repository,
        blob: &Blob,
        mount_from: &[Repository],
        task: &Running,
    ) -> Result<Outcome> {
        let descriptor = &blob.descriptor;
        if self.knows(to, &descriptor.digest) {
            return Ok(Outcome::Exists);
        }
        let at = self.endpoint(to)?;
        let action = format!("push the blob {} to {to}", descriptor.digest);
        if self.is_there(&at, descriptor, &action).await? {
            return Ok(Outcome::Exists);
        }
        let mut session = None;
        let sources = mount_from
            .iter()
            .filter(|source| source.registry() == to.registry() && source.path() != to.path());
        for source in sources {
            match self.mount(&at, descriptor, source, &action).await {
                Mount::Mounted => return Ok(Outcome::Mounted),
                Mount::Session(opened) => {
                    session = Some(opened);
                    break;
                }
                Mount::Refused => {}
            }
        }
        let file = File::open(&blob.path)
            .map_err(|source| RegistryError::File { path: blob.path.clone(), source })?;
        let found = file.metadata().map_or(0, |stat| stat.len());
        if found != descriptor.size {
            let what = format!("the blob {} in {}", descriptor.digest, blob.path.display());
            return Err(StoreError::Size { what, expected: descriptor.size, found }.into());
        }
        if let Some(most) = at.host.policy.largest_blob.filter(|most| descriptor.size > *most) {
            let (size, name) = (descriptor.size, &at.host.name);
            self.warn_once(format!(
                "the blob {} has {size} bytes, and {name} is known to take {most} at the most: split the layer",
                descriptor.digest
            ));
        }
        let sent = Arc::new(AtomicU64::new(0));
        let upload =
            Upload { client: self, at: &at, blob: descriptor, file: Arc::new(file), sent, task, action };
        upload.told(upload.run(session)).await?;
        Ok(Outcome::Done)
    }

    /// Whether the blob is there. A refusal is no answer: the upload will tell more.
    async fn is_there(&self, at: &Endpoint, blob: &Descriptor, action: &str) -> Result<bool> {
        let answer = self.head_blob(at, blob, Scopes::push(&at.path), action.to_owned()).await?;
        match answer.status() {
            StatusCode::OK => Ok(true),
            // It was waited for already.
            StatusCode::TOO_MANY_REQUESTS => Err(answer.into_error().await),
            _ => Ok(false),
        }
    }

    /// Asks the registry to link a blob from another repository. Whatever goes wrong, the upload goes on without.
    async fn mount(&self, at: &Endpoint, blob: &Descriptor, from: &Repository, action: &str) -> Mount {
        let Ok(mut url) = self.url(&at.host, &format!("{}/blobs/uploads/", at.path)).await else {
            return Mount::Refused;
        };
        url.query_pairs_mut().append_pair("mount", &blob.digest.to_string()).append_pair("from", from.path());
        let scopes = Scopes::push(&at.path).and_pull(from.path());
        let call = Call::new(&at.host, Method::POST, url, scopes, action.to_owned()).once();
        match self.send(&call).await {
            Ok(answer) if answer.status() == StatusCode::CREATED => Mount::Mounted,
            // Declined: but the upload it opened instead is as good as one of our own.
            Ok(answer) if answer.status() == StatusCode::ACCEPTED => {
                session_of(at, &answer).map_or(Mount::Refused, Mount::Session)
            }
            _ => Mount::Refused,
        }
    }
}

enum Mount {
    Mounted,
    Session(Session),
    Refused,
}

impl Upload<'_> {
    /// Tells how far the body was sent while something runs.
    async fn told<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        let mut tick = tokio::time::interval(TICK);
        let mut shown = 0;
        loop {
            tokio::select! {
                result = &mut work => return result,
                _ = tick.tick() => {
                    let sent = self.sent.load(Ordering::Relaxed);
                    if sent != shown {
                        shown = sent;
                        self.task.set(sent);
                    }
                }
            }
        }
    }

    /// Uploads until it is done or hopeless: whole, in one request, as long as the registry takes that, and in chunks
    /// where not.
    async fn run(&self, mut session: Option<Session>) -> Result<()> {
        let host = &self.at.host;
        let limit = self.client.inner.settings.chunk.min(host.policy.largest_chunk.unwrap_or(u64::MAX));
        let mut backoff = Backoff::new(self.client.patience);
        let (mut breaks, mut rejections) = (0, 0);
        loop {
            let opened = match session.take() {
                Some(opened) => opened,
                None => match self.open().await? {
                    Some(opened) => opened,
                    None => return Ok(()),
                },
            };
            let outcome = match host.chunk() {
                Some(chunk) => self.chunks(opened, 0, chunk, &mut backoff).await?,
                None => self.whole(opened, limit, &mut backoff).await?,
            };
            let (reason, asked, error) = match outcome {
                Try::Done => return Ok(()),
                Try::TooLarge(_) if host.policy.chunked && host.chunk().is_none() => {
                    host.learn_chunk(limit);
                    continue;
                }
                Try::TooLarge(error) => return Err(error),
                Try::Again { reason, asked, error } => (reason, asked, error),
            };
            if matches!(error, RegistryError::Transport { .. }) {
                breaks += 1;
                // Some proxies just hang up on bodies that are too large for them.
                if breaks == 2 && host.policy.chunked && self.blob.size > limit {
                    host.learn_chunk(limit);
                }
            }
            if matches!(error, RegistryError::Status { status: StatusCode::BAD_REQUEST, .. }) {
                rejections += 1;
                // Once may be a connection's fault. Twice, it is the content's or ours.
                if rejections == 2 {
                    return Err(error);
                }
            }
            let Some(wait) = backoff.next(asked) else { return Err(error) };
            self.client.pause(Some(self.task), reason, wait).await;
            // The registry may have it after all, and only its answer was lost.
            if self.client.is_there(self.at, self.blob, &self.action).await? {
                return Ok(());
            }
        }
    }

    /// Begins an upload; `None`: the registry says that it has the blob.
    async fn open(&self) -> Result<Option<Session>> {
        let url = self.client.url(&self.at.host, &format!("{}/blobs/uploads/", self.at.path)).await?;
        let mut providing = Providing::default();
        loop {
            let answer = self.client.send(&self.call(Method::POST, url.clone())).await?;
            match answer.status() {
                StatusCode::ACCEPTED => return session_of(self.at, &answer).map(Some),
                StatusCode::CREATED => return Ok(None),
                _ => self.client.provide(self.at, answer.into_error().await, &mut providing).await?,
            }
        }
    }

    /// The whole blob in one request.
    async fn whole(&self, session: Session, limit: u64, backoff: &mut Backoff) -> Result<Try> {
        let sent = self.client.send(&self.closing(&session, 0, self.blob.size)).await;
        let outcome = self.closed(sent).await?;
        // After a break, the registry may have kept what came before it.
        if matches!(outcome, Try::Again { .. })
            && self.at.host.policy.chunked
            && let Some((session, offset)) = self.status(&session).await
            && offset > 0
        {
            if let Some(wait) = backoff.next(None) {
                self.client.pause(Some(self.task), format!("going on at byte {offset}"), wait).await;
            }
            return self.chunks(session, offset, limit, backoff).await;
        }
        Ok(outcome)
    }

    /// The request that ends an upload, with the rest of the blob.
    pub(super) fn closing(&self, session: &Session, offset: u64, length: u64) -> Call<'_> {
        let mut url = session.url.clone();
        url.query_pairs_mut().append_pair("digest", &self.blob.digest.to_string());
        let call = self.call(Method::PUT, url).once();
        if length == 0 { call } else { call.body(self.part(offset, length), OCTETS) }
    }

    /// What the answer to the closing request means.
    pub(super) async fn closed(&self, sent: Result<Answer>) -> Result<Try> {
        let answer = match sent {
            Ok(answer) => answer,
            Err(error @ RegistryError::Transport { .. }) => {
                return Ok(Try::Again { reason: error.to_string(), asked: None, error });
            }
            Err(error) => return Err(error),
        };
        let status = answer.status();
        match status {
            StatusCode::OK | StatusCode::CREATED | StatusCode::ACCEPTED | StatusCode::NO_CONTENT => {
                return self.confirmed(&answer).map(|()| Try::Done);
            }
            StatusCode::PAYLOAD_TOO_LARGE => return Ok(Try::TooLarge(answer.into_error().await)),
            _ => {}
        }
        let asked = retry::retry_after(answer.headers(), std::time::SystemTime::now());
        // 404: the session is gone. 400 and 416: the registry lost count of it. All are mended by a new one.
        let mended = matches!(status.as_u16(), 404 | 400 | 416) || retry::may_pass(status);
        let error = answer.into_error().await;
        if mended { Ok(Try::Again { reason: error.to_string(), asked, error }) } else { Err(error) }
    }

    fn confirmed(&self, answer: &Answer) -> Result<()> {
        let named = answer.header("docker-content-digest").and_then(|text| text.parse().ok());
        match named {
            Some(found) if found != self.blob.digest => {
                Err(RegistryError::mismatch(self.action.clone(), self.blob.digest, found))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn call(&self, method: Method, url: Url) -> Call<'_> {
        let scopes = Scopes::push(&self.at.path);
        Call::new(&self.at.host, method, url, scopes, self.action.clone()).of(Some(self.task))
    }

    pub(super) fn part(&self, offset: u64, length: u64) -> Body {
        Body::File(Part { file: self.file.clone(), offset, length, sent: self.sent.clone() })
    }
}

/// The session that an answer opens or continues.
pub(super) fn session_of(at: &Endpoint, answer: &Answer) -> Result<Session> {
    let target = answer
        .headers()
        .get(LOCATION)
        .ok_or_else(|| answer.protocol("the registry accepted the upload but gave no Location for it"))?;
    let url = location::resolve(answer.url(), &String::from_utf8_lossy(target.as_bytes()), at.host.insecure)
        .map_err(|problem| answer.protocol(problem))?;
    let least = answer.header("oci-chunk-min-length").and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    Ok(Session { url, least })
}
