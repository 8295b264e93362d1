//! What is attached to an image: signatures, attestations, lists of contents.

use std::collections::{BTreeSet, VecDeque};

use super::gather;
use crate::{
    error::Failure,
    event::Sink,
    image::BlobOrigin,
    oci::{Descriptor, Digest, Index, Repository, media_type},
    output::{Contents, Pusher},
    registry::{Client, referrers_tag},
    store::Store,
};

/// The endings of the tags that cosign attaches things by.
const COSIGN: [&str; 3] = ["sig", "att", "sbom"];

/// Copies what is attached to an image, and to that in turn, to other repositories. Gives how many things that were.
pub async fn copy_referrers(
    store: &Store,
    registry: &Client,
    pusher: &Pusher,
    from: &Repository,
    contents: &Contents,
    to: &BTreeSet<Repository>,
) -> Result<usize, Failure> {
    let mut pending: VecDeque<Digest> = contents.documents().map(|document| document.digest).collect();
    let mut seen: BTreeSet<Digest> = pending.iter().copied().collect();
    let origin = BlobOrigin::Registry(from.clone());
    let mut copied = 0;
    while let Some(subject) = pending.pop_front() {
        for attached in registry.referrers(from, &subject).await? {
            if !seen.insert(attached.digest) {
                continue;
            }
            let contents = gather(store, registry, &origin, &attached).await?;
            pusher.send(&contents, to).await?;
            for repository in to {
                keep_listed(registry, repository, &subject, &attached).await?;
            }
            pending.push_back(attached.digest);
            copied += 1;
        }
        for ending in COSIGN {
            let tag = format!("{}.{ending}", referrers_tag(&subject));
            let Some(found) = registry.resolve(&from.tagged(&tag)).await? else { continue };
            let contents = gather(store, registry, &origin, &found).await?;
            pusher.send(&contents, to).await?;
            for repository in to {
                let bytes = pusher.document(&found.digest)?;
                registry.push_manifest(&repository.tagged(&tag), &found.media_type, bytes).await?;
            }
            copied += 1;
        }
    }
    Ok(copied)
}

/// Registries that do not list referrers themselves keep the list under a tag, which whoever attaches something writes.
pub(super) async fn keep_listed(
    registry: &Client,
    repository: &Repository,
    subject: &Digest,
    attached: &Descriptor,
) -> Result<(), Failure> {
    let mut listed = registry.referrers(repository, subject).await?;
    if listed.iter().any(|known| known.digest == attached.digest) {
        return Ok(());
    }
    listed.push(attached.clone());
    let index = Index::new(listed).to_bytes();
    let quiet = registry.with(Sink::silent(), registry.patience());
    quiet.push_manifest(&repository.tagged(referrers_tag(subject)), media_type::INDEX, index.into()).await?;
    Ok(())
}
