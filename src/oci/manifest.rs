//! Image manifests and image indexes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Descriptor, JsonError, canonical, media_type};

/// An image manifest (image-spec `manifest.md`), fields in the spec's order. Docker's schema 2 has the same shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// The document's own media type. Always written: ECR refuses manifests without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The type of the artifact, for manifests that are not images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The image config.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// The manifest that this one is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free key-value pairs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// An OCI image manifest.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(media_type::MANIFEST.to_owned()),
            artifact_type: None,
            config,
            layers,
            subject: None,
            annotations: BTreeMap::new(),
        }
    }

    /// Reads a manifest of either family.
    pub fn parse(bytes: &[u8]) -> Result<Self, JsonError> {
        serde_json::from_slice(bytes).map_err(|source| JsonError { what: "image manifest", source })
    }

    /// The document's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        canonical(self)
    }
}

/// An image index (image-spec `image-index.md`), fields in the spec's order. Docker's manifest list has the same shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// The document's own media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The type of the artifact, for indexes that are not images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The manifests, each with its platform.
    pub manifests: Vec<Descriptor>,
    /// The manifest that this index is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free key-value pairs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Index {
    /// An OCI image index of these manifests, in this order.
    pub fn new(manifests: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(media_type::INDEX.to_owned()),
            artifact_type: None,
            manifests,
            subject: None,
            annotations: BTreeMap::new(),
        }
    }

    /// Reads an index of either family.
    pub fn parse(bytes: &[u8]) -> Result<Self, JsonError> {
        serde_json::from_slice(bytes).map_err(|source| JsonError { what: "image index", source })
    }

    /// The document's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        canonical(self)
    }
}
