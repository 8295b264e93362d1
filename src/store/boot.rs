//! Trees, which are of use until the machine is started again.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use super::{Store, StoreError, session};

/// Another one each time that the machine is started (random(4)); where the kernel does not tell, all are one.
static BOOT: LazyLock<String> = LazyLock::new(|| {
    let told = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let name: String = told.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    if name.is_empty() { "boot".to_owned() } else { name }
});

/// Keeps the trees in [`Store::trees`] from being set aside by another machine, as long as this lives.
#[derive(Debug)]
pub struct TreesHeld {
    _lock: File,
}

impl Store {
    /// Where trees are that were made since the machine was started last.
    ///
    /// Nothing that a step makes is synced to disk, which would cost more than the step. After a power failure, a file
    /// may be shorter than it was, or empty. That shows where it has a digest, a size that is known, or a syntax; the
    /// files of a tree have none of these, but are made of something that has.
    pub fn trees(&self) -> PathBuf {
        self.trees_of(&BOOT)
    }

    /// Makes the directory [`Store::trees`], and keeps it as long as what this returns lives. Those of other boots are
    /// set aside, unless another machine that shares the store holds them: [`Store::left_behind`] tells of them then.
    /// It may wait for a lock, shortly.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn hold_trees(&self) -> Result<TreesHeld, StoreError> {
        self.hold_trees_of(&BOOT)
    }

    /// Makes a directory of the store and keeps it, marked as used, for this process alone as long as the file lives. It
    /// waits for others.
    pub fn lock_folder(&self, folder: &Path) -> Result<File, StoreError> {
        let lock = locked(folder, File::lock)?;
        self.use_file(&folder.join("lock"));
        Ok(lock)
    }

    fn trees_of(&self, boot: &str) -> PathBuf {
        self.root().join("trees").join(boot)
    }

    pub(super) fn hold_trees_of(&self, boot: &str) -> Result<TreesHeld, StoreError> {
        let own = self.trees_of(boot);
        let held = TreesHeld { _lock: locked(&own, File::lock_shared)? };
        self.set_aside_trees_but(&own)?;
        Ok(held)
    }

    /// Sets aside the trees that were made before the machine was started last, and that nobody holds.
    pub(super) fn set_aside_other_trees(&self) -> Result<(), StoreError> {
        self.set_aside_trees_but(&self.trees())
    }

    fn set_aside_trees_but(&self, own: &Path) -> Result<(), StoreError> {
        let trees = self.root().join("trees");
        for entry in fs::read_dir(&trees).map_err(StoreError::io("list", &trees))? {
            let path = entry.map_err(StoreError::io("list", &trees))?.path();
            if path == own || !path.is_dir() {
                continue;
            }
            let lock = match session::lock_file(&path.join("lock")) {
                // Another process was faster.
                Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            };
            if lock.try_lock().is_ok() {
                self.set_aside(&path)?;
            }
        }
        Ok(())
    }

    fn set_aside(&self, path: &Path) -> Result<(), StoreError> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let name = format!("{}{}-{}", session::ASIDE, now.as_nanos(), std::process::id());
        let target = self.root().join("tmp").join(name);
        match fs::rename(path, &target) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::io("rename a directory to", target)(error))
            }
            _ => Ok(()),
        }
    }
}

/// Makes a directory and locks the file `lock` in it.
fn locked(folder: &Path, lock: impl Fn(&File) -> io::Result<()>) -> Result<File, StoreError> {
    loop {
        fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
        let path = folder.join("lock");
        let file = match session::lock_file(&path) {
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        lock(&file).map_err(StoreError::io("lock", &path))?;
        // Another process may have set the directory aside in between.
        if is_at(&file, &path).map_err(StoreError::io("examine", &path))? {
            return Ok(file);
        }
    }
}

/// Whether the file is the one that the path leads to.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let there = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        other => other?,
    };
    let own = file.metadata()?;
    Ok((own.dev(), own.ino()) == (there.dev(), there.ino()))
}
