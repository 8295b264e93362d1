//! A stack of trees as one directory, for hosts without overlayfs.

use std::path::{Path, PathBuf};

use super::{copy::TreeWriter, error::TreeError, flavour::Flavour, merged::Merged, unpack::path_of};
use crate::layer::EntryPath;

/// Copies what a stack of trees, lowest first, shows as one into `dir`, a new or empty directory. Contents are shared
/// where the file system can. Returns what had to be left out.
pub fn flatten(trees: &[PathBuf], dir: &Path, flavour: Flavour) -> Result<Vec<String>, TreeError> {
    let mut writer = TreeWriter::new(dir, flavour)?;
    let mut left: Vec<(Option<EntryPath>, Merged)> = vec![(None, Merged::new(trees, flavour))];
    while let Some((at, directory)) = left.pop() {
        for name in directory.names()? {
            let Some(child) = directory.child(&name)? else { continue };
            let Some(path) = path_of(at.as_ref(), &name) else { continue };
            if child.metadata.is_dir() {
                writer.directory(&path, &child.path, &child.metadata, false)?;
                left.push((Some(path), child.below));
            } else {
                writer.file(&path, &child.path, &child.metadata)?;
            }
        }
    }
    writer.finish()
}
