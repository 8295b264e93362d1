//! The tree of a context as far as it has been looked at: each directory is read at most once.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
    sync::{
        Condvar, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};

use super::{Below, ContextError, Filter, stat_cache::StatCache};
use crate::{layer::FileStat, oci::Digest};

/// What is known of the inside of a node.
#[derive(Debug, Default, Clone)]
pub(super) struct Inside {
    /// The digest of a file's bytes.
    pub(super) digest: Option<Digest>,
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// One entry of a directory.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: Vec<u8>,
    pub(super) file_type: FileType,
    /// As it is on disk, without the type.
    pub(super) mode: u32,
    pub(super) links: u64,
    pub(super) device: u64,
    pub(super) stat: FileStat,
    /// The target of a symbolic link.
    pub(super) target: Vec<u8>,
    /// Ignored itself; it is here because something below may be re-included.
    pub(super) ignored: bool,
    /// What the ignore rules say below it.
    below: Below,
    pub(super) inside: OnceLock<Inside>,
    /// The entries of a directory, sorted by name, once it has been read.
    listing: OnceLock<Vec<Node>>,
}

/// Where and how directories are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) root: &'a Path,
    /// The root as errors name it.
    pub(super) called: &'a Path,
    pub(super) ignore: &'a Filter,
    pub(super) cache: &'a StatCache,
}

/// A directory that is still to be read, with what a selection excludes below it.
struct Job<'t, 'f> {
    node: &'t Node,
    path: Vec<u8>,
    exclude: Option<(&'f Filter, Below)>,
}

impl Node {
    pub(super) fn root(root: &Path, ignore: &Filter) -> Result<Self, ContextError> {
        let stat = rustix::fs::stat(root).map_err(io("look at", root))?;
        if !FileType::from_raw_mode(stat.st_mode).is_dir() {
            return Err(ContextError::NotADirectory { path: root.to_owned() });
        }
        Ok(Self::new(Vec::new(), &stat, Vec::new(), false, ignore.top()))
    }

    fn new(name: Vec<u8>, stat: &Stat, target: Vec<u8>, ignored: bool, below: Below) -> Self {
        // The fields' types differ between architectures.
        #[allow(clippy::unnecessary_cast)]
        Self {
            name,
            file_type: FileType::from_raw_mode(stat.st_mode),
            mode: stat.st_mode & 0o7777,
            links: stat.st_nlink as u64,
            device: stat.st_rdev,
            stat: file_stat(stat),
            target,
            ignored,
            below,
            inside: OnceLock::new(),
            listing: OnceLock::new(),
        }
    }

    /// Lets go of what is below it. Of a large tree that takes a while, and nobody waits for it.
    pub(super) fn forget(&mut self) {
        if let Some(listing) = self.listing.take() {
            // Without a thread, the listing goes with the closure.
            let _ = std::thread::Builder::new().spawn(move || drop(listing));
        }
    }

    pub(super) fn is_dir(&self) -> bool {
        self.file_type.is_dir()
    }

    /// The mode as an image has it: what git keeps, and the three special bits.
    pub(super) fn image_mode(&self) -> u32 {
        let executable = self.is_dir() || self.mode & 0o100 != 0;
        match self.file_type {
            FileType::Symlink => 0o777,
            _ if executable => 0o755 | self.mode & 0o7000,
            _ => 0o644 | self.mode & 0o7000,
        }
    }

    /// The mode on disk, but for the group's write permission where a umask of 002 explains it: then it is what a umask
    /// of 022 would have left (0664 counts as 0644, 0775 as 0755, 2775 as 2755). The first is the default of users with
    /// a group of their own, the second that of most CI systems: a checkout gives one image on both.
    pub(super) fn kept_mode(&self) -> u32 {
        match self.mode & 0o777 {
            _ if self.file_type.is_symlink() => 0o777,
            0o664 | 0o775 => self.mode & !0o020,
            _ => self.mode,
        }
    }

    /// The entries, if the directory has been read.
    pub(super) fn known_listing(&self) -> Option<&[Self]> {
        self.listing.get().map(Vec::as_slice)
    }

