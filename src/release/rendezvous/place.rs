//! Where parts meet: tags of one repository.

use futures_util::future::try_join_all;

use super::{
    Set,
    record::{Marker, Record, suffix, written},
};
use crate::{
    error::Failure,
    event::Sink,
    oci::{Digest, Reference, Repository, media_type},
    registry::Client,
    release::ReleaseError,
};

const PREFIX: &str = "imgbuild-set-";

/// After how many days what was left is cleared away.
const DAYS: i64 = 14;

/// How much of it at a time.
const AT_ONCE: usize = 20;

/// The tags of one set.
#[derive(Debug)]
pub(super) struct Place {
    /// Nobody wants to hear of each of these documents.
    registry: Client,
    repository: Repository,
    id: String,
    tag: String,
    parts: Vec<String>,
}

impl Place {
    pub(super) fn new(registry: &Client, repository: &Repository, set: &Set) -> Self {
        // An ID may hold whatever a CI system gives.
        let mut hash = Digest::of(set.id.as_bytes()).hex();
        hash.truncate(16);
        Self {
            registry: registry.with(Sink::silent(), registry.patience()),
            repository: repository.clone(),
            id: set.id.clone(),
            tag: format!("{PREFIX}{hash}"),
            parts: set.parts.clone(),
        }
    }

    pub(super) fn repository(&self) -> &Repository {
        &self.repository
    }

    fn reference(&self, part: usize) -> Reference {
        self.repository.tagged(format!("{}-{}", self.tag, suffix(&self.parts[part])))
    }

    /// What is left when the set is complete.
    pub(super) async fn marker(&self) -> Result<Option<Marker>, Failure> {
        self.read(&self.repository.tagged(&self.tag), Marker::parse).await
    }

    pub(super) async fn record(&self, part: usize) -> Result<Option<Record>, Failure> {
        self.read(&self.reference(part), Record::parse).await
    }

    /// The records of all parts, in their order.
    pub(super) async fn records(&self) -> Result<Vec<Option<Record>>, Failure> {
        try_join_all((0..self.parts.len()).map(|part| self.record(part))).await
    }

    async fn read<T>(
        &self,
        reference: &Reference,
        parse: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Result<Option<T>, Failure> {
        let Some(found) = self.registry.published_manifest(reference).await? else { return Ok(None) };
        let reference = Box::new(reference.clone());
        Ok(Some(parse(&found.bytes).map_err(|problem| ReleaseError::Record { reference, problem })?))
    }

    pub(super) async fn put(&self, part: usize, record: &Record) -> Result<(), Failure> {
        self.write(&self.reference(part), record.to_bytes(&self.id, &now())).await
    }

    pub(super) async fn mark(&self, marker: &Marker) -> Result<(), Failure> {
        self.write(&self.repository.tagged(&self.tag), marker.to_bytes(&self.id, &now())).await
    }

    async fn write(&self, reference: &Reference, bytes: Vec<u8>) -> Result<(), Failure> {
        self.registry.push_manifest(reference, media_type::INDEX, bytes.into()).await?;
        Ok(())
    }

    /// Deletes a record. Whether that works is nobody's concern.
    pub(super) async fn forget(&self, part: usize) {
        self.delete(&self.reference(part)).await;
    }

    /// Deletes the document that a tag points to, and so the tag: it is of that tag alone, and many registries that delete
    /// documents delete no tags.
    async fn delete(&self, reference: &Reference) {
        if let Ok(Some(found)) = self.registry.published(reference).await {
            let _ = self.registry.delete_manifest(&self.repository.at(found.digest)).await;
        }
    }

    /// Deletes what earlier sets have left, as far as that works.
    pub(super) async fn clear(&self) {
        let Ok(tags) = self.registry.tags(&self.repository).await else { return };
        let others = tags.iter().filter(|tag| tag.starts_with(PREFIX) && !tag.starts_with(&self.tag));
        for tag in others.take(AT_ONCE) {
            let found = self.registry.published_manifest(&self.repository.tagged(tag)).await;
            let Ok(Some(found)) = found else { continue };
            let age = written(&found.bytes).map(|time| jiff::Timestamp::now().as_second() - time.as_second());
            if age.is_some_and(|age| age > DAYS * 86_400) {
                let gone = self.registry.delete_manifest(&self.repository.at(found.descriptor.digest)).await;
                if gone.is_err() {
                    // Nor would the next one go.
                    return;
                }
            }
        }
    }
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
