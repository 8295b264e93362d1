//! Indices made of images that are there.

use std::collections::{BTreeMap, BTreeSet};

use super::{ReleaseError, gather};
use crate::{
    error::Failure,
    image::{BlobOrigin, fetch},
    oci::{Descriptor, Digest, ImageConfig, Index, Manifest, Platform, canonical, media_type},
    output::Contents,
    registry::Client,
    store::Store,
};

/// Images to be merged into one index.
#[derive(Debug, Default)]
pub struct Merge {
    /// The images: what each is called, where it is, and its manifest or index. Those of indices are taken one by one.
    pub sources: Vec<(String, BlobOrigin, Descriptor)>,
    /// An index that the images are added to: they stand in for its images of the same platforms.
    pub onto: Option<(BlobOrigin, Descriptor)>,
    /// Annotations of the index, on top of those it has.
    pub annotations: BTreeMap<String, String>,
}

/// Merges images into one index. The same images give the same index, in whatever order they are named: it is sorted by
/// platform.
///
/// # Errors
/// Two images are for one platform.
pub async fn merge(store: &Store, registry: &Client, merge: Merge) -> Result<Contents, Failure> {
    let mut parts: Vec<Contents> = Vec::new();
    let mut listed: Vec<Descriptor> = Vec::new();
    for (name, origin, root) in &merge.sources {
        let contents = gather(store, registry, origin, root).await?;
        for child in children(store, registry, name, origin, &contents).await? {
            if let Some(other) = listed.iter().find(|other| conflicts(other, &child)) {
                return Err(ReleaseError::Twice {
                    platform: platform_of(&child).map(ToString::to_string).unwrap_or_default(),
                    first: Box::new(other.digest),
                    second: Box::new(child.digest),
                }
                .into());
            }
            if listed.iter().all(|other| other.digest != child.digest) {
                listed.push(child);
            }
        }
        parts.push(contents);
    }
    let mut annotations = BTreeMap::new();
    if let Some((origin, root)) = &merge.onto {
        let contents = gather(store, registry, origin, root).await?;
        let before = children(store, registry, "the index", origin, &contents).await?;
        annotations = index_of(store, root)?.map(|index| index.annotations).unwrap_or_default();
        let replaced: BTreeSet<Digest> = before
            .iter()
            .filter(|old| listed.iter().any(|new| conflicts(old, new)))
            .map(|old| old.digest)
            .collect();
        let known: BTreeSet<Digest> = listed.iter().map(|child| child.digest).collect();
        listed.extend(before.into_iter().filter(|old| {
            // What is attached to an image that is replaced goes with it.
            let about = old.annotations.get("vnd.docker.reference.digest").and_then(|text| text.parse().ok());
            !known.contains(&old.digest)
                && !replaced.contains(&old.digest)
                && about.is_none_or(|about: Digest| !replaced.contains(&about))
        }));
        parts.push(contents);
    }
    annotations.extend(merge.annotations);
    // Attestations, whose platform is none, come last.
    listed.sort_by_cached_key(|child| {
        (platform_of(child).map_or("~".to_owned(), ToString::to_string), child.digest)
    });
    let mut index = Index::new(listed);
    index.annotations = annotations;
    compose(store, &index, parts)
}

/// The part of an image that is for these platforms: the image itself where there is one, else an index of them.
///
/// # Errors
/// There is none for one of them.
pub fn select(
    store: &Store,
    name: &str,
    contents: Contents,
    wanted: &[Platform],
) -> Result<Contents, Failure> {
    let Some(mut index) = index_of(store, &contents.root)? else {
        return Ok(contents);
    };
    let has = |child: &Descriptor, platform: &Platform| {
        platform_of(child).is_some_and(|there| there.normalised() == *platform)
    };
    for platform in wanted {
        if !index.manifests.iter().any(|child| has(child, platform)) {
            let there = index.manifests.iter().filter_map(platform_of).map(ToString::to_string).collect();
            let (name, platform) = (name.to_owned(), platform.to_string());
            return Err(ReleaseError::NoPlatform { name, platform, there }.into());
        }
    }
    index.manifests.retain(|child| wanted.iter().any(|platform| has(child, platform)));
    if let [only] = &index.manifests[..] {
        let root = Descriptor { platform: None, ..only.clone() };
        let mut part = Contents::read(store, &root)?;
        part.origins = contents.origins;
        return Ok(part);
    }
    compose(store, &index, vec![contents])
}

/// The contents of an index whose images are among those of the parts.
fn compose(store: &Store, index: &Index, parts: Vec<Contents>) -> Result<Contents, Failure> {
    let bytes = index.to_bytes();
    store.put_blob(&bytes)?;
    let mut contents = Contents::read(store, &Descriptor::of(media_type::INDEX, &bytes))?;
    for part in parts {
        contents.origins.extend(part.origins);
    }
    Ok(contents)
}

/// The images that an index lists, or the image itself, each with its platform.
async fn children(
    store: &Store,
    registry: &Client,
    name: &str,
    origin: &BlobOrigin,
    contents: &Contents,
) -> Result<Vec<Descriptor>, Failure> {
    if let Some(index) = index_of(store, &contents.root)? {
        return Ok(index.manifests);
    }
    if !media_type::is_manifest(&contents.root.media_type) {
        let media_type = contents.root.media_type.clone();
        return Err(ReleaseError::NoImage { what: name.to_owned(), media_type }.into());
    }
    let document = |what: String| move |source| ReleaseError::Document { what, source };
    let bytes = store.read_blob(&contents.root.digest)?.unwrap_or_default();
    let manifest = Manifest::parse(&bytes).map_err(document(name.to_owned()))?;
    fetch(store, registry, name, origin, &manifest.config).await?;
    let bytes = store.read_blob(&manifest.config.digest)?.unwrap_or_default();
    let config = ImageConfig::parse(&bytes).map_err(document(format!("the config of {name}")))?;
    let Descriptor { media_type, digest, size, .. } = contents.root.clone();
    let mut child = Descriptor::new(media_type, digest, size);
    child.platform = Some(config.platform.normalised());
    Ok(vec![child])
}

fn index_of(store: &Store, root: &Descriptor) -> Result<Option<Index>, Failure> {
    if !media_type::is_index(&root.media_type) {
        return Ok(None);
    }
    let bytes = store.read_blob(&root.digest)?.unwrap_or_default();
    let index = Index::parse(&bytes);
    Ok(Some(index.map_err(|source| ReleaseError::Document { what: root.digest.to_string(), source })?))
}

/// The platform of an image; attestations have none.
fn platform_of(child: &Descriptor) -> Option<&Platform> {
    child.platform.as_ref().filter(|platform| platform.to_string() != "unknown/unknown")
}

/// Whether both are for one platform and are not the same.
fn conflicts(one: &Descriptor, other: &Descriptor) -> bool {
    let same = match (platform_of(one), platform_of(other)) {
        (Some(one), Some(other)) => canonical(&one.normalised()) == canonical(&other.normalised()),
        _ => false,
    };
    same && one.digest != other.digest
}