    /// The entries. `path` is this directory's, relative to the context, empty for the context itself.
    pub(super) fn list(&self, reader: Reader<'_>, path: &[u8]) -> Result<&[Self], ContextError> {
        if let Some(listing) = self.listing.get() {
            return Ok(listing);
        }
        let listing = self.read(reader, path)?;
        Ok(self.listing.get_or_init(|| listing))
    }

    /// The entry of this name.
    pub(super) fn child(
        &self,
        reader: Reader<'_>,
        path: &[u8],
        name: &[u8],
    ) -> Result<Option<&Self>, ContextError> {
        let listing = self.list(reader, path)?;
        Ok(listing.binary_search_by(|node| node.name.as_slice().cmp(name)).ok().map(|at| &listing[at]))
    }

    fn read(&self, reader: Reader<'_>, path: &[u8]) -> Result<Vec<Self>, ContextError> {
        let place = below_root(reader.root, path);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = rustix::fs::open(&place, flags, Mode::empty()).map_err(io("open the directory", &place))?;
        let cached = reader.cache.directory(path);
        let mut nodes = Vec::with_capacity(cached.map_or(0, |cached| cached.len()));
        let mut entries = rustix::fs::Dir::new(fd).map_err(io("read the directory", &place))?;
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(io("read the directory", &place))?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let verdict = reader.ignore.judge(&self.below, name);
            let is_known = entry.file_type() != FileType::Unknown;
            if verdict.excluded() && is_known && !entry.file_type().is_dir() {
                continue;
            }
            let fd = entries.fd().map_err(io("read the directory", &place))?;
            let stat = match rustix::fs::statat(fd, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                // It was removed since the directory was read: the same as if that had happened before.
                Err(rustix::io::Errno::NOENT) => continue,
                Err(error) => return Err(io("look at", &join_path(&place, name))(error)),
            };
            let file_type = FileType::from_raw_mode(stat.st_mode);
            let below = match file_type.is_dir() {
                true => reader.ignore.enter(&self.below, name, verdict),
                false => Below::default(),
            };
            if verdict.excluded() && !reader.ignore.may_reinclude(&below) {
                continue;
            }
            let target = if file_type.is_symlink() {
                rustix::fs::readlinkat(fd, entry.file_name(), Vec::new())
                    .map_err(io("read the symbolic link", &join_path(&place, name)))?
                    .into_bytes()
            } else {
                Vec::new()
            };
            let node = Self::new(name.to_vec(), &stat, target, verdict.excluded(), below);
            if let Some(inside) = cached.and_then(|cached| cached.get(name, &node.stat)) {
                // The node is new: nobody has set it.
                let _ = node.inside.set(inside);
            }
            nodes.push(node);
        }
        nodes.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(nodes)
    }
}

/// Reads everything below these directories that has not been read, with several threads, but not what `exclude`
/// (relative to each of them) leaves out.
pub(super) fn read_below(
    reader: Reader<'_>,
    tops: &[(&Node, Vec<u8>)],
    exclude: &Filter,
) -> Result<(), ContextError> {
    let exclude = (!exclude.is_empty()).then_some(exclude);
    let jobs = tops.iter().filter(|(node, _)| node.is_dir()).map(|(node, path)| Job {
        node,
        path: path.clone(),
        exclude: exclude.map(|filter| (filter, filter.top())),
    });
    let queue = Queue {
        state: Mutex::new(State { jobs: jobs.collect(), busy: 0, failed: None }),
        wake: Condvar::new(),
        idle: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
    };
    std::thread::scope(|scope| {
        for _ in 1..threads() {
            scope.spawn(|| queue.work(reader));
        }
        queue.work(reader);
    });
    match queue.state.into_inner().unwrap_or_else(PoisonError::into_inner).failed {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// How many threads walk and hash.
pub(super) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get().min(16))
}

/// Directories that are still to be read. Each thread works at a heap of its own and shares it only when another has
/// none: small directories are read faster than a lock changes hands.
struct Queue<'t, 'f> {
    state: Mutex<State<'t, 'f>>,
    wake: Condvar,
    /// How many threads wait for jobs.
    idle: AtomicUsize,
    stop: AtomicBool,
}

