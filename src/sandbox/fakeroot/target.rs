//! Looking into the process that makes a call: its memory, and its files as it sees them.

use std::{
    fs::{File, OpenOptions},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{ffi::OsStrExt, fs::FileExt},
    },
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2, readlink},
    io::Errno,
};

/// The longest path of a call, with its zero byte (`PATH_MAX`).
const LONGEST_PATH: usize = 4096;
const PAGE: usize = 4096;

/// A thread that waits for its answer. Whether it still does must be asked after its files were opened.
#[derive(Debug)]
pub(super) struct Target {
    thread: u32,
}

impl Target {
    pub(super) fn new(thread: u32) -> Self {
        Self { thread }
    }

    fn proc(&self, file: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{file}", self.thread))
    }

    /// Reads its memory.
    pub(super) fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), Errno> {
        let memory = File::open(self.proc("mem")).map_err(|_| Errno::SRCH)?;
        memory.read_exact_at(buffer, address).map_err(|_| Errno::FAULT)
    }

    /// Reads 32-bit numbers from its memory.
    pub(super) fn read_numbers(&self, address: u64, count: usize) -> Result<Vec<u32>, Errno> {
        let mut bytes = vec![0; count * 4];
        if count > 0 {
            self.read(address, &mut bytes)?;
        }
        Ok(bytes.chunks_exact(4).map(|b| u32::from_ne_bytes([b[0], b[1], b[2], b[3]])).collect())
    }

    /// Writes 32-bit numbers to its memory.
    pub(super) fn write_numbers(&self, address: u64, numbers: &[u32]) -> Result<(), Errno> {
        let memory = OpenOptions::new().write(true).open(self.proc("mem")).map_err(|_| Errno::SRCH)?;
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_ne_bytes()).collect();
        memory.write_all_at(&bytes, address).map_err(|_| Errno::FAULT)
    }

    /// Reads a path from its memory.
    pub(super) fn read_path(&self, address: u64) -> Result<Vec<u8>, Errno> {
        let memory = File::open(self.proc("mem")).map_err(|_| Errno::SRCH)?;
        let mut path = Vec::new();
        while path.len() < LONGEST_PATH {
            let at = address.checked_add(path.len() as u64).ok_or(Errno::FAULT)?;
            // What follows the page may not be there.
            let mut piece = [0; PAGE];
            let piece = &mut piece[..PAGE - (at % PAGE as u64) as usize];
            memory.read_exact_at(piece, at).map_err(|_| Errno::FAULT)?;
            if let Some(end) = piece.iter().position(|byte| *byte == 0) {
                path.extend_from_slice(&piece[..end]);
                return if path.len() < LONGEST_PATH { Ok(path) } else { Err(Errno::NAMETOOLONG) };
            }
            path.extend_from_slice(piece);
        }
        Err(Errno::NAMETOOLONG)
    }

    /// The file behind one of its descriptors.
    pub(super) fn file(&self, descriptor: i32) -> Result<OwnedFd, Errno> {
        let link = self.proc(&format!("fd/{descriptor}"));
        open(&link, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(|error| match error {
            Errno::NOENT => Errno::BADF,
            other => other,
        })
    }

    /// The file that a path names, looked up from a directory (`None` is the working directory) as the process would,
    /// never outside of its root.
    pub(super) fn find(&self, directory: Option<i32>, path: &[u8], follow: bool) -> Result<OwnedFd, Errno> {
        if path.is_empty() {
            return Err(Errno::NOENT);
        }
        let root = self.magic("root")?;
        if path.starts_with(b"/") {
            return look_up(
                &root,
                Path::new(std::ffi::OsStr::from_bytes(path)),
                follow,
                ResolveFlags::IN_ROOT,
            );
        }
        let name = match directory {
            None => "cwd".to_owned(),
            Some(descriptor) => format!("fd/{descriptor}"),
        };
        let base = match directory {
            None => self.magic("cwd")?,
            Some(descriptor) => self.file(descriptor)?,
        };
        if FileType::from_raw_mode(fstat(&base)?.st_mode) != FileType::Directory {
            return Err(Errno::NOTDIR);
        }
        let path = Path::new(std::ffi::OsStr::from_bytes(path));
        // No link on the way and not up: the same for everybody.
        let plain = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        match look_up(&base, path, follow, plain) {
            Err(Errno::LOOP | Errno::XDEV) => {}
            other => return other,
        }
        let base_path = self.path_in_root(&name, &root, &base)?;
        look_up(&root, &base_path.join(path), follow, ResolveFlags::IN_ROOT)
    }

    /// Where one of its directories lies, seen from its root.
    fn path_in_root(&self, name: &str, root: &OwnedFd, base: &OwnedFd) -> Result<PathBuf, Errno> {
        let shown = |name: &str| {
            let text = readlink(self.proc(name), Vec::new())?;
            Ok::<_, Errno>(PathBuf::from(std::ffi::OsStr::from_bytes(text.as_bytes())))
        };
        let path = shown(name)?;
        // Both are shown from the root of the mount namespace: a process may have another root.
        let inside = path.strip_prefix(shown("root")?).map_or_else(|_| path.clone(), Path::to_owned);
        let inside: PathBuf = inside.components().filter(|part| *part != Component::RootDir).collect();
        let found = if inside.as_os_str().is_empty() {
            root.try_clone().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?
        } else {
            look_up(root, &inside, true, ResolveFlags::IN_ROOT)?
        };
        // It may have been moved, or lie outside.
        let same = |stat: rustix::fs::Stat| (stat.st_dev, stat.st_ino);
        if same(fstat(&found)?) == same(fstat(base)?) { Ok(inside) } else { Err(Errno::NOENT) }
    }

    fn magic(&self, name: &str) -> Result<OwnedFd, Errno> {
        open(self.proc(name), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
    }
}

fn look_up(base: &OwnedFd, path: &Path, follow: bool, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
    let mut flags = OFlags::PATH | OFlags::CLOEXEC;
    // With NO_SYMLINKS a last link that is not followed is found; one that is to be followed ends in LOOP.
    if !follow {
        flags |= OFlags::NOFOLLOW;
    }
    // A rename elsewhere makes the kernel give up; not for ever.
    for _ in 0..32 {
        match openat2(base.as_fd(), path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

/// The path under which this process reaches a file that it holds: for calls that take no descriptor of that kind.
pub(super) fn own_path(file: &OwnedFd) -> String {
    use std::os::fd::AsRawFd;
    format!("/proc/self/fd/{}", file.as_raw_fd())
}
