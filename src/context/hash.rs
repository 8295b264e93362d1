//! The insides of nodes: digests of files, extended attributes.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};

use super::{
    ContextError,
    tree::{Inside, Node, below_root, file_stat, io, threads},
};
use crate::{layer::FileStat, oci::Hasher};

/// Fills in the insides of nodes, given with their paths relative to the context, with several threads.
pub(super) fn fill(root: &Path, mut nodes: Vec<(&Node, Vec<u8>)>) -> Result<(), ContextError> {
    // The largest first, so that the threads end at about the same time.
    nodes.sort_by_key(|(node, _)| std::cmp::Reverse(node.stat.size));
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let failed = Mutex::new(None);
    let work = || {
        let mut buffer = vec![0; 256 * 1024];
        while !stop.load(Ordering::Relaxed) {
            let Some((node, path)) = nodes.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
            match inside(root, node, path, &mut buffer) {
                // Another selection may have been faster, to the same end.
                Ok(inside) => drop(node.inside.set(inside)),
                Err(error) => {
                    failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    stop.store(true, Ordering::Relaxed);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads().min(nodes.len()) {
            scope.spawn(work);
        }
        work();
    });
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Reads one file or directory, which must still be as it was when it was listed.
fn inside(root: &Path, node: &Node, path: &[u8], buffer: &mut [u8]) -> Result<Inside, ContextError> {
    let place = below_root(root, path);
    let kind = if node.is_dir() { OFlags::DIRECTORY } else { OFlags::NONBLOCK };
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | kind;
    let fd: OwnedFd = match rustix::fs::open(&place, flags, Mode::empty()) {
        Ok(fd) => fd,
        // Removed, or replaced by something else, since it was listed.
        Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => return Err(ContextError::Changed { path: place }),
        Err(error) => return Err(io("open", &place)(error)),
    };
    let now =
        |fd: &OwnedFd| rustix::fs::fstat(fd).map(|stat| file_stat(&stat)).map_err(io("look at", &place));
    if node.is_dir() {
        // Entries may come and go: those that count were listed. The attributes are read as they are.
        return Ok(Inside { digest: None, xattrs: xattrs(&fd, &place)? });
    }
    unchanged(now(&fd)?, node, &place)?;
    let xattrs = xattrs(&fd, &place)?;
    let mut file = File::from(fd);
    let mut hasher = Hasher::new();
    loop {
        match file.read(buffer) {
            Ok(0) => break,
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(source) => return Err(ContextError::Io { action: "read", path: place, source }),
        }
    }
    unchanged(now(&file.into())?, node, &place)?;
    Ok(Inside { digest: Some(hasher.finish()), xattrs })
}

fn unchanged(stat: FileStat, node: &Node, place: &Path) -> Result<(), ContextError> {
    if stat == node.stat { Ok(()) } else { Err(ContextError::Changed { path: place.to_owned() }) }
}

/// The extended attributes that belong to an image: the user's own, and file capabilities. Others (labels of the
/// host's security modules, access lists) mean something on this host only.
fn xattrs(fd: &impl AsFd, place: &Path) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, ContextError> {
    let mut found = BTreeMap::new();
    let mut names = vec![0; 1024];
    let names = loop {
        match rustix::fs::flistxattr(fd, names.as_mut_slice()) {
            Ok(0) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(found),
            Ok(count) => break &names[..count],
            Err(Errno::RANGE) if names.len() < 1 << 20 => names.resize(names.len() * 8, 0),
            Err(error) => return Err(io("list the extended attributes of", place)(error)),
        }
    };
    for name in names.split(|b| *b == 0) {
        if !name.starts_with(b"user.") && name != b"security.capability" {
            continue;
        }
        // 64 KiB is the kernel's own limit of a value.
        let mut value = vec![0; 1 << 16];
        match rustix::fs::fgetxattr(fd, name, value.as_mut_slice()) {
            Ok(count) => {
                value.truncate(count);
                value.shrink_to_fit();
                found.insert(name.to_vec(), value);
            }
            Err(Errno::NODATA) => {}
            Err(error) => return Err(io("read an extended attribute of", place)(error)),
        }
    }
    Ok(found)
}
