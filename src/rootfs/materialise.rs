//! Compressed streams → uncompressed tars in the store with their indices, each made once.

use std::{
    fs, io,
    io::{Read, Seek, SeekFrom, Write},
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
};

use super::{
    error::{RootfsError, TarError},
    index::{Builder, Expansion, TarIndex},
    index_format,
};
use crate::{
    error::Failure,
    layer::{Content, Decoder, EntryPath, Kind, Layer},
    oci::{Digest, Hasher},
    store::{Bucket, Store, Temporary},
};

/// The most bytes an uncompressed tar may have: its files, and headers besides. A small blob can hold more than a disk.
const MAX_TAR: u64 = 80 << 30;

/// The index of the tar with this key, if the store has both.
pub fn load(store: &Store, key: &Digest) -> Result<Option<Arc<TarIndex>>, RootfsError> {
    let tar: Arc<Path> = store.tar_path(key).into();
    let Some(bytes) = store.record_bytes(Bucket::Indices, key)? else { return Ok(None) };
    let Some((size, index)) = index_format::decode(&bytes, &tar) else { return Ok(None) };
    // A tar of another size is what a power failure left.
    Ok(store.has_tar(key, size).then(|| Arc::new(index)))
}

/// Whether the store has the tar with this key in full, and its index: what [`load`] would read.
pub fn has(store: &Store, key: &Digest) -> bool {
    let index = store.record_path(Bucket::Indices, key);
    // The size stands within the first bytes: see `index_format`.
    let mut head = [0; 64];
    let read = fs::File::open(&index).and_then(|mut file| file.read(&mut head));
    let size = read.ok().and_then(|read| index_format::size(&head[..read]));
    size.is_some_and(|size| store.use_file(&index).is_some() && store.has_tar(key, size))
}

/// The first file of the tar with this key whose content is not what its index says: its path, the digest that it had
/// and, where it can be read, the one that it has. `None`: there is no such file, or no such tar.
pub fn damaged(store: &Store, key: &Digest) -> Result<Option<(EntryPath, Digest, Digest)>, RootfsError> {
    let Some(index) = load(store, key)? else { return Ok(None) };
    let file = fs::File::open(index.tar()).map_err(RootfsError::io("open", &**index.tar()))?;
    let mut buffer = vec![0; 128 << 10];
    for item in index.items() {
        let (Kind::File(Content::Range { offset, size, .. }), Some(expected)) =
            (&item.entry.kind, item.digest)
        else {
            continue;
        };
        let (mut hasher, mut done) = (expected.hasher(), 0);
        while done < *size {
            let most = (size - done).min(buffer.len() as u64) as usize;
            file.read_exact_at(&mut buffer[..most], offset.saturating_add(done))
                .map_err(RootfsError::io("read", &**index.tar()))?;
            hasher.update(&buffer[..most]);
            done += most as u64;
        }
        let found = hasher.finish();
        if found != expected {
            return Ok(Some((item.entry.path.clone(), expected, found)));
        }
    }
    Ok(None)
}

/// The index of a layer, whose tar is then in the store under its diff ID. Where the store does not have it yet, `open`
/// gives the layer's blob, compressed in any way; its plain content must have the digest `diff_id`. `what` names the
/// layer in errors.
///
/// Blocks; safe to call at the same time from many threads and processes.
pub fn materialise_layer<R: Read>(
    store: &Store,
    diff_id: &Digest,
    what: &str,
    open: impl FnOnce() -> Result<R, Failure>,
) -> Result<Arc<TarIndex>, RootfsError> {
    materialise(store, (diff_id, MAX_TAR), what, open)
}

/// The same for a layer whose size somebody has promised: what is longer is not unpacked to its end.
pub fn materialise_promised<R: Read>(
    store: &Store,
    layer: &Layer,
    what: &str,
    open: impl FnOnce() -> Result<R, Failure>,
) -> Result<Arc<TarIndex>, RootfsError> {
    materialise(store, (&layer.diff_id, layer.size.min(MAX_TAR)), what, open)
}

fn materialise<R: Read>(
    store: &Store,
    (diff_id, most): (&Digest, u64),
    what: &str,
    open: impl FnOnce() -> Result<R, Failure>,
) -> Result<Arc<TarIndex>, RootfsError> {
    if let Some(index) = load(store, diff_id)? {
        return Ok(index);
    }
    let blob = open().map_err(RootfsError::Layer)?;
    let plain = Decoder::new(blob).map_err(|error| RootfsError::tar(what)(error.into()))?;
    let mut making = Making::new(store, diff_id, what, plain, Some(diff_id.hasher()))?;
    making.most = most;
    let (made, found) = making.run()?;
    if let Some(found) = found.filter(|found| found != diff_id) {
        return Err(RootfsError::DiffId {
            what: what.into(),
            expected: Box::new(*diff_id),
            found: Box::new(found),
        });
    }
    made.keep(store, diff_id)
}

/// Takes a plain tar that is at `path`, on the store's file system, into the store under its digest, `diff_id`: by its
/// name, not by copying it. Blocks.
pub fn adopt(store: &Store, diff_id: &Digest, what: &str, path: &Path) -> Result<Arc<TarIndex>, RootfsError> {
    if let Some(index) = load(store, diff_id)? {
        fs::remove_file(path).map_err(RootfsError::io("remove", path))?;
        return Ok(index);
    }
    let target = store.tar_path(diff_id);
    let file = fs::File::open(path).map_err(RootfsError::io("open", path))?;
    let size = file.metadata().map_err(RootfsError::io("read", path))?.len();
    let index = TarIndex::read(io::BufReader::with_capacity(1 << 20, file), &target)
        .map_err(RootfsError::tar(what))?;
    fs::rename(path, &target).map_err(RootfsError::io("rename a file to", &target))?;
    keep_index(store, diff_id, &index, size)?;
    Ok(Arc::new(index))
}

