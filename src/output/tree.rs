//! Root file systems: as a directory, as a tar.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{OutputError, pending::PendingFile};
use crate::{
    error::Failure,
    event::Sink,
    image::{Built, BuiltImage},
    layer::{Entry, write_tar as write_entries},
    oci::{ImageConfig, Platform},
    rootfs::{ExtractOptions, View, extract, materialise_layer},
    store::Store,
};

/// Writes the root file system into a directory: of one platform right into it, of several into `<os>_<arch>[_<variant>]`
/// each, as buildx does it.
pub fn write_directory(store: &Store, built: &Built, dest: &Path, sink: &Sink) -> Result<(), Failure> {
    for image in &built.images {
        let folder = match built.images.len() {
            1 => dest.to_owned(),
            _ => dest.join(folder_name(&image.platform)),
        };
        extract(&entries(store, image)?, &folder, &ExtractOptions::new(sink.clone()))?;
    }
    Ok(())
}

/// Writes the root file system as a tar into a file, or to standard output. Of several platforms each gets its folder
/// in the tar, as in [`write_directory`].
pub fn write_tar(store: &Store, built: &Built, dest: Option<&Path>) -> Result<(), Failure> {
    let mut all = Vec::new();
    for image in &built.images {
        let entries = entries(store, image)?;
        match built.images.len() {
            1 => all = entries,
            _ => all.extend(below(&folder_name(&image.platform), entries)),
        }
    }
    match dest {
        Some(dest) => {
            let mut out = BufWriter::with_capacity(1 << 20, PendingFile::create(dest)?);
            write_entries(&all, &mut out)?;
            let file =
                out.into_inner().map_err(|error| OutputError::io("write", dest)(error.into_error()))?;
            Ok(file.keep()?)
        }
        None => {
            let mut out = BufWriter::with_capacity(1 << 20, io::stdout().lock());
            write_entries(&all, &mut out)?;
            Ok(out.flush().map_err(OutputError::io("write", PathBuf::from("standard output")))?)
        }
    }
}

/// All files of an image, in the order of a tar.
fn entries(store: &Store, image: &BuiltImage) -> Result<Vec<Entry>, Failure> {
    let lost = || OutputError::Lost { digest: image.config.digest };
    let bytes = store.read_blob(&image.config.digest)?.ok_or_else(lost)?;
    let config = ImageConfig::parse(&bytes)
        .map_err(|source| OutputError::Index { path: store.blob_path(&image.config.digest), source })?;
    let mut layers = Vec::new();
    for (layer, diff_id) in image.layers.iter().zip(&config.rootfs.diff_ids) {
        let open = || -> Result<File, Failure> { Ok(store.open_blob(&layer.digest)?) };
        layers.push(materialise_layer(store, diff_id, &format!("layer {}", layer.digest), open)?);
    }
    let layers: Vec<Arc<_>> = layers;
    Ok(View::new(layers).flatten()?)
}

fn below(folder: &str, entries: Vec<Entry>) -> Vec<Entry> {
    use crate::layer::{EntryPath, Kind};
    let Some(root) = EntryPath::new(folder) else { return entries };
    let top = Entry::new(root.clone(), Kind::Directory, 0o755);
    let moved = entries.into_iter().map(|mut entry| {
        entry.path = root.join(entry.path.as_bytes());
        if let Kind::Hardlink(target) = &entry.kind {
            entry.kind = Kind::Hardlink(root.join(target.as_bytes()));
        }
        entry
    });
    std::iter::once(top).chain(moved).collect()
}

fn folder_name(platform: &Platform) -> String {
    platform.to_string().replace('/', "_")
}
