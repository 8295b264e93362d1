//! Writing a layer: one pass from files to blob.
//!
//! ```text
//!            ┌─► hash: SHA-256 of the tar, the diffID
//! read, tar ─┤
//!  (caller)  └─► pool: compress, chunk by chunk ─► write: in order, into the store, SHA-256 of the blob
//! ```
//!
//! Each arrow is a queue of bounded length, so memory is bounded whatever the layer's size; each chunk is compressed
//! on its own, so the bytes are the same whatever the number of threads.

use std::{
    borrow::Borrow,
    io::Write,
    mem, panic,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, Scope, ScopedJoinHandle},
};

use serde::{Deserialize, Serialize};

use super::{
    Compression, Content, Entry, LayerError, Pool,
    cut::{first_piece, in_front_of},
    header::{self, BLOCK},
    pool::Promise,
    read::Reader,
    table::{Found, KeyHasher, Known, Row, Sum, Table},
};
use crate::{
    event::Running,
    oci::{Descriptor, Digest, Hasher},
    store::{BlobWriter, Bucket, Store, StoreError},
};

/// A layer whose blob is in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Layer {
    /// The blob: what a manifest lists.
    pub descriptor: Descriptor,
    /// The digest of the uncompressed tar: what an image config lists under `rootfs.diff_ids`.
    pub diff_id: Digest,
    /// The length of the uncompressed tar in bytes.
    pub size: u64,
}

/// How to write a layer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'a> {
    /// How its blob is compressed.
    pub compression: Compression,
    /// Blobs of earlier layers that may share chunks with it: compressed bytes are then taken over. Only the time is
    /// different for it, never the layer.
    pub previous: &'a [Digest],
    /// The task whose progress counts the tar's bytes.
    pub progress: Option<&'a Running>,
}

/// A layer that was just written, and how much of it was new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The layer.
    pub layer: Layer,
    /// How many chunks it has.
    pub chunks: usize,
    /// How many of them were taken over from earlier layers.
    pub reused: usize,
}

/// Writes a layer into the store: entries in the order given, which must be sorted, parents before what they hold
/// and files before their hard links.
///
/// Blocks; to be called from a thread that may. Several layers may be written at once with one pool. Holds about
/// `threads + 4` chunks of 1 MiB, 2.5 MiB at the most, with their compressed forms.
///
/// # Errors
/// A file that cannot be read or is not what its [`Content`] promised; an entry that tar cannot express; a failure of
/// the store. Nothing is left in the store then.
pub fn write_layer<I>(
    store: &Store,
    pool: &Pool,
    entries: I,
    options: &Options<'_>,
) -> Result<Written, LayerError>
where
    I: IntoIterator,
    I::Item: Borrow<Entry>,
{
    let known = Known::load(store, options.previous, options.compression)?;
    let blob = store.blob_writer()?;
    let (writer, rows, diff_id, size) = thread::scope(|scope| {
        let ahead = pool.threads() + 2;
        let (hash_queue, to_hash) = sync_channel(2);
        let (write_queue, to_write) = sync_channel(ahead);
        let hasher = spawn(scope, "hash", move || hash(&to_hash))?;
        let stage = Stage { pool, known: &known, compression: options.compression };
        let writer = spawn(scope, "write", move || stage.write(blob, &to_write))?;

        let mut chunker = Chunker {
            stage,
            progress: options.progress,
            hash_queue,
            write_queue,
            bytes: Vec::new(),
            key: KeyHasher::new(),
        };
        let produced = chunker.archive(entries);
        drop(chunker); // Closes the queues, which ends the threads.
        let (diff_id, size) = join(hasher);
        let written = join(writer);
        // Where the writer has failed, that is why the producer was stopped.
        let (writer, rows) = written?;
        match produced {
            Ok(()) => Ok((writer, rows, diff_id, size)),
            Err(Stop::Failed(error)) => Err(error),
            Err(Stop::Closed) => Err(LayerError::Compress("a thread ended early".into())),
        }
    })?;

    let descriptor = writer.finish(options.compression.media_type())?;
    let reused = rows.iter().filter(|(_, reused)| *reused).count();
    let chunks = rows.len();
    if options.compression != Compression::None {
        let rows = rows.into_iter().map(|(row, _)| row).collect();
        let table = Table { compression: options.compression.id(), chunks: rows };
        store.put_record(Bucket::Chunks, &descriptor.digest, &table)?;
    }
    Ok(Written { layer: Layer { descriptor, diff_id, size }, chunks, reused })
}

/// Why the producer stopped.
enum Stop {
    Failed(LayerError),
    /// A thread behind it is gone and tells the reason itself.
    Closed,
}

impl<E: Into<LayerError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// A chunk on its way to the blob.
struct Pending {
    key: Digest,
    raw: Arc<Vec<u8>>,
    packed: Packed,
}