fn keep_index(store: &Store, key: &Digest, index: &TarIndex, size: u64) -> Result<(), RootfsError> {
    let mut record = store.temporary()?;
    let path = record.path().to_owned();
    record.file().write_all(&index_format::encode(index, size)).map_err(RootfsError::io("write", path))?;
    Ok(record.keep(&store.record_path(Bucket::Indices, key), false)?)
}

/// Reads a plain tar that is to be kept under a key that says nothing about its content.
pub(super) fn read_tar(
    store: &Store,
    key: &Digest,
    what: &str,
    plain: impl Read,
) -> Result<Made, RootfsError> {
    Making::new(store, key, what, plain, None)?.run().map(|(made, _)| made)
}

/// A tar on its way into the store.
struct Making<'a, R> {
    what: &'a str,
    tee: Option<Tee<R>>,
    most: u64,
    temporary: Temporary,
    builder: Option<Builder>,
}

/// Reads, and keeps what it reads.
struct Tee<R> {
    stream: R,
    file: io::BufWriter<fs::File>,
    hasher: Option<Hasher>,
    size: u64,
    most: u64,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer)?;
        self.file.write_all(&buffer[..read])?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..read]);
        }
        self.size += read as u64;
        if self.size > self.most {
            let limit = TarError::Limit(format!("it has more than {} bytes uncompressed", self.most));
            return Err(io::Error::other(limit));
        }
        Ok(read)
    }
}

impl<'a, R: Read> Making<'a, R> {
    fn new(
        store: &Store,
        key: &Digest,
        what: &'a str,
        stream: R,
        hasher: Option<Hasher>,
    ) -> Result<Self, RootfsError> {
        let mut temporary = store.temporary()?;
        let file = temporary.file().try_clone().map_err(RootfsError::io("open", temporary.path()))?;
        let file = io::BufWriter::with_capacity(1 << 20, file);
        let tee = Some(Tee { stream, file, hasher, size: 0, most: MAX_TAR });
        Ok(Self { what, tee, most: MAX_TAR, temporary, builder: Some(Builder::new(&store.tar_path(key))) })
    }

    /// Reads all of it; tells its digest too, where it has a hasher.
    fn run(mut self) -> Result<(Made, Option<Digest>), RootfsError> {
        let (Some(tee), Some(mut builder)) = (&mut self.tee, self.builder.take()) else {
            return Err(RootfsError::tar(self.what)(TarError::Limit("it was read already".into())));
        };
        tee.most = self.most;
        let read = builder.read(&mut *tee).and_then(|stream| {
            // What comes behind the end counts for the digest.
            io::copy(stream, &mut io::sink())?;
            Ok(())
        });
        read.map_err(RootfsError::tar(self.what))?;
        tee.file.flush().map_err(RootfsError::io("write", self.temporary.path()))?;
        let end = tee.size.next_multiple_of(512);
        let expansions = std::mem::take(&mut builder.expansions);
        expand(self.temporary.file(), end, &expansions)
            .map_err(RootfsError::io("write", self.temporary.path()))?;
        let sparse = !expansions.is_empty();
        builder.expansions = expansions;
        let hash = self.tee.take().and_then(|tee| tee.hasher).map(Hasher::finish);
        Ok((Made { temporary: self.temporary, index: builder.finish(end), sparse }, hash))
    }
}

/// A tar that was read, and is in nobody's way yet.
pub(super) struct Made {
    temporary: Temporary,
    index: TarIndex,
    /// Whether there are holes in it.
    sparse: bool,
}

impl Made {
    /// Puts it into the store under its key.
    pub(super) fn keep(mut self, store: &Store, key: &Digest) -> Result<Arc<TarIndex>, RootfsError> {
        let path = self.temporary.path().to_owned();
        let size = self.temporary.file().metadata().map_err(RootfsError::io("read", &path))?.len();
        // After a power failure the size tells whether all of it is there; but not where it was set, and not written.
        self.temporary.keep(&store.tar_path(key), self.sparse)?;
        keep_index(store, key, &self.index, size)?;
        Ok(Arc::new(self.index))
    }
}

/// Lays sparse files out behind the tar, whose end is at `end`. Their holes stay holes.
fn expand(file: &mut fs::File, end: u64, expansions: &[Expansion]) -> io::Result<()> {
    for expansion in expansions {
        let mut stored = expansion.stored;
        for segment in &expansion.segments {
            let mut buffer = vec![0; 64 << 10];
            let mut done = 0;
            while done < segment.size {
                let most = (segment.size - done).min(buffer.len() as u64) as usize;
                file.seek(SeekFrom::Start(stored))?;
                file.read_exact(&mut buffer[..most])?;
                file.seek(SeekFrom::Start(end + expansion.target + segment.offset + done))?;
                file.write_all(&buffer[..most])?;
                stored += most as u64;
                done += most as u64;
            }
        }
        file.set_len(end + expansion.target + expansion.size)?;
    }
    Ok(())
}
