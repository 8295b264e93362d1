//! Tags beyond one manifest at a time: several in one request, deleting, and what is attached to an image.

use bytes::Bytes;
use reqwest::{Method, StatusCode, header::ACCEPT};

use super::{Client, RegistryError, Result, request::Body, request::Call, token::Scopes};
use crate::oci::{Descriptor, Digest, Index, Reference, Repository, media_type};

/// The most bytes of tags in one request: zot takes queries of 8 KiB, and proxies know similar limits.
const LONGEST_QUERY: usize = 4 << 10;

/// The largest list of referrers that is read.
const LARGEST_LIST: usize = 8 << 20;

impl Client {
    /// Lets several tags point to a manifest by one request (distribution-spec end-7b, `?tag=`). Gives those that the
    /// registry says it has set, in `OCI-Tag`: most registries do not know such requests and set none; the others are
    /// for [`Client::push_manifest`].
    ///
    /// # Errors
    /// The registry cannot be reached. A refusal is no error: the tags are not set.
    pub async fn set_tags(
        &self,
        repository: &Repository,
        media_type: &str,
        bytes: Bytes,
        tags: &[&str],
    ) -> Result<Vec<String>> {
        let digest = Digest::of(&bytes);
        let action = format!("set {} tags of {repository}", tags.len());
        let at = self.endpoint(repository)?;
        let mut url = self.url(&at.host, &format!("{}/manifests/{digest}", at.path)).await?;
        let mut asked = 0;
        for tag in tags {
            asked += tag.len() + "&tag=".len();
            if asked > LONGEST_QUERY {
                break;
            }
            url.query_pairs_mut().append_pair("tag", tag);
        }
        let call = Call::new(&at.host, Method::PUT, url, Scopes::push(&at.path), action);
        let answer = self.send(&call.body(Body::Bytes(bytes), media_type)).await?;
        if !answer.status().is_success() {
            return Ok(Vec::new());
        }
        let named = answer.headers().get_all("oci-tag").iter();
        let named: Vec<&str> = named.filter_map(|value| value.to_str().ok()).collect();
        // One header for each tag, or one for all.
        let set =
            |tag: &&&str| named.iter().flat_map(|value| value.split(',')).any(|set| set.trim() == **tag);
        Ok(tags.iter().filter(set).map(|tag| (*tag).to_owned()).collect())
    }

    /// Deletes what the reference names: a tag alone, or a manifest with all tags that point to it. `false`: it was not
    /// there.
    ///
    /// # Errors
    /// Many registries [do not delete](RegistryError::is_unsupported), or no tags alone.
    pub async fn delete_manifest(&self, reference: &Reference) -> Result<bool> {
        let at = self.endpoint(&reference.repository)?;
        let url = self.url(&at.host, &format!("{}/manifests/{}", at.path, reference.target())).await?;
        // The scope of pushes: a registry that wants another one names it in its challenge, and some know no other.
        let action = format!("delete {reference}");
        let call = Call::new(&at.host, Method::DELETE, url, Scopes::push(&at.path), action);
        let answer = self.send(&call).await?;
        match answer.status() {
            StatusCode::OK | StatusCode::ACCEPTED | StatusCode::NO_CONTENT => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(answer.into_error().await),
        }
    }

    /// The manifests that have this one as their subject: signatures, attestations, lists of contents (distribution-spec
    /// "Listing Referrers", and its tag for registries that do not list them).
    pub async fn referrers(&self, repository: &Repository, subject: &Digest) -> Result<Vec<Descriptor>> {
        let at = self.endpoint(repository)?;
        let action = format!("list what is attached to {repository}@{subject}");
        let url = self.url(&at.host, &format!("{}/referrers/{subject}", at.path)).await?;
        let call = Call::new(&at.host, Method::GET, url, Scopes::pull(&at.path), action);
        let answer = self.send(&call.header(ACCEPT, media_type::INDEX)).await?;
        if answer.status() == StatusCode::OK {
            let listed = Index::parse(&answer.bytes(LARGEST_LIST).await?);
            // Some registries answer unknown paths with a page for people.
            if let Ok(listed) = listed {
                return Ok(listed.manifests);
            }
        }
        match self.manifest(&repository.tagged(referrers_tag(subject))).await {
            Ok(found) => Ok(Index::parse(&found.bytes).map(|index| index.manifests).unwrap_or_default()),
            Err(RegistryError::NotFound { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

/// The tag under which the referrers of a manifest are kept where the registry does not list them (distribution-spec,
/// "Referrers Tag Schema").
pub fn referrers_tag(subject: &Digest) -> String {
    format!("{}-{}", subject.algorithm(), subject.hex())
}

impl RegistryError {
    /// Whether the registry understood a request and does not do such things. Distribution answers the deletion of a tag
    /// with 400, and any deletion with 405 where they are switched off.
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::Status { status, .. } if matches!(status.as_u16(), 400 | 405 | 501))
    }
}
