//! An upper tree as a layer.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsString,
    fs::{self, File, Metadata},
    io::{self, Seek, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt},
    },
    path::{Path, PathBuf},
    vec,
};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, XattrFlags, major, minor};

use super::{
    super::Captured,
    OwnersByPath,
    attributes::{Xattrs, is_portable, parse_owner, read_xattrs, recorded_owner, under},
    error::TreeError,
    flavour::{Flavour, OWNER, Owners},
    merged::{Merged, is_opaque, is_whiteout, read_names},
    unpack::path_of,
    warnings::Warnings,
};
use crate::{
    layer::{Content, Entry, EntryPath, FileStat, Kind, write_tar},
    oci::Hasher,
};

/// The longest path that can be opened (`PATH_MAX` has a zero byte too).
const MAX_PATH: usize = 4095;

/// How many bytes of holes a file may have before the user is told what they cost.
const MANY_HOLES: u64 = 256 << 20;

/// How to capture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CaptureOptions<'a> {
    /// Later times become this one, in seconds since the epoch; in the tree too, which is to be what the tar says.
    pub latest_mtime: Option<i64>,
    /// Where owners are recorded: who owns what is new and has no record.
    pub default_owner: (u32, u32),
    /// Where owners are recorded: those of files that can have no attributes.
    pub bare_owners: Option<&'a OwnersByPath>,
}

/// Writes an upper tree as a layer's uncompressed tar to `out`. `lowers` are the trees below it, lowest first: where
/// owners are recorded, a new file in the place of an old one without a record belongs to whom the old one belonged,
/// and that is recorded in the tree too.
///
/// # Errors
/// A tree that cannot be read, names that a layer cannot have, paths longer than 4095 bytes, a failure of `out`.
pub fn capture(
    upper: &Path,
    lowers: &[PathBuf],
    flavour: Flavour,
    options: &CaptureOptions<'_>,
    out: &mut File,
) -> Result<Captured, TreeError> {
    let (entries, warnings) = entries(upper, lowers, flavour, options)?;
    Ok(Captured { warnings, ..tar_of(&entries, out)? })
}

/// Writes entries as a tar to `path`, a new file. Each file must still be as it was when it was listed.
///
/// # Errors
/// Those of [`capture`].
pub fn pack(entries: &[Entry], path: &Path) -> Result<Captured, TreeError> {
    let mut out = File::create_new(path).map_err(TreeError::io("make", path))?;
    tar_of(entries, &mut out)
}

fn tar_of(entries: &[Entry], out: &mut File) -> Result<Captured, TreeError> {
    let spared = Sparse { out, hole: 0 };
    let mut out =
        Hashing { out: io::BufWriter::with_capacity(256 << 10, spared), hasher: Hasher::new(), size: 0 };
    write_tar(entries, &mut out)?;
    out.out.flush().map_err(crate::layer::LayerError::Out)?;
    Ok(Captured { diff_id: out.hasher.finish(), size: out.size, warnings: Vec::new() })
}

/// What an upper tree says, as a layer has it: sorted, with what had to be left out.
///
/// # Errors
/// Those of [`capture`].
pub fn entries(
    upper: &Path,
    lowers: &[PathBuf],
    flavour: Flavour,
    options: &CaptureOptions<'_>,
) -> Result<(Vec<Entry>, Vec<String>), TreeError> {
    let mut walk = Walk {
        upper,
        flavour,
        options,
        links: HashMap::new(),
        entries: Vec::new(),
        warnings: Warnings::default(),
    };
    // Below is asked only where owners are recorded.
    let below = match flavour.owners {
        Owners::Real => Merged::nothing(flavour),
        Owners::Recorded => Merged::new(lowers, flavour),
    };
    let mut open = vec![walk.enter(None, below)?];
    while let Some(directory) = open.last_mut() {
        let Some(name) = directory.names.next() else {
            open.pop();
            continue;
        };
        if let Some(entered) = walk.child(directory, name)? {
            open.push(entered);
        }
    }
    Ok((walk.entries, walk.warnings.lines()))
}

/// A directory whose children are being looked at.
struct Open {
    path: Option<EntryPath>,
    names: vec::IntoIter<OsString>,
    below: Merged,
}

