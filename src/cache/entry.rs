//! What is remembered of a step.

use serde::{Deserialize, Serialize};

use super::{Place, document::Kept};
use crate::{
    layer::{Layer, MOST_PARTS},
    oci::{Descriptor, Digest, Repository, media_type},
};

/// What a step gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The key of the step and of everything that decides the bytes of its layer.
    pub key: Digest,
    /// The content key of what it left.
    pub content: Digest,
    /// For commands: the tar of what it changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tar: Option<Tar>,
    /// Its layer. The blob is kept along with the entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<Layer>,
    /// Where its layer is split: the content keys of the parts, lowest first. Each has an entry of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Digest>,
}

/// An uncompressed tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tar {
    /// The digest of its bytes.
    pub diff_id: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// An entry that a cache has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The entry.
    pub entry: Entry,
    /// The cache that has it, and the blob of its layer.
    pub place: Place,
}

impl Found {
    /// The repository that has the blob of the entry's layer: a registry can link it from there.
    pub fn repository(&self) -> Option<&Repository> {
        self.place.repository()
    }
}

/// Larger than any layer that a registry takes: sizes are there to be added and allocated.
const LARGEST: u64 = 1 << 44;

impl Kept for Entry {
    fn layers(&self) -> &[Layer] {
        self.layer.as_slice()
    }

    fn fault(&self, asked: &Digest) -> Option<String> {
        if self.key != *asked {
            return Some(format!("it is the entry of another key, {}", self.key));
        }
        if let Some(tar) = &self.tar
            && !fits_tar(tar.size)
        {
            return Some(format!("no tar has {} bytes", tar.size));
        }
        if self.parts.len() > usize::from(MOST_PARTS) || (!self.parts.is_empty() && self.layer.is_some()) {
            return Some(format!("no layer has {} parts, or a layer beside them", self.parts.len()));
        }
        let layer = self.layer.as_ref()?;
        if let Some(fault) = layer_fault(layer) {
            return Some(fault);
        }
        let tar = Tar { diff_id: layer.diff_id, size: layer.size };
        (self.tar.is_some_and(|other| other != tar)).then(|| "its tar is not its layer's".into())
    }
}

/// What is wrong with a layer of which somebody else told.
pub(super) fn layer_fault(layer: &Layer) -> Option<String> {
    let blob = &layer.descriptor;
    // Nothing but these three: a layer with `urls`, for one, would be fetched from anywhere.
    if *blob != Descriptor::new(&blob.media_type, blob.digest, blob.size) {
        return Some("its layer has more than a type, a digest and a size".into());
    }
    let types = [media_type::LAYER, media_type::LAYER_GZIP, media_type::LAYER_ZSTD];
    if !types.contains(&blob.media_type.as_str()) {
        return Some(format!("{:?} is no type of layer", blob.media_type));
    }
    // No compression makes more of it than this, and nobody is to wait for more.
    let most = layer.size.saturating_add(layer.size / 16).saturating_add(64 << 10);
    let fits = fits_tar(layer.size) && (1..=most.min(LARGEST)).contains(&blob.size);
    (!fits).then(|| format!("no layer has {} bytes, {} unpacked", blob.size, layer.size))
}

/// A tar is made of blocks of 512 bytes and ends with two of zeros.
fn fits_tar(size: u64) -> bool {
    size.is_multiple_of(512) && (1024..=LARGEST).contains(&size)
}
