//! OCI layouts (image-spec `image-layout.md`): a directory, or a tar of one.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, TryLockError},
    io,
    path::Path,
};

use super::{
    OutputError,
    archive::Archive,
    pending::{PendingFile, TEMPORARY, write_file},
};
use crate::{
    event::Sink,
    image::Built,
    oci::{Descriptor, Digest, Index, Reference},
    store::Store,
};

/// The annotation by which tools find an image in a layout: its tag (image-spec `annotations.md`).
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation by which containerd names an image when it imports a layout: its full reference.
const IMAGE_NAME: &str = "io.containerd.image.name";
/// The file that makes a directory a layout.
pub(super) const LAYOUT_FILE: &str = "oci-layout";
/// Its content.
pub(super) const LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// Writes the image into a layout directory. Images that the layout holds under other names stay.
pub fn write_layout(
    store: &Store,
    built: &Built,
    names: &[Reference],
    dest: &Path,
    sink: &Sink,
) -> Result<(), OutputError> {
    if is_foreign(dest) {
        return Err(OutputError::NotALayout { path: dest.to_owned() });
    }
    fs::create_dir_all(dest).map_err(OutputError::io("create", dest))?;
    let _lock = lock(dest, sink)?;
    let index_path = dest.join("index.json");
    let mut index = match fs::read(&index_path) {
        Ok(bytes) => {
            Index::parse(&bytes).map_err(|source| OutputError::Index { path: index_path.clone(), source })?
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Index::new(Vec::new()),
        Err(error) => return Err(OutputError::io("read", index_path)(error)),
    };
    // First, so that a process that is killed here leaves what the next one knows to be a layout.
    write_file(&dest.join(LAYOUT_FILE), LAYOUT.as_bytes())?;
    for digest in blobs(built) {
        let folder = dest.join("blobs").join(digest.algorithm());
        fs::create_dir_all(&folder).map_err(OutputError::io("create", &folder))?;
        copy_blob(store, &digest, &folder.join(digest.hex()))?;
    }
    let entries = entries(built, names);
    let replaced = |old: &Descriptor| {
        entries.iter().any(|new| {
            new.annotations.get(REF_NAME) == old.annotations.get(REF_NAME)
                && new.annotations.get(IMAGE_NAME) == old.annotations.get(IMAGE_NAME)
                || new.digest == old.digest && old.annotations.is_empty()
        })
    };
    index.manifests.retain(|old| !replaced(old));
    index.manifests.extend(entries);
    write_file(&index_path, &index.to_bytes())
}

/// Writes the image as a tar of a layout: the same image gives the same bytes.
pub fn write_layout_tar(
    store: &Store,
    built: &Built,
    names: &[Reference],
    dest: &Path,
) -> Result<(), OutputError> {
    let mut archive = Archive::new(PendingFile::create(dest)?, dest);
    archive.file(LAYOUT_FILE, LAYOUT.as_bytes())?;
    archive.file("index.json", &Index::new(entries(built, names)).to_bytes())?;
    archive.blobs(store, &blobs(built))?;
    archive.finish()?.keep()
}

/// The entries of `index.json`: one a name, or one without a name.
pub(super) fn entries(built: &Built, names: &[Reference]) -> Vec<Descriptor> {
    let root = built.root();
    if names.is_empty() {
        return vec![root.clone()];
    }
    let entry = |name: &Reference| {
        let tag = name.tag_or_latest().unwrap_or("latest").to_owned();
        let full = name.repository.tagged(tag.clone()).to_string();
        let annotations = BTreeMap::from([(IMAGE_NAME.to_owned(), full), (REF_NAME.to_owned(), tag)]);
        Descriptor { annotations, ..root.clone() }
    };
    names.iter().map(entry).collect()
}

/// All blobs of a built image.
pub(super) fn blobs(built: &Built) -> BTreeSet<Digest> {
    let of_image = |image: &crate::image::BuiltImage| {
        let documents = [image.manifest.digest, image.config.digest];
        documents.into_iter().chain(image.layers.iter().map(|layer| layer.digest)).collect::<Vec<_>>()
    };
    built.images.iter().flat_map(of_image).chain(built.index.iter().map(|index| index.digest)).collect()
}

fn copy_blob(store: &Store, digest: &Digest, target: &Path) -> Result<(), OutputError> {
    let size = fs::metadata(store.blob_path(digest))
        .map_err(OutputError::io("read", store.blob_path(digest)))?
        .len();
    if fs::metadata(target).is_ok_and(|there| there.len() == size) {
        return Ok(());
    }
    let mut pending = PendingFile::create(target)?;
    store.copy_blob(digest, pending.file()).map_err(OutputError::copy(target))?;
    pending.keep()
}

/// Whether the directory holds something that is no layout, nor the beginning of one.
fn is_foreign(dest: &Path) -> bool {
    let has_others = |entries: fs::ReadDir| {
        entries.flatten().any(|entry| !entry.file_name().as_encoded_bytes().starts_with(TEMPORARY.as_bytes()))
    };
    dest.is_file() || !dest.join(LAYOUT_FILE).is_file() && fs::read_dir(dest).is_ok_and(has_others)
}

/// Waits for others who write into the same layout: each reads the index, and writes it anew.
fn lock(dest: &Path, sink: &Sink) -> Result<File, OutputError> {
    let folder = File::open(dest).map_err(OutputError::io("open", dest))?;
    if let Err(TryLockError::WouldBlock) = folder.try_lock() {
        sink.warn(format!("waiting for another build that writes to {}", dest.display()));
    }
    // What else went wrong with trying goes wrong here too.
    folder.lock().map_err(OutputError::io("lock", dest))?;
    Ok(folder)
}
