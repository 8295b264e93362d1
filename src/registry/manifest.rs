//! Manifests, indexes and tags.

use bytes::Bytes;
use reqwest::{
    Method, StatusCode,
    header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE},
};
use serde::Deserialize;

use super::{
    Client, RegistryError, Result,
    answer::Answer,
    client::Endpoint,
    link, location,
    passed::Passed,
    repository::Providing,
    request::{Body, Call},
    token::Scopes,
};
use crate::{
    error::{Explain, Kind},
    event::{Outcome, Task},
    oci::{Descriptor, Digest, Reference, Repository},
};

/// What is asked for, the OCI's own types first.
const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json, */*;q=0.1";

/// The largest manifest that is written: more than the 4 MiB that every registry must take would not be accepted
/// everywhere.
const LARGEST_WRITTEN: usize = 4 << 20;

/// The largest manifest that is read.
const LARGEST_READ: usize = 8 << 20;

const LARGEST_TAG_PAGE: usize = 32 << 20;

/// More pages than any registry has.
const MOST_TAG_PAGES: usize = 10_000;

/// A manifest or an index, as it is on the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifested {
    /// Its media type, digest and size.
    pub descriptor: Descriptor,
    /// Its bytes, verified.
    pub bytes: Bytes,
}

/// A manifest that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Its digest.
    pub digest: Digest,
    /// What the registry says in `OCI-Subject`: it keeps the list of referrers itself. Where the manifest has a
    /// subject and this is `None`, the referrers tag must be kept by us (distribution-spec, "Pushing manifests with
    /// subject").
    pub subject: Option<Digest>,
}

impl Client {
    /// What a reference means, without fetching it; `None`: it is not there.
    ///
    /// Some registries refuse (`Denied`) what does not exist.
    pub async fn resolve(&self, reference: &Reference) -> Result<Option<Descriptor>> {
        let action = format!("resolve {reference}");
        let endpoints = self.endpoints(&reference.repository)?;
        let mut passed = Passed::default();
        for endpoint in &endpoints {
            match self.resolve_at(endpoint, reference, &action).await {
                Ok(descriptor) => return Ok(Some(descriptor)),
                Err(error) => passed.over(self, endpoint, error),
            }
        }
        absent(Err(passed.into_error(&action)))
    }

    /// What a reference means on the registry itself, mirrors aside: the question before a push. `None`: it is not there,
    /// or may not be seen, as with registries that refuse to tell of repositories that do not exist; the push will
    /// say more.
    pub async fn published(&self, reference: &Reference) -> Result<Option<Descriptor>> {
        let endpoint = self.endpoint(&reference.repository)?;
        match self.resolve_at(&endpoint, reference, &format!("resolve {reference}")).await {
            Err(error) if error.kind() == Kind::Denied => Ok(None),
            other => absent(other),
        }
    }

    /// The same, where the repository is known to be there: that it may not be seen is an error then.
    pub async fn published_for_certain(&self, reference: &Reference) -> Result<Option<Descriptor>> {
        let endpoint = self.endpoint(&reference.repository)?;
        absent(self.resolve_at(&endpoint, reference, &format!("resolve {reference}")).await)
    }

    /// Fetches what a reference means on the registry itself, mirrors aside: they may be late. `None`: it is not there.
    pub async fn published_manifest(&self, reference: &Reference) -> Result<Option<Manifested>> {
        let endpoint = self.endpoint(&reference.repository)?;
        absent(self.get_manifest(&endpoint, reference, &format!("fetch the manifest {reference}")).await)
    }

    /// Fetches a manifest or an index, and verifies it against the reference's digest, or else against the digest that
    /// the registry names.
    pub async fn manifest(&self, reference: &Reference) -> Result<Manifested> {
        let action = format!("fetch the manifest {reference}");
        let endpoints = self.endpoints(&reference.repository)?;
        let mut passed = Passed::default();
        for endpoint in &endpoints {
            match self.get_manifest(endpoint, reference, &action).await {
                Ok(manifested) => return Ok(manifested),
                Err(error) => passed.over(self, endpoint, error),
            }
        }
        Err(passed.into_error(&action))
    }

    async fn resolve_at(&self, at: &Endpoint, reference: &Reference, action: &str) -> Result<Descriptor> {
        let answer = self.ask(at, reference, Method::HEAD, action).await?;
        match answer.status() {
            StatusCode::OK => {
                if let Some(descriptor) = described(&answer, reference) {
                    return Ok(descriptor);
                }
            }
            StatusCode::NOT_FOUND => return Err(answer.into_error().await),
            // The answer to a HEAD has no body that could say why, and some registries know no HEAD.
            _ => {}
        }
        drop(answer);
        self.get_manifest(at, reference, action).await.map(|manifested| manifested.descriptor)
    }

    async fn ask(
        &self,
        at: &Endpoint,
        reference: &Reference,
        method: Method,
        action: &str,
    ) -> Result<Answer> {
        let url = self.url_in(at, &format!("{}/manifests/{}", at.path, reference.target())).await?;
        let call = Call::new(&at.host, method, url, Scopes::pull(&at.path), action.to_owned());
        let call = call.header(ACCEPT, ACCEPTED);
        self.send(&if at.mirror { call.once() } else { call }).await
    }

    async fn get_manifest(&self, at: &Endpoint, reference: &Reference, action: &str) -> Result<Manifested> {
        let answer = self.ask(at, reference, Method::GET, action).await?;
        if answer.status() != StatusCode::OK {
            return Err(answer.into_error().await);
        }
        let content_type = media_type(&answer);
        let named = answer.header("docker-content-digest").and_then(|text| text.parse::<Digest>().ok());
        let bytes = answer.bytes(LARGEST_READ).await?;
        let found = match reference.digest.or(named) {
            Some(expected) => {
                let mut hasher = expected.hasher();
                hasher.update(&bytes);
                let found = hasher.finish();
                if found != expected {
                    return Err(RegistryError::mismatch(action.to_owned(), expected, found));
                }
                found
            }
            None => Digest::of(&bytes),
        };
        let media_type = declared(&bytes).or(content_type).unwrap_or_default();
        let descriptor = Descriptor::new(media_type, found, bytes.len() as u64);
        Ok(Manifested { descriptor, bytes })
    }

    /// Writes a manifest or an index under the reference's digest, or else its tag. Emits [`Task::Publish`].
    ///
    /// # Errors
    ///
    /// `Conflict` if the tag is immutable and means something else.
    pub async fn push_manifest(&self, to: &Reference, media_type: &str, bytes: Bytes) -> Result<Published> {
        let action = format!("push the manifest {to}");
        let digest = Digest::of(&bytes);
        if let Some(expected) = to.digest.filter(|expected| {
            let mut hasher = expected.hasher();
            hasher.update(&bytes);
            hasher.finish() != *expected
        }) {
            return Err(RegistryError::mismatch(action, expected, digest));
        }
        if bytes.len() > LARGEST_WRITTEN {
            let problem = format!("it has {} bytes, and registries take 4 MiB", bytes.len());
            return Err(RegistryError::Protocol { action, problem });
        }
        let made = (digest, bytes.len() as u64);
        let task = self.sink.start(Task::Publish { reference: to.to_string() }, None);
        let at = self.endpoint(&to.repository)?;
        let url = self.url(&at.host, &format!("{}/manifests/{}", at.path, to.target())).await?;
        let call = Call::new(&at.host, Method::PUT, url, Scopes::push(&at.path), action.clone())
            .body(Body::Bytes(bytes), media_type)
            .of(Some(&task));
        let mut providing = Providing::default();
        let mut answer = self.send(&call).await?;
        while !matches!(answer.status().as_u16(), 200..=204) {
            let error = answer.into_error().await;
            // An immutable tag that means this manifest already is as good as written.
            if matches!(error, RegistryError::Conflict { .. })
                && let Ok(there) = self.get_manifest(&at, to, &action).await
                && there.descriptor.digest == digest
            {
                task.finish(Outcome::Exists, Some(made));
                return Ok(Published { digest, subject: None });
            }
            self.provide(&at, error, &mut providing).await?;
            answer = self.send(&call).await?;
        }
        let header = |name| answer.header(name).and_then(|text| text.parse::<Digest>().ok());
        let expected = to.digest.unwrap_or(digest);
        if let Some(found) = header("docker-content-digest")
            && found.algorithm() == expected.algorithm()
            && found != expected
        {
            return Err(RegistryError::mismatch(action, expected, found));
        }
        let subject = header("oci-subject");
        task.finish(Outcome::Done, Some(made));
        Ok(Published { digest: expected, subject })
    }

    /// All tags of a repository, in the registry's order.
    pub async fn tags(&self, repository: &Repository) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Page {
            // Nexus says null where there are none, and some name nothing at all.
            #[serde(default)]
            tags: Option<Vec<Option<String>>>,
        }
        let at = self.endpoint(repository)?;
        let action = format!("list the tags of {repository}");
        let mut url = self.url(&at.host, &format!("{}/tags/list?n=1000", at.path)).await?;
        let mut tags = Vec::new();
        for _ in 0..MOST_TAG_PAGES {
            let call = Call::new(&at.host, Method::GET, url.clone(), Scopes::pull(&at.path), action.clone());
            let answer = self.send(&call).await?;
            if answer.status() != StatusCode::OK {
                return Err(answer.into_error().await);
            }
            let next = link::next_page(answer.headers())
                .map(|target| location::resolve(&url, &target, at.host.insecure))
                .transpose()
                .map_err(|problem| answer.protocol(problem))?;
            let broken = answer.protocol("the list of tags is not understood");
            let body = answer.bytes(LARGEST_TAG_PAGE).await?;
            let Ok(page) = serde_json::from_slice::<Page>(&body) else { return Err(broken) };
            // Artifactory lists digests among the tags.
            tags.extend(page.tags.into_iter().flatten().flatten().filter(|tag| !tag.contains(':')));
            match next {
                Some(next) if next != url => url = next,
                _ => break,
            }
        }
        Ok(tags)
    }
}

fn absent<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(RegistryError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The descriptor that a HEAD's headers make, if they are all there.
fn described(answer: &Answer, reference: &Reference) -> Option<Descriptor> {
    let named = answer.header("docker-content-digest")?.parse::<Digest>().ok()?;
    let digest = reference.digest.unwrap_or(named);
    let size = answer.header(CONTENT_LENGTH.as_str())?.parse().ok()?;
    Some(Descriptor::new(media_type(answer)?, digest, size))
}

fn media_type(answer: &Answer) -> Option<String> {
    let value = answer.header(CONTENT_TYPE.as_str())?;
    Some(value.split(';').next().unwrap_or(value).trim().to_owned())
}

/// What a document says it is, or else what its fields say.
fn declared(bytes: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Document {
        media_type: Option<String>,
    }
    serde_json::from_slice::<Document>(bytes).ok()?.media_type.filter(|text| !text.is_empty())
}