struct State<'t, 'f> {
    jobs: Vec<Job<'t, 'f>>,
    /// How many threads have jobs, which may give more.
    busy: usize,
    failed: Option<ContextError>,
}

impl<'t, 'f> Queue<'t, 'f> {
    fn lock(&self) -> std::sync::MutexGuard<'_, State<'t, 'f>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, reader: Reader<'_>) {
        let mut own = Vec::new();
        while let Some(job) = self.take() {
            own.push(job);
            while let Some(job) = own.pop() {
                if self.stop.load(Ordering::Relaxed) {
                    break;
                }
                if let Err(error) = job.run(reader, &mut own) {
                    self.lock().failed.get_or_insert(error);
                    self.stop.store(true, Ordering::Relaxed);
                }
                if own.len() > 1 && self.idle.load(Ordering::Relaxed) > 0 {
                    // The older half: nearer to the top, so likely more below.
                    let half = own.len() / 2;
                    self.lock().jobs.extend(own.drain(..half));
                    self.wake.notify_all();
                }
            }
            self.lock().busy -= 1;
            self.wake.notify_all();
        }
    }

    /// The next job, and with it the duty to say when its heap is done. `None`: all is done.
    fn take(&self) -> Option<Job<'t, 'f>> {
        let mut state = self.lock();
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return None;
            }
            if let Some(job) = state.jobs.pop() {
                state.busy += 1;
                return Some(job);
            }
            if state.busy == 0 {
                return None;
            }
            self.idle.fetch_add(1, Ordering::Relaxed);
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            self.idle.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl<'t, 'f> Job<'t, 'f> {
    fn run(self, reader: Reader<'_>, found: &mut Vec<Job<'t, 'f>>) -> Result<(), ContextError> {
        for node in self.node.list(reader, &self.path)?.iter().filter(|node| node.is_dir()) {
            let exclude = match &self.exclude {
                None => None,
                Some((filter, at)) => {
                    let verdict = filter.judge(at, &node.name);
                    let below = filter.enter(at, &node.name, verdict);
                    if verdict.excluded() && !filter.may_reinclude(&below) {
                        continue;
                    }
                    Some((*filter, below))
                }
            };
            found.push(Job { node, path: join(&self.path, &node.name), exclude });
        }
        Ok(())
    }
}

/// A path relative to the context and a name in it.
pub(super) fn join(path: &[u8], name: &[u8]) -> Vec<u8> {
    let mut joined = Vec::with_capacity(path.len() + 1 + name.len());
    joined.extend_from_slice(path);
    if !path.is_empty() {
        joined.push(b'/');
    }
    joined.extend_from_slice(name);
    joined
}

/// The path on this machine of a path relative to the context.
pub(super) fn below_root(root: &Path, path: &[u8]) -> PathBuf {
    match path.is_empty() {
        true => root.to_owned(),
        false => join_path(root, path),
    }
}

fn join_path(place: &Path, name: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(place.as_os_str().len() + 1 + name.len());
    bytes.extend_from_slice(place.as_os_str().as_bytes());
    if bytes.last() != Some(&b'/') {
        bytes.push(b'/');
    }
    bytes.extend_from_slice(name);
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

/// The part of a stat that identifies a version of a file.
pub(super) fn file_stat(stat: &Stat) -> FileStat {
    // The fields' types differ between architectures.
    #[allow(clippy::unnecessary_cast, clippy::useless_conversion)]
    FileStat {
        size: stat.st_size as u64,
        mtime: (stat.st_mtime as i64, stat.st_mtime_nsec as u32),
        ctime: (stat.st_ctime as i64, stat.st_ctime_nsec as u32),
        inode: stat.st_ino as u64,
        device: stat.st_dev as u64,
    }
}

pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(rustix::io::Errno) -> ContextError {
    let path = path.to_owned();
    move |error| ContextError::Io { action, path, source: error.into() }
}

/// Bytes as people read them.
pub(super) fn shown(bytes: &[u8]) -> String {
    OsStr::from_bytes(bytes).to_string_lossy().into_owned()
}
