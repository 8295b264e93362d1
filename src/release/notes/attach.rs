//! Notes as an artifact beside the image.

use std::collections::BTreeMap;

use crate::{
    error::Failure,
    oci::{Descriptor, Digest, Manifest, Repository, media_type},
    output::{Contents, Pusher},
    registry::Client,
    release::referrers::keep_listed,
    store::Store,
};

/// The artifact type of release notes.
pub const NOTES: &str = "application/vnd.imgbuild.release-notes.v1";

/// Attaches Markdown to an image: a manifest with the image as its subject (image-spec `manifest.md`, "Guidelines for
/// Artifact Usage"). The same notes give the same artifact, which is then there already. Gives its digest.
pub async fn attach(
    store: &Store,
    registry: &Client,
    repository: &Repository,
    subject: &Descriptor,
    markdown: &str,
) -> Result<Digest, Failure> {
    store.put_blob(b"{}")?;
    store.put_blob(markdown.as_bytes())?;
    let mut layer = Descriptor::of("text/markdown", markdown.as_bytes());
    layer.annotations =
        BTreeMap::from([("org.opencontainers.image.title".to_owned(), "RELEASE_NOTES.md".to_owned())]);
    let mut manifest = Manifest::new(Descriptor::of(media_type::EMPTY, b"{}"), vec![layer]);
    manifest.artifact_type = Some(NOTES.to_owned());
    // What an index may say of it besides is not about the image alone.
    manifest.subject = Some(Descriptor::new(subject.media_type.clone(), subject.digest, subject.size));
    let bytes = manifest.to_bytes();
    store.put_blob(&bytes)?;
    let mut root = Descriptor::of(media_type::MANIFEST, &bytes);
    let contents = Contents::read(store, &root)?;
    let pusher = Pusher::new(store.clone(), registry.clone(), &[]);
    pusher.send(&contents, &[repository.clone()].into()).await?;
    root.artifact_type = Some(NOTES.to_owned());
    keep_listed(registry, repository, &subject.digest, &root).await?;
    Ok(root.digest)
}
