//! Reading an image's documents.

use std::io::Read;

use super::BlobSource;
use crate::{
    error::{Explain, Failure, Kind},
    oci::{Descriptor, Digest, ImageConfig, Index, Manifest, media_type},
};

/// No manifest, index or config is larger: distribution-spec asks registries to take manifests of 4 MiB, and configs
/// of that size are unheard of.
pub(super) const DOCUMENT_LIMIT: u64 = 16 << 20;

/// An image for any number of platforms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageTree {
    /// The document that names the image.
    pub root: Descriptor,
    /// The index, if that is what the root is.
    pub index: Option<Index>,
    /// The images; without what else an index may list, such as attestations.
    pub images: Vec<ImageDocuments>,
}

/// The documents of an image for one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageDocuments {
    /// The manifest's descriptor, as the index has it.
    pub descriptor: Descriptor,
    /// The manifest.
    pub manifest: Manifest,
    /// The config.
    pub config: ImageConfig,
}

/// Why an image's documents cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A document is not there.
    #[error("{what} {digest} is not there")]
    Missing {
        /// What it is: `manifest`.
        what: &'static str,
        /// Its digest.
        digest: Digest,
    },
    /// A document cannot be read.
    #[error("failed to read {what} {digest}: {source}")]
    Io {
        /// What it is.
        what: &'static str,
        /// Its digest.
        digest: Digest,
        /// Why.
        source: std::io::Error,
    },
    /// A document's content is not what its descriptor promises.
    #[error("{what} {digest} is damaged: its content has the digest {found}")]
    Damaged {
        /// What it is.
        what: &'static str,
        /// The digest promised.
        digest: Digest,
        /// The digest of the content.
        found: Digest,
    },
    /// A document is malformed.
    #[error("failed to read {what} {digest}: {source}")]
    Json {
        /// What it is.
        what: &'static str,
        /// Its digest.
        digest: Digest,
        /// What is wrong.
        source: crate::oci::JsonError,
    },
    /// It is neither a manifest nor an index.
    #[error("{digest} is no image: its media type is {media_type:?}")]
    NoImage {
        /// Its digest.
        digest: Digest,
        /// Its media type.
        media_type: String,
    },
    /// An index in an index.
    #[error("{digest} is an index within an index, which imgbuild does not read")]
    Nested {
        /// Its digest.
        digest: Digest,
    },
}

impl Explain for ReadError {
    fn kind(&self) -> Kind {
        match self {
            Self::Missing { .. } => Kind::NotFound,
            Self::Io { source, .. } => Kind::of_io(source),
            Self::NoImage { .. } | Self::Nested { .. } => Kind::Input,
            Self::Damaged { .. } | Self::Json { .. } => Kind::Build,
        }
    }
}

/// Reads a document whole and verifies it.
pub fn read_document(
    source: &dyn BlobSource,
    blob: &Descriptor,
    what: &'static str,
) -> Result<Vec<u8>, Failure> {
    let digest = blob.digest;
    let reader = source.open(blob)?.ok_or(ReadError::Missing { what, digest })?;
    let mut bytes = Vec::new();
    reader.take(DOCUMENT_LIMIT).read_to_end(&mut bytes).map_err(|source| ReadError::Io {
        what,
        digest,
        source,
    })?;
    let mut hasher = digest.hasher();
    hasher.update(&bytes);
    let found = hasher.finish();
    match found == digest {
        true => Ok(bytes),
        false => Err(ReadError::Damaged { what, digest, found }.into()),
    }
}

/// Reads the documents of the image that `root` points to.
pub fn read_tree(source: &dyn BlobSource, root: &Descriptor) -> Result<ImageTree, Failure> {
    let digest = root.digest;
    let mut tree = ImageTree { root: root.clone(), index: None, images: Vec::new() };
    if media_type::is_manifest(&root.media_type) {
        tree.images.extend(read_image(source, root)?);
    } else if media_type::is_index(&root.media_type) {
        let index = Index::parse(&read_document(source, root, "index")?)
            .map_err(|source| ReadError::Json { what: "index", digest, source })?;
        for child in &index.manifests {
            if media_type::is_index(&child.media_type) {
                return Err(ReadError::Nested { digest: child.digest }.into());
            }
            if media_type::is_manifest(&child.media_type) && !is_attestation(child) {
                tree.images.extend(read_image(source, child)?);
            }
        }
        tree.index = Some(index);
    } else {
        return Err(ReadError::NoImage { digest, media_type: root.media_type.clone() }.into());
    }
    Ok(tree)
}

/// BuildKit lists attestations in the index, with a platform that no machine has.
pub(super) fn is_attestation(descriptor: &Descriptor) -> bool {
    descriptor.annotations.contains_key("vnd.docker.reference.type")
        || descriptor.platform.as_ref().is_some_and(|platform| platform.to_string() == "unknown/unknown")
}

/// The config's media type says whether it is an image: artifacts have manifests too.
pub fn is_image_config(media_type: &str) -> bool {
    matches!(media_type, media_type::CONFIG | media_type::DOCKER_CONFIG)
}

fn read_image(source: &dyn BlobSource, descriptor: &Descriptor) -> Result<Option<ImageDocuments>, Failure> {
    let digest = descriptor.digest;
    let manifest = Manifest::parse(&read_document(source, descriptor, "manifest")?)
        .map_err(|source| ReadError::Json { what: "manifest", digest, source })?;
    if !is_image_config(&manifest.config.media_type) {
        return Ok(None);
    }
    let digest = manifest.config.digest;
    let config = ImageConfig::parse(&read_document(source, &manifest.config, "config")?)
        .map_err(|source| ReadError::Json { what: "config", digest, source })?;
    Ok(Some(ImageDocuments { descriptor: descriptor.clone(), manifest, config }))
}
