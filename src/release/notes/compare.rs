//! Two images side by side.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use serde::Serialize;

use super::{
    package::{Ecosystem, Packages, packages},
    side::{BaseName, Side},
};
use crate::{
    error::Failure,
    image::{BlobSource, ImageDocuments, ReadError, fetch},
    oci::Digest,
    registry::Client,
    release::ReleaseError,
    rootfs::{View, has, materialise_layer},
    store::Store,
};

/// What has changed from one image to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Notes {
    /// The bases that are other ones now; and all that are known, where there is no image before.
    pub bases: Vec<BaseChange>,
    /// The packages that came, went or changed, by whose they are and by name; `None` where neither image has a database
    /// of packages, or there is no image before.
    pub packages: Option<Vec<PackageChange>>,
    /// The platforms of the new image.
    pub platforms: Vec<PlatformNotes>,
    /// The platforms that it does not have any more.
    pub gone: Vec<String>,
}

/// A base that is another one now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BaseChange {
    /// Which one it was.
    pub from: Option<BaseName>,
    /// Which one it is.
    pub to: Option<BaseName>,
    /// On which platforms.
    pub platforms: Vec<String>,
}

/// A package that came (no `from`), went (no `to`) or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PackageChange {
    /// Whose it is.
    pub ecosystem: Ecosystem,
    /// Its name.
    pub name: String,
    /// The versions that there were.
    pub from: Vec<String>,
    /// The versions that there are.
    pub to: Vec<String>,
    /// On which platforms.
    pub platforms: Vec<String>,
}

/// The image for a platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlatformNotes {
    /// `os/architecture[/variant]`.
    pub platform: String,
    /// The manifest's digest.
    pub digest: Digest,
    /// The bytes of all layers, compressed.
    pub size: u64,
    /// Those of the image before, if it was for this platform, too.
    pub before: Option<u64>,
    /// Lowest first.
    pub layers: Vec<LayerNote>,
}

/// A layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerNote {
    /// The digest of the blob.
    pub digest: Digest,
    /// The blob's bytes.
    pub size: u64,
    /// Whether the image before has it, too: whoever has that one need not download it.
    pub kept: bool,
    /// What made it, if the history tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
}

/// Compares an image with the one before. Layers are fetched only where the image of a platform has others now.
///
/// # Errors
/// A layer cannot be fetched or read.
pub async fn compare(
    store: &Store,
    registry: &Client,
    new: &Side,
    old: Option<&Side>,
) -> Result<Notes, Failure> {
    let before: BTreeMap<_, _> = old.iter().flat_map(|old| old.platforms()).collect();
    let (mut bases, mut changes) = (Vec::new(), Vec::new());
    let (mut platforms, mut known, mut seen) = (Vec::new(), false, BTreeSet::new());
    for (platform, image) in new.platforms() {
        let was = before.get(&platform).copied();
        platforms.push(described(&platform, image, was));
        let pair = (was.zip(old).and_then(|(was, old)| old.base(was)), new.base(image));
        if pair.0 != pair.1 && (old.is_none() || was.is_some()) {
            bases.push((pair, platform.clone()));
        }
        if let (Some(was), Some(old)) = (was, old) {
            if was.config.rootfs.diff_ids == image.config.rootfs.diff_ids {
                known = true;
            } else {
                let there = read_packages(store, registry, old, was).await?;
                let here = read_packages(store, registry, new, image).await?;
                known |= there.is_some() || here.is_some();
                changes.extend(changed(there.unwrap_or_default(), here.unwrap_or_default(), &platform));
            }
        }
        seen.insert(platform);
    }
    let bases = by_platform(bases).into_iter();
    let bases = bases.map(|((from, to), platforms)| BaseChange { from, to, platforms }).collect();
    let packages = by_platform(changes).into_iter().map(|(change, platforms)| {
        let ((ecosystem, name), from, to) = change;
        PackageChange { ecosystem, name, from, to, platforms }
    });
    Ok(Notes {
        bases,
        packages: known.then(|| packages.collect()),
        platforms,
        gone: before.into_keys().filter(|platform| !seen.contains(platform)).collect(),
    })
}

/// The same changes of several platforms as one, sorted.
fn by_platform<K: Ord>(changes: Vec<(K, String)>) -> BTreeMap<K, Vec<String>> {
    let mut all: BTreeMap<K, Vec<String>> = BTreeMap::new();
    for (change, platform) in changes {
        all.entry(change).or_default().push(platform);
    }
    all
}

fn described(platform: &str, image: &ImageDocuments, before: Option<&ImageDocuments>) -> PlatformNotes {
    // Sizes are claims of the documents: they may add up to anything.
    let size = |image: &ImageDocuments| {
        image.manifest.layers.iter().fold(0u64, |sum, layer| sum.saturating_add(layer.size))
    };
    let had: BTreeSet<Digest> =
        before.iter().flat_map(|before| &before.manifest.layers).map(|layer| layer.digest).collect();
    let mut steps = image.config.history.iter().filter(|step| !step.empty_layer);
    let layers = image.manifest.layers.iter().map(|layer| LayerNote {
        digest: layer.digest,
        size: layer.size,
        kept: had.contains(&layer.digest),
        created_by: steps.next().and_then(|step| step.created_by.clone()),
    });
    PlatformNotes {
        platform: platform.to_owned(),
        digest: image.descriptor.digest,
        size: size(image),
        before: before.map(size),
        layers: layers.collect(),
    }
}

type Changed = ((Ecosystem, String), Vec<String>, Vec<String>);

fn changed(mut old: Packages, new: Packages, platform: &str) -> Vec<(Changed, String)> {
    let mut changes = Vec::new();
    for (key, to) in new {
        let from = old.remove(&key).unwrap_or_default();
        if from != to {
            changes.push((key, from, to));
        }
    }
    changes.extend(old.into_iter().map(|(key, from)| (key, from, BTreeSet::new())));
    let listed = changes.into_iter().map(|(key, from, to)| {
        ((key, from.into_iter().collect(), to.into_iter().collect()), platform.to_owned())
    });
    listed.collect()
}

/// The packages of the image for a platform: its layers are fetched and read as one tree.
async fn read_packages(
    store: &Store,
    registry: &Client,
    side: &Side,
    image: &ImageDocuments,
) -> Result<Option<Packages>, Failure> {
    let layers = image.manifest.layers.iter().zip(&image.config.rootfs.diff_ids);
    // Those that may not be handed on are not in the registry (Windows' bases), and hold nothing that is read here.
    let layers: Vec<_> =
        layers.filter(|(layer, _)| layer.urls.is_empty()).map(|(layer, id)| (layer.clone(), *id)).collect();
    let missing = layers.iter().filter(|(_, id)| !has(store, id));
    try_join_all(missing.map(|(layer, _)| fetch(store, registry, &side.name, &side.origin, layer))).await?;
    let (store, what) = (store.clone(), side.name.clone());
    let read = tokio::task::spawn_blocking(move || -> Result<_, Failure> {
        let indices = layers.iter().map(|(layer, id)| {
            let missing = || ReadError::Missing { what: "layer", digest: layer.digest };
            materialise_layer(&store, id, &what, || {
                BlobSource::open(&store, layer)?.ok_or_else(|| missing().into())
            })
        });
        let view = View::new(indices.collect::<Result<Vec<_>, _>>()?);
        Ok(packages(&view)?)
    });
    read.await.map_err(|error| ReleaseError::Worker(error.to_string()))?
}
