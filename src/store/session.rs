//! Temporary files, one folder a process, cleared away after crashes.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

use super::StoreError;

/// How the names of directories begin that were set aside: they may hold very many files, and only whoever does not
/// wait for it removes them.
pub(super) const ASIDE: &str = "aside-";

/// This process's folder below `tmp/`. Its lock file is locked as long as the process lives; the kernel lets go of it
/// however the process ends.
#[derive(Debug)]
pub(super) struct Session {
    /// Let go of before the folder is.
    lock: Arc<File>,
    folder: Folder,
    /// The modification time of the lock file, on the store's clock as that of everything that is made from now on.
    began: SystemTime,
    next: AtomicU64,
}

/// A folder that goes with its session, unless other processes hold its lock too.
#[derive(Debug)]
struct Folder(PathBuf);

impl Session {
    pub(super) fn begin(tmp: &Path) -> Result<Self, StoreError> {
        spread(tmp);
        // Held shared while a folder is made and locked, exclusively while dead folders are looked for: so a folder
        // that is not locked yet is never taken for a dead one.
        let gate_path = tmp.join("gate");
        let gate = lock_file(&gate_path)?;
        if gate.try_lock().is_ok() {
            sweep(tmp);
        }
        gate.unlock().and_then(|()| gate.lock_shared()).map_err(StoreError::io("lock", &gate_path))?;
        // Trees of steps lie there for a while.
        let (folder, lock) = locked_folder(tmp, "s")?;
        let began = lock.metadata().and_then(|stat| stat.modified());
        let began = began.map_err(StoreError::io("look at", &folder))?;
        Ok(Self { lock: Arc::new(lock), folder: Folder(folder), began, next: AtomicU64::new(0) })
    }

    /// When this process began to use the store.
    pub(super) fn began(&self) -> SystemTime {
        self.began
    }

    pub(super) fn lock(&self) -> Arc<File> {
        Arc::clone(&self.lock)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.0.join(self.next.fetch_add(1, Ordering::Relaxed).to_string())
    }

    pub(super) fn file(&self) -> Result<Temporary, StoreError> {
        let path = self.path();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(StoreError::io("create", &path))?;
        Ok(Temporary { file, path, kept: false })
    }
}

/// Has the folders of sessions spread over the disk, as directories that have nothing to do with each other (`chattr(1)`,
/// the attribute `T`). An ext4 without a journal gives out no inode that was freed in the last minutes, and looks at each
/// of those near by for every file that is made: where another build has just ended, that was a third of a step's time.
/// Other file systems know no such attribute, and do not need it.
fn spread(tmp: &Path) {
    let spread = File::open(tmp).and_then(|folder| {
        let flags = ioctl_getflags(&folder)?;
        if !flags.contains(IFlags::TOPDIR) {
            ioctl_setflags(&folder, flags | IFlags::TOPDIR)?;
        }
        Ok(())
    });
    // It is about time alone.
    drop(spread);
}

/// How long processes are waited for that hold the lock too, and are about to end.
const PATIENCE: [Duration; 7] = [
    Duration::ZERO,
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(40),
    Duration::from_millis(80),
    Duration::from_millis(160),
];

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind here is swept by the next process.
        let Ok(lock) = File::open(self.0.join("lock")) else { return };
        for pause in PATIENCE {
            thread::sleep(pause);
            if lock.try_lock().is_ok() {
                let _ = fs::remove_dir_all(&self.0);
                return;
            }
        }
    }
}

pub(super) fn lock_file(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(StoreError::io("open", path))
}

/// Removes the folders whose process is gone. Failures are left to the next process: this is only about space.
fn sweep(tmp: &Path) {
    let aside =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(ASIDE));
    for folder in dead(tmp).into_iter().filter(|path| !aside(path)) {
        let _ = fs::remove_dir_all(&folder);
    }
}

/// The folders whose process is gone, if nobody is just making one.
pub(super) fn left_behind(tmp: &Path) -> Vec<PathBuf> {
    match lock_file(&tmp.join("gate")) {
        Ok(gate) if gate.try_lock().is_ok() => dead(tmp),
        _ => Vec::new(),
    }
}

fn dead(tmp: &Path) -> Vec<PathBuf> {
    folders(tmp).filter(|path| !is_alive(path)).collect()
}

fn folders(tmp: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(tmp).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir())
}

fn is_alive(folder: &Path) -> bool {
    File::open(folder.join("lock")).is_ok_and(|lock| lock.try_lock().is_err())
}

/// When the sessions began that live, this one among them. It waits for those that are just beginning.
pub(super) fn alive(tmp: &Path) -> Result<Vec<SystemTime>, StoreError> {
    let gate_path = tmp.join("gate");
    let gate = lock_file(&gate_path)?;
    gate.lock().map_err(StoreError::io("lock", &gate_path))?;
    let began = |folder: PathBuf| fs::metadata(folder.join("lock")).and_then(|stat| stat.modified()).ok();
    Ok(folders(tmp).filter(|folder| is_alive(folder)).filter_map(began).collect())
}

/// A directory for what is set aside, and the lock that keeps it from being taken for left behind.
pub(super) fn aside(tmp: &Path) -> Result<(PathBuf, File), StoreError> {
    let gate_path = tmp.join("gate");
    let gate = lock_file(&gate_path)?;
    gate.lock_shared().map_err(StoreError::io("lock", &gate_path))?;
    locked_folder(tmp, ASIDE)
}

/// A directory that is locked. Made while the gate is held.
fn locked_folder(tmp: &Path, prefix: &str) -> Result<(PathBuf, File), StoreError> {
    let folder = tempfile::Builder::new()
        .prefix(prefix)
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(tmp)
        .map_err(StoreError::io("create a folder in", tmp))?
        .keep();
    let lock_path = folder.join("lock");
    let lock = lock_file(&lock_path)?;
    lock.lock().map_err(StoreError::io("lock", &lock_path))?;
    Ok((folder, lock))
}

/// A file that nobody else sees yet.
#[derive(Debug)]
pub struct Temporary {
    file: File,
    path: PathBuf,
    kept: bool,
}

impl Temporary {
    /// The open file.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Where it is for now.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file its final name, in place of what may be there. With `sync`, it is on disk before it is seen:
    /// for content that cannot be made again.
    pub fn keep(mut self, target: &Path, sync: bool) -> Result<(), StoreError> {
        if sync {
            self.file.sync_all().map_err(StoreError::io("sync", &self.path))?;
        }
        match fs::rename(&self.path, target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Some(parent) = target.parent() {
                    fs::create_dir_all(parent).map_err(StoreError::io("create", parent))?;
                }
                fs::rename(&self.path, target).map_err(StoreError::io("rename a file to", target))?;
            }
            other => other.map_err(StoreError::io("rename a file to", target))?,
        }
        self.kept = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(&self.path);
        }
    }
}
