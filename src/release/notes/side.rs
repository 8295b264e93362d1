//! One of the two images that notes are about.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use serde::Serialize;

use crate::{
    error::Failure,
    image::{BlobOrigin, ImageDocuments, ImageTree, fetch, is_image_config, read_tree},
    oci::Digest,
    output::Contents,
    registry::Client,
    release::error::VERSION,
    store::Store,
    tags::version_at_end,
};

const REVISION: &str = "org.opencontainers.image.revision";
const BASE_NAME: &str = "org.opencontainers.image.base.name";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";

/// An image whose documents are at hand.
#[derive(Debug, Clone)]
pub struct Side {
    /// What it is called.
    pub name: String,
    /// The tag that names its version: its own, or the version that it says it has.
    pub version: Option<String>,
    /// Its documents.
    pub tree: ImageTree,
    /// Where its layers are.
    pub origin: BlobOrigin,
}

/// The image that another one was built on, as far as it says (image-spec `annotations.md`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct BaseName {
    /// Its reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

impl Side {
    /// Reads the documents of an image whose manifests are in the store.
    ///
    /// # Errors
    /// A config cannot be fetched, or a document is malformed.
    pub async fn read(
        store: &Store,
        registry: &Client,
        (name, tag): (String, Option<&str>),
        origin: BlobOrigin,
        contents: &Contents,
    ) -> Result<Self, Failure> {
        let configs = contents.blobs.iter().filter(|blob| is_image_config(&blob.media_type));
        try_join_all(configs.map(|config| fetch(store, registry, &name, &origin, config))).await?;
        let tree = read_tree(store, &contents.root)?;
        let mut side = Self { name, version: None, tree, origin };
        let own = tag.map(str::to_owned).into_iter().chain(side.says(VERSION));
        side.version = own.into_iter().find(|version| version_at_end(version).is_some());
        Ok(side)
    }

    /// The image's digest.
    pub fn digest(&self) -> Digest {
        self.tree.root.digest
    }

    /// The commit that it says it was built from.
    pub fn revision(&self) -> Option<String> {
        self.says(REVISION)
    }

    /// What it says under a key, for any platform.
    fn says(&self, key: &str) -> Option<String> {
        self.tree.images.iter().find_map(|image| self.of(image, key)).cloned()
    }

    /// What the image for a platform says under a key: in its manifest, the index, or its labels.
    fn of<'a>(&'a self, image: &'a ImageDocuments, key: &str) -> Option<&'a String> {
        let index = self.tree.index.as_ref().map(|index| &index.annotations);
        let places: [Option<&BTreeMap<_, _>>; 3] =
            [Some(&image.manifest.annotations), index, Some(&image.config.config.labels)];
        places.into_iter().flatten().find_map(|map| map.get(key)).filter(|text| !text.is_empty())
    }

    /// The base of the image for a platform.
    pub(super) fn base(&self, image: &ImageDocuments) -> Option<BaseName> {
        let [name, digest] = [BASE_NAME, BASE_DIGEST].map(|key| self.of(image, key).cloned());
        (name.is_some() || digest.is_some()).then_some(BaseName { name, digest })
    }

    /// The images, each with the name of its platform.
    pub(super) fn platforms(&self) -> impl Iterator<Item = (String, &ImageDocuments)> {
        self.tree.images.iter().map(|image| (image.config.platform.normalised().to_string(), image))
    }
}
