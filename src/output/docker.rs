//! Tars that `docker load` and `podman load` read.

use std::{io::Write, path::Path};

use serde::Serialize;

use super::{
    OutputError,
    archive::Archive,
    layout::{LAYOUT, LAYOUT_FILE, blobs, entries},
    pending::PendingFile,
};
use crate::{
    image::{Built, BuiltImage},
    oci::{Index, Reference, canonical},
    store::Store,
};

/// An entry of `manifest.json`, as `docker save` writes it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SavedImage {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

/// Writes the image in the form of `docker save` since version 25: an OCI layout with a `manifest.json` for older
/// readers.
pub fn write_archive(
    store: &Store,
    built: &Built,
    names: &[Reference],
    dest: &Path,
) -> Result<(), OutputError> {
    let image = only(built)?;
    let archive = Archive::new(PendingFile::create(dest)?, dest);
    fill(archive, store, built, image, names)?.keep()
}

pub(super) fn only(built: &Built) -> Result<&BuiltImage, OutputError> {
    match built.images.as_slice() {
        [image] => Ok(image),
        several => Err(OutputError::SeveralPlatforms { count: several.len() }),
    }
}

/// Writes the image into an archive.
pub(super) fn fill<W: Write>(
    mut archive: Archive<W>,
    store: &Store,
    built: &Built,
    image: &BuiltImage,
    names: &[Reference],
) -> Result<W, OutputError> {
    archive.file(LAYOUT_FILE, LAYOUT.as_bytes())?;
    archive.file("index.json", &Index::new(entries(built, names)).to_bytes())?;
    archive.file("manifest.json", &canonical(&[saved(image, names)]))?;
    archive.blobs(store, &blobs(built))?;
    archive.finish()
}

fn saved(image: &BuiltImage, names: &[Reference]) -> SavedImage {
    let path = |digest: &crate::oci::Digest| format!("blobs/{}/{}", digest.algorithm(), digest.hex());
    let tag = |name: &Reference| {
        format!("{}:{}", name.repository.familiar(), name.tag_or_latest().unwrap_or("latest"))
    };
    SavedImage {
        config: path(&image.config.digest),
        repo_tags: names.iter().map(tag).collect(),
        layers: image.layers.iter().map(|layer| path(&layer.digest)).collect(),
    }
}