enum Packed {
    Promised(Promise),
    Known(Found),
    Plain,
}

/// What the producer and the writer share.
#[derive(Clone, Copy)]
struct Stage<'a> {
    pool: &'a Pool,
    known: &'a Known,
    compression: Compression,
}

/// Forms the tar and cuts it into chunks.
struct Chunker<'a> {
    stage: Stage<'a>,
    progress: Option<&'a Running>,
    hash_queue: SyncSender<Arc<Vec<u8>>>,
    write_queue: SyncSender<Pending>,
    bytes: Vec<u8>,
    key: KeyHasher,
}

impl Chunker<'_> {
    fn archive<I>(&mut self, entries: I) -> Result<(), Stop>
    where
        I: IntoIterator,
        I::Item: Borrow<Entry>,
    {
        let mut reader = Reader::default();
        for entry in entries {
            self.entry(entry.borrow(), &mut reader)?;
        }
        // The end of an archive: two blocks of zeros.
        self.literal(&[0; 2 * BLOCK]);
        self.cut()
    }

    fn entry(&mut self, entry: &Entry, reader: &mut Reader) -> Result<(), Stop> {
        let content = header::content(entry);
        let size = content.map_or(0, Content::size);
        if in_front_of(&entry.path, self.bytes.len(), size) {
            self.cut()?;
        }
        let start = self.bytes.len();
        header::encode(entry, &mut self.bytes)?;
        self.key.bytes(&self.bytes[start..]);
        let Some(content) = content else { return Ok(()) };

        let mut source = reader.open(content)?;
        let mut done = 0;
        loop {
            let piece = first_piece(size - done);
            let start = self.bytes.len();
            // A piece is at most 1.5 MiB.
            source.read(done, piece as usize, &mut self.bytes)?;
            self.key.part(content, done, &self.bytes[start..]);
            done += piece;
            if done == size {
                break;
            }
            self.cut()?;
        }
        source.verify()?;
        self.literal(&[0; BLOCK][..header::padding(size)]);
        Ok(())
    }

    fn literal(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.key.bytes(bytes);
    }

    /// Ends the chunk and sends it on its ways.
    fn cut(&mut self) -> Result<(), Stop> {
        let capacity = self.bytes.len();
        let raw = Arc::new(mem::replace(&mut self.bytes, Vec::with_capacity(capacity)));
        let key = mem::replace(&mut self.key, KeyHasher::new()).finish();
        let packed = if self.stage.compression == Compression::None {
            Packed::Plain
        } else if let Some(found) = self.stage.known.find(&key, &raw) {
            Packed::Known(found)
        } else {
            Packed::Promised(self.stage.pool.compress(Arc::clone(&raw), self.stage.compression))
        };
        let length = raw.len() as u64;
        self.hash_queue.send(Arc::clone(&raw)).map_err(|_| Stop::Closed)?;
        self.write_queue.send(Pending { key, raw, packed }).map_err(|_| Stop::Closed)?;
        if let Some(progress) = self.progress {
            progress.advance(length);
        }
        Ok(())
    }
}

/// The rows of a layer's table, each with whether it was taken over.
type Rows = Vec<(Row, bool)>;

impl Stage<'_> {
    fn write(
        &self,
        mut blob: BlobWriter,
        queue: &Receiver<Pending>,
    ) -> Result<(BlobWriter, Rows), LayerError> {
        let mut rows = Vec::new();
        for Pending { key, raw, packed } in queue {
            let (packed, row) = match packed {
                Packed::Plain => {
                    append(&mut blob, &raw)?;
                    continue;
                }
                Packed::Promised(promise) => (promise.wait()?, None),
                Packed::Known(found) => match self.known.read(&found) {
                    Some(packed) => (packed, Some(found.row)),
                    // The old blob is damaged or gone.
                    None => (self.pool.compress(Arc::clone(&raw), self.compression).wait()?, None),
                },
            };
            append(&mut blob, &packed)?;
            let reused = row.is_some();
            let row = row.unwrap_or_else(|| Row { key, raw: Sum::of(&raw), packed: Sum::of(&packed) });
            rows.push((row, reused));
        }
        Ok((blob, rows))
    }
}

fn append(blob: &mut BlobWriter, bytes: &[u8]) -> Result<(), LayerError> {
    blob.write_all(bytes).map_err(|error| StoreError::io("write a blob into", blob.path())(error).into())
}

fn hash(queue: &Receiver<Arc<Vec<u8>>>) -> (Digest, u64) {
    let mut hasher = Hasher::new();
    let mut size = 0;
    for chunk in queue {
        hasher.update(&chunk);
        size += chunk.len() as u64;
    }
    (hasher.finish(), size)
}

fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, LayerError> {
    thread::Builder::new().name(name.into()).spawn_scoped(scope, work).map_err(LayerError::Thread)
}

fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
}