struct Walk<'a> {
    upper: &'a Path,
    flavour: Flavour,
    options: &'a CaptureOptions<'a>,
    /// The entries of files that have more names.
    links: HashMap<(u64, u64), usize>,
    entries: Vec<Entry>,
    warnings: Warnings,
}

impl Walk<'_> {
    fn enter(&self, path: Option<EntryPath>, below: Merged) -> Result<Open, TreeError> {
        let directory = path.as_ref().map_or_else(|| self.upper.to_owned(), |path| under(self.upper, path));
        let mut names = read_names(&directory)?;
        names.sort_unstable();
        Ok(Open { path, names: names.into_iter(), below })
    }

    /// Takes in what is under this name. A directory is entered next.
    fn child(&mut self, directory: &Open, name: OsString) -> Result<Option<Open>, TreeError> {
        let Some(path) = path_of(directory.path.as_ref(), &name) else { return Ok(None) };
        let file = under(self.upper, &path);
        if file.as_os_str().len() > MAX_PATH {
            return Err(TreeError::TooLong { path });
        }
        let look = || fs::symlink_metadata(&file).map_err(TreeError::io("look at", &file));
        let mut metadata = look()?;
        if is_whiteout(&metadata) {
            self.entries.push(Entry::new(path, Kind::Whiteout, 0));
            return Ok(None);
        }
        if metadata.file_type().is_socket() {
            self.warnings.left_out("the socket", &path, "a layer cannot hold it");
            return Ok(None);
        }
        if metadata.is_file() && metadata.nlink() > 1 {
            let inode = (metadata.dev(), metadata.ino());
            if let Some(first) = self.links.get(&inode).and_then(|at| self.entries.get(*at)) {
                // A link is told with the attributes of its file, which stands before it.
                let kind = Kind::Hardlink(first.path.clone());
                let link = Entry { path, kind, xattrs: BTreeMap::new(), ..first.clone() };
                self.entries.push(link);
                return Ok(None);
            }
            // It is the next to be pushed.
            self.links.insert(inode, self.entries.len());
        }
        let xattrs = read_xattrs(&file)?;
        self.whole(&file, &xattrs)?;
        let opaque = metadata.is_dir() && is_opaque(&file, self.flavour)?;
        let mut owner = (metadata.uid(), metadata.gid());
        let mut below = Merged::nothing(self.flavour);
        if self.flavour.owners == Owners::Recorded {
            let attribute = xattrs.iter().find(|(name, _)| name == OWNER);
            let bare = || self.options.bare_owners.and_then(|owners| owners.get(&path)).copied();
            let record = attribute.and_then(|(_, value)| parse_owner(value)).or_else(bare);
            let old = directory.below.child(&name)?;
            // What was made anew belongs to whom made it.
            let kept = old.as_ref().filter(|old| old.metadata.file_type() == metadata.file_type() && !opaque);
            owner = match (record, kept) {
                (Some(owner), _) => owner,
                (None, Some(old)) => recorded_owner(&old.path)?.unwrap_or_default(),
                (None, None) => self.options.default_owner,
            };
            if record.is_none() && owner != (0, 0) && (metadata.is_file() || metadata.is_dir()) {
                record_owner(&file, owner)?;
                metadata = look()?;
            }
            below = old.map_or(below, |old| old.below);
        }
        if let Some(latest) = self.options.latest_mtime.filter(|latest| *latest < metadata.mtime()) {
            set_time(&file, latest)?;
            metadata = look()?;
        }
        let kind = kind(&file, &metadata)?;
        // `st_blocks` counts 512 bytes, whatever the file system does.
        if metadata.is_file() && metadata.size().saturating_sub(metadata.blocks() * 512) > MANY_HOLES {
            self.warnings.note(format!(
                "/{path} takes {} MB in the layer though most of it is holes: layers cannot hold these",
                metadata.size() / 1_000_000
            ));
        }
        self.entries.push(Entry {
            path: path.clone(),
            kind,
            mode: metadata.mode() & 0o7777,
            uid: owner.0.into(),
            gid: owner.1.into(),
            mtime: metadata.mtime(),
            xattrs: image_xattrs(xattrs, self.flavour),
        });
        if !metadata.is_dir() {
            return Ok(None);
        }
        if opaque {
            self.entries.push(Entry::new(path.clone(), Kind::Opaque, 0));
            below = Merged::nothing(self.flavour);
        }
        self.enter(Some(path), below).map(Some)
    }

    /// A tree must say everything itself: neither a renamed directory's content nor a file's may lie below only.
    fn whole(&self, file: &Path, xattrs: &Xattrs) -> Result<(), TreeError> {
        let mark = |name: &[u8]| {
            name.strip_prefix(self.flavour.prefix())
                .is_some_and(|mark| matches!(mark, b"redirect" | b"metacopy"))
        };
        match xattrs.iter().find(|(name, _)| mark(name)) {
            None => Ok(()),
            Some((name, _)) => Err(TreeError::Reference {
                path: file.to_owned(),
                mark: String::from_utf8_lossy(name).into_owned(),
            }),
        }
    }
}

