//! Files from the web.

use std::io::Write;

use reqwest::{
    StatusCode,
    header::{HeaderMap, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH},
};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    Client, RegistryError, Result,
    answer::{self, Answer},
    error::{NO_CREDENTIALS, broken, transport_words},
    location,
    retry::{self, Backoff},
};
use crate::{
    event::{Outcome, Running, Task},
    oci::{Digest, Hasher},
    store::{Store, StoreError, Temporary},
};

/// Redirects followed for one file.
const HOPS: usize = 10;

/// Bytes between two signs of progress.
const STEP: u64 = 512 << 10;

/// A file that was downloaded.
#[derive(Debug)]
pub struct Downloaded {
    /// The file, which is deleted unless it is kept.
    pub file: Temporary,
    /// The SHA-256 digest of its content.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// The URL that it came from in the end, without what may be secret: its last part is the file's name.
    pub url: String,
    /// What to ask with whether it has changed.
    pub version: FileVersion,
}

/// How a web server names a version of a file (RFC 9110 section 8.8). Both empty: it does not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileVersion {
    /// `ETag`.
    pub etag: Option<String>,
    /// `Last-Modified`, as sent.
    pub last_modified: Option<String>,
}

impl FileVersion {
    /// The headers that ask for the file only if it is another version.
    fn conditions(&self) -> HeaderMap {
        let known = [(IF_NONE_MATCH, &self.etag), (IF_MODIFIED_SINCE, &self.last_modified)];
        known
            .into_iter()
            .filter_map(|(name, value)| Some((name, HeaderValue::from_str(value.as_deref()?).ok()?)))
            .collect()
    }
}

impl Client {
    /// Downloads a file over HTTP or HTTPS, with the certificates, proxies and patience of registries and without
    /// their credentials. A user and password in the URL are used for its own host. Emits [`Task::Fetch`].
    pub async fn download(&self, url: &str, store: &Store) -> Result<Downloaded> {
        match self.download_changed(url, &FileVersion::default(), store).await? {
            Some(downloaded) => Ok(downloaded),
            None => Err(RegistryError::Protocol {
                action: format!("download {}", crate::error::public_text(url)),
                problem: "the server says that the file has not changed, but it was not asked that".into(),
            }),
        }
    }

    /// As [`Self::download`], unless the file is still of this version: then `None`.
    pub async fn download_changed(
        &self,
        url: &str,
        known: &FileVersion,
        store: &Store,
    ) -> Result<Option<Downloaded>> {
        let parsed =
            Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https")).ok_or_else(|| {
                RegistryError::Settings("a file's URL must start with http:// or https://".into())
            })?;
        let shown = crate::error::public_url(&parsed);
        let action = format!("download {shown}");
        let task = self.sink.start(Task::Fetch { from: shown, digest: None }, None);
        let mut backoff = Backoff::new(self.patience);
        loop {
            let (reason, asked, error) = match self.follow(&parsed, known, &action).await {
                Ok(answer) if answer.status() == StatusCode::NOT_MODIFIED => {
                    task.finish(Outcome::Cached, None);
                    return Ok(None);
                }
                Ok(answer) if answer.status() == StatusCode::OK => {
                    match self.receive(answer, store, &task).await {
                        Err(error @ RegistryError::Transport { .. }) => (error.to_string(), None, error),
                        Err(error) => return Err(error),
                        Ok(downloaded) => {
                            task.finish(Outcome::Done, Some((downloaded.digest, downloaded.size)));
                            return Ok(Some(downloaded));
                        }
                    }
                }
                Ok(answer) if retry::may_pass(answer.status()) => {
                    let asked = retry::retry_after(answer.headers(), std::time::SystemTime::now());
                    (answer::words(answer.status()), asked, answer.into_error().await)
                }
                Ok(answer) => return Err(answer.into_error().await),
                Err(error @ RegistryError::Transport { .. }) => (error.to_string(), None, error),
                Err(error) => return Err(error),
            };
            match backoff.next(asked) {
                Some(wait) => self.pause(Some(&task), reason, wait).await,
                None => return Err(error),
            }
        }
    }

    async fn follow(&self, url: &Url, known: &FileVersion, action: &str) -> Result<Answer> {
        let idle = self.patience.idle;
        let transport = |problem| RegistryError::Transport { action: action.to_owned(), problem };
        let mut url = url.clone();
        for _ in 0..HOPS {
            let request = self.web_for(&url)?.get(url.clone()).headers(known.conditions()).send();
            let response = tokio::time::timeout(idle, request)
                .await
                .map_err(|_| transport(format!("nothing came for {} s", idle.as_secs())))?
                .map_err(|error| broken(action, error))?;
            let target = response
                .headers()
                .get(reqwest::header::LOCATION)
                .filter(|_| response.status().is_redirection())
                .filter(|_| response.status() != StatusCode::NOT_MODIFIED)
                .map(|target| String::from_utf8_lossy(target.as_bytes()).into_owned());
            let Some(target) = target else {
                return Ok(Answer {
                    response,
                    action: action.to_owned(),
                    registry: url.host_str().unwrap_or_default().to_owned(),
                    credential: NO_CREDENTIALS.to_owned(),
                    _permit: None,
                });
            };
            let protocol = |problem| RegistryError::Protocol { action: action.to_owned(), problem };
            url = location::resolve(&url, &target, false)
                .map_err(|problem| protocol(format!("a redirect is not followed: {problem}")))?;
        }
        Err(RegistryError::Protocol { action: action.to_owned(), problem: "too many redirects".into() })
    }

    async fn receive(&self, mut answer: Answer, store: &Store, task: &Running) -> Result<Downloaded> {
        let idle = self.patience.idle;
        let action = answer.action.clone();
        let url = crate::error::public_url(answer.url());
        let header = |name| answer.header(name).map(str::to_owned);
        let version = FileVersion { etag: header("etag"), last_modified: header("last-modified") };
        let transport = |problem| RegistryError::Transport { action: action.clone(), problem };
        let mut file = store.temporary()?;
        let mut hasher = Hasher::new();
        let (mut size, mut shown) = (0, 0);
        task.set(0);
        loop {
            let next = tokio::time::timeout(idle, answer.response.chunk()).await;
            let chunk = next
                .map_err(|_| transport(format!("nothing came for {} s", idle.as_secs())))?
                .map_err(|error| transport(transport_words(error)))?;
            let Some(chunk) = chunk else { break };
            size += chunk.len() as u64;
            hasher.update(&chunk);
            if let Err(error) = file.file().write_all(&chunk) {
                return Err(StoreError::io("write", file.path())(error).into());
            }
            if size - shown >= STEP {
                shown = size;
                task.set(size);
            }
        }
        Ok(Downloaded { file, digest: hasher.finish(), size, url, version })
    }
}
