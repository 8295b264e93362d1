//! Directories away that nobody uses any more.

use std::path::PathBuf;

use super::{super::run::blocking, start::start};
use crate::{error::Failure, sandbox::remove_tree, store::Store};

/// Removes directories of the store that nobody uses any more, and tells which could not be removed, and why. A sandbox
/// is started if one of them has files that only a sandbox may remove.
pub async fn remove_folders(store: &Store, folders: Vec<PathBuf>) -> Result<Vec<String>, Failure> {
    let removed = blocking(move || {
        let failed = folders.into_iter().filter(|folder| remove_tree(folder).is_err());
        // Another process may have been faster.
        failed.filter(|folder| folder.exists()).collect::<Vec<_>>()
    });
    let left = removed.await?;
    let mut failures = Vec::new();
    if left.is_empty() {
        return Ok(failures);
    }
    let machine = start(store, None).await?;
    for folder in left {
        if let Err(error) = machine.remove(&folder).await
            && folder.exists()
        {
            failures.push(error.to_string());
        }
    }
    Ok(failures)
}