fn kind(file: &Path, metadata: &Metadata) -> Result<Kind, TreeError> {
    let kind = metadata.file_type();
    let device = metadata.rdev();
    Ok(match () {
        () if kind.is_dir() => Kind::Directory,
        () if kind.is_symlink() => {
            let target = fs::read_link(file).map_err(TreeError::io("read the link", file))?;
            Kind::Symlink(target.into_os_string().as_bytes().to_vec())
        }
        () if kind.is_fifo() => Kind::Fifo,
        () if kind.is_char_device() => Kind::CharDevice { major: major(device), minor: minor(device) },
        () if kind.is_block_device() => Kind::BlockDevice { major: major(device), minor: minor(device) },
        () => {
            Kind::File(Content::File { path: file.to_owned(), stat: FileStat::from(metadata), digest: None })
        }
    })
}

/// The attributes that belong into an image: none of ours or of overlayfs, nor those that only mean something to the
/// security module of this host.
fn image_xattrs(xattrs: Xattrs, flavour: Flavour) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut image = BTreeMap::new();
    for (name, value) in xattrs {
        let Some(name) = flavour.unescaped(&name) else { continue };
        if name == b"security.capability" {
            image.insert(name, portable_capability(value));
        } else if is_portable(&name) {
            image.insert(name, value);
        }
    }
    image
}

/// File capabilities without the id of the user namespace's root (`struct vfs_ns_cap_data` of `linux/capability.h`,
/// revision 3): revision 2, which holds for every root.
fn portable_capability(mut value: Vec<u8>) -> Vec<u8> {
    const REVISION: usize = 3;
    if value.len() == 24 && value[REVISION] == 3 {
        value[REVISION] = 2;
        value.truncate(20);
    }
    value
}

fn record_owner(file: &Path, (uid, gid): (u32, u32)) -> Result<(), TreeError> {
    let value = format!("{uid}:{gid}");
    rustix::fs::lsetxattr(file, OWNER, value.as_bytes(), XattrFlags::empty())
        .map_err(TreeError::io("record the owner of", file))
}

fn set_time(file: &Path, seconds: i64) -> Result<(), TreeError> {
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, file, &times, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(TreeError::io("set the time of", file))
}

/// A file in which zeros are holes: a file that is nearly all holes is not to fill the disk as a layer.
struct Sparse<'a> {
    out: &'a mut File,
    /// Zeros that are yet to be written.
    hole: u64,
}

impl Write for Sparse<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.iter().all(|byte| *byte == 0) {
            self.hole += bytes.len() as u64;
            return Ok(bytes.len());
        }
        self.skip()?;
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.skip()?;
        let end = self.out.stream_position()?;
        self.out.set_len(end)?;
        self.out.flush()
    }
}

impl Sparse<'_> {
    fn skip(&mut self) -> io::Result<()> {
        // A file cannot be longer, and its size was told as this type.
        let hole = std::mem::take(&mut self.hole).cast_signed();
        if hole > 0 {
            self.out.seek(io::SeekFrom::Current(hole))?;
        }
        Ok(())
    }
}

struct Hashing<W> {
    out: W,
    hasher: Hasher,
    size: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
