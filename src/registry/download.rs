//! Files from the web.

use std::io::Write;

use reqwest::StatusCode;
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
}

impl Client {
    /// Downloads a file over HTTP or HTTPS, with the certificates, proxies and patience of registries and without
    /// their credentials. A user and password in the URL are used for its own host. Emits [`Task::Fetch`].
    pub async fn download(&self, url: &str, store: &Store) -> Result<Downloaded> {
        let parsed =
            Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https")).ok_or_else(|| {
                RegistryError::Settings("a file's URL must start with http:// or https://".into())
            })?;
        let shown = crate::error::public_url(&parsed);
        let action = format!("download {shown}");
        let task = self.inner.settings.sink.start(Task::Fetch { from: shown, digest: None }, None);
        let mut backoff = Backoff::new(self.inner.settings.patience);
        loop {
            let (reason, asked, error) = match self.follow(&parsed, &action).await {
                Ok(answer) if answer.status() == StatusCode::OK => {
                    match self.receive(answer, store, &task).await {
                        Err(error @ RegistryError::Transport { .. }) => (error.to_string(), None, error),
                        Err(error) => return Err(error),
                        Ok(downloaded) => {
                            task.finish(Outcome::Done, Some((downloaded.digest, downloaded.size)));
                            return Ok(downloaded);
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

    async fn follow(&self, url: &Url, action: &str) -> Result<Answer> {
        let idle = self.inner.settings.patience.idle;
        let transport = |problem| RegistryError::Transport { action: action.to_owned(), problem };
        let mut url = url.clone();
        for _ in 0..HOPS {
            let request = self.web_for(&url)?.get(url.clone()).send();
            let response = tokio::time::timeout(idle, request)
                .await
                .map_err(|_| transport(format!("nothing came for {} s", idle.as_secs())))?
                .map_err(|error| broken(action, error))?;
            let target = response
                .headers()
                .get(reqwest::header::LOCATION)
                .filter(|_| response.status().is_redirection())
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
        let idle = self.inner.settings.patience.idle;
        let action = answer.action.clone();
        let url = crate::error::public_url(answer.url());
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
        Ok(Downloaded { file, digest: hasher.finish(), size, url })
    }
}
