//! Versions, platforms and digests of a repository.

use std::{cmp::Reverse, collections::BTreeMap};

use futures_util::{StreamExt, TryStreamExt, stream};
use semver::Version;
use serde::Serialize;

use crate::{
    error::Failure,
    event::Sink,
    image::{BlobOrigin, fetch, is_image_config},
    oci::{Digest, ImageConfig, Index, Manifest, Repository, media_type},
    registry::Client,
    release::ReleaseError,
    store::Store,
    tags::version_at_end,
};

/// How many requests are on their way at a time.
const AT_ONCE: usize = 8;

/// An image of a repository. New fields may come; none changes its meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The highest full version among its tags.
    pub version: Option<String>,
    /// The digest that its tags point to.
    pub digest: Digest,
    /// Its other tags, sorted.
    pub tags: Vec<String>,
    /// `os/architecture[/variant]` → the digest of the manifest.
    pub platforms: BTreeMap<String, Digest>,
}

/// The images that the tags of a repository point to, newest version first, then those without one. Artifacts are none:
/// signatures, charts, caches.
///
/// # Errors
/// The repository cannot be listed, or a document is malformed.
pub async fn matrix(store: &Store, registry: &Client, repository: &Repository) -> Result<Vec<Row>, Failure> {
    let quiet = registry.with(Sink::silent(), registry.patience());
    let tags = quiet.tags(repository).await?;
    let resolved = stream::iter(tags).map(async |tag| {
        let found = quiet.published(&repository.tagged(&tag)).await?;
        // One that was deleted meanwhile is none.
        Ok::<_, Failure>(found.map(|found| (found.digest, tag)))
    });
    let resolved: Vec<_> = resolved.buffered(AT_ONCE).try_collect().await?;
    let mut images: BTreeMap<Digest, Vec<String>> = BTreeMap::new();
    for (digest, tag) in resolved.into_iter().flatten() {
        images.entry(digest).or_default().push(tag);
    }
    let rows = stream::iter(images).map(async |(digest, tags)| {
        let platforms = platforms(store, &quiet, repository, digest).await?;
        Ok::<_, Failure>((!platforms.is_empty()).then(|| row(digest, tags, platforms)))
    });
    let rows: Vec<_> = rows.buffered(AT_ONCE).try_collect().await?;
    let mut rows: Vec<_> = rows.into_iter().flatten().collect();
    rows.sort_by_cached_key(|row| {
        let version = row.version.as_deref().and_then(version_at_end).map(|(_, version)| version);
        // `None` is the lowest, and so comes last.
        (Reverse(version), row.version.clone(), row.tags.clone())
    });
    Ok(rows)
}

fn row(digest: Digest, mut tags: Vec<String>, platforms: BTreeMap<String, Digest>) -> Row {
    tags.sort();
    let versions = tags.iter().filter_map(|tag| version_at_end(tag).map(|(_, version)| (version, tag)));
    // Of two names of one version the shorter: without `v`.
    let highest = versions.max_by_key(|(version, tag): &(Version, _)| (version.clone(), Reverse(tag.len())));
    let version = highest.map(|(_, tag)| tag.clone());
    tags.retain(|tag| Some(tag) != version.as_ref());
    Row { version, digest, tags, platforms }
}

/// The platforms that an image is for; none where it is no image.
async fn platforms(
    store: &Store,
    registry: &Client,
    repository: &Repository,
    digest: Digest,
) -> Result<BTreeMap<String, Digest>, Failure> {
    let reference = repository.at(digest);
    let what = reference.familiar();
    let document = |source| ReleaseError::Document { what: what.clone(), source };
    let Some(found) = registry.published_manifest(&reference).await? else {
        return Ok(BTreeMap::new());
    };
    if media_type::is_index(&found.descriptor.media_type) {
        let index = Index::parse(&found.bytes).map_err(document)?;
        let listed = index.manifests.into_iter().filter_map(|child| {
            let platform = child.platform?.normalised().to_string();
            (platform != "unknown/unknown").then_some((platform, child.digest))
        });
        return Ok(listed.collect());
    }
    // Docker's oldest manifests, which nothing here reads, are none either.
    if !media_type::is_manifest(&found.descriptor.media_type) {
        return Ok(BTreeMap::new());
    }
    let manifest = Manifest::parse(&found.bytes).map_err(document)?;
    if !is_image_config(&manifest.config.media_type) {
        return Ok(BTreeMap::new());
    }
    let origin = BlobOrigin::Registry(repository.clone());
    fetch(store, registry, &what, &origin, &manifest.config).await?;
    let config = store.read_blob(&manifest.config.digest)?.unwrap_or_default();
    let config = ImageConfig::parse(&config).map_err(document)?;
    Ok([(config.platform.normalised().to_string(), digest)].into())
}
