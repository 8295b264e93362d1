//! Checking the whole store.

use std::{fs, io, io::Read, path::PathBuf};

use super::{Problem, Validation, Validator};
use crate::{
    error::Failure,
    oci::{Descriptor, Digest},
    rootfs,
    store::{Bucket, Store, StoreError},
};

/// Checks every named image, every other blob, that each record of a layer points to a blob that is whole, and that
/// uncompressed tars hold what their indices say. Removes nothing.
pub fn validate_store(store: &Store) -> Result<Validation, Failure> {
    let mut validator = Validator::new(store);
    for named in store.named_images()? {
        validator.image(&named.reference, &named.image)?;
    }
    let blobs = store.blobs()?;
    for digest in &blobs {
        if !validator.has_read(digest) {
            hash(store, digest, &mut validator)?;
        }
    }
    layer_records(store, &mut validator)?;
    tars(store, &mut validator)?;
    Ok(validator.finish())
}

fn hash(store: &Store, digest: &Digest, validator: &mut Validator<'_>) -> Result<(), Failure> {
    // Another process may have removed it since it was listed.
    let Ok(mut file) = store.open_blob(digest) else { return Ok(()) };
    let place = format!("blob {}", digest.short());
    let mut hasher = digest.hasher();
    let mut buffer = vec![0; 128 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => hasher.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                validator.found(&place, Problem::Unreadable { digest: *digest, reason: error.to_string() });
                return Ok(());
            }
        }
    }
    validator.validation().blobs += 1;
    let found = hasher.finish();
    if found != *digest {
        validator.found(&place, Problem::Digest { expected: *digest, found });
    }
    Ok(())
}

/// Every descriptor within a record of a layer must point to a blob of its size.
fn layer_records(store: &Store, validator: &mut Validator<'_>) -> Result<(), Failure> {
    for path in records(store, Bucket::Layers)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let place = format!("record {}", name.chars().take(12).collect::<String>());
        let Ok(bytes) = fs::read(&path) else { continue };
        match serde_json::from_slice(&bytes) {
            Ok(record) => descriptors(&record, &mut |descriptor| match fs::metadata(
                store.blob_path(&descriptor.digest),
            ) {
                Ok(stat) if stat.len() == descriptor.size => {}
                Ok(stat) => {
                    validator.found(&place, Problem::Size { expected: descriptor.size, found: stat.len() });
                }
                Err(_) => validator.found(&place, Problem::Missing { digest: descriptor.digest }),
            }),
            Err(error) => validator.found(&place, Problem::Malformed { reason: error.to_string() }),
        }
    }
    Ok(())
}

/// Every file in a tar of the store must be what the tar's index says: layers are made of them.
fn tars(store: &Store, validator: &mut Validator<'_>) -> Result<(), Failure> {
    for path in records(store, Bucket::Indices)? {
        let hex = path.file_name().unwrap_or_default().to_string_lossy();
        let algorithm = if hex.len() == 64 { "sha256" } else { "sha512" };
        let Ok(key) = format!("{algorithm}:{hex}").parse::<Digest>() else { continue };
        let place = format!("tar {}", key.short());
        match rootfs::damaged(store, &key) {
            Ok(None) => {}
            Ok(Some((path, expected, found))) => {
                validator.found(&format!("{place}: /{path}"), Problem::Digest { expected, found });
            }
            Err(error) => {
                let reason = error.to_string();
                validator.found(&place, Problem::Unreadable { digest: key, reason });
            }
        }
    }
    Ok(())
}

/// The files of a bucket's records, sorted.
fn records(store: &Store, bucket: Bucket) -> Result<Vec<PathBuf>, StoreError> {
    let sample = store.record_path(bucket, &Digest::of(b""));
    // A record's path always has a folder.
    let folder = sample.parent().unwrap_or(&sample);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::io("list", folder)(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(StoreError::io("list", folder))?.path());
    }
    paths.sort();
    Ok(paths)
}

/// Finds descriptors in a document of any shape.
pub(super) fn descriptors(value: &serde_json::Value, found: &mut impl FnMut(Descriptor)) {
    match value {
        serde_json::Value::Object(fields) => match serde_json::from_value(value.clone()) {
            Ok(descriptor) => found(descriptor),
            Err(_) => fields.values().for_each(|value| descriptors(value, found)),
        },
        serde_json::Value::Array(values) => values.iter().for_each(|value| descriptors(value, found)),
        _ => {}
    }
}
