//! The threads that compress, shared by all layers that are being written.

use std::{
    fmt, io,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, Sender, SyncSender},
    },
    thread::{self, JoinHandle},
};

use super::{Compression, LayerError, compression::Codec};

/// A pool of compressing threads. One serves the whole process, however many layers are written at once; cheap to
/// clone. The threads end when the last clone is dropped.
#[derive(Clone)]
pub struct Pool {
    inner: Arc<Inner>,
}

struct Inner {
    jobs: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

struct Job {
    raw: Arc<Vec<u8>>,
    compression: Compression,
    reply: SyncSender<Result<Vec<u8>, LayerError>>,
}

/// A chunk that is being compressed.
pub(super) struct Promise(Receiver<Result<Vec<u8>, LayerError>>);

impl Pool {
    /// A pool of this many threads.
    pub fn new(threads: NonZeroUsize) -> Result<Self, LayerError> {
        let (jobs, queue) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        let threads = (0..threads.get())
            .map(|number| {
                let queue = Arc::clone(&queue);
                thread::Builder::new().name(format!("compress-{number}")).spawn(move || work(&queue))
            })
            .collect::<io::Result<Vec<_>>>()
            .map_err(LayerError::Thread)?;
        Ok(Self { inner: Arc::new(Inner { jobs: Some(jobs), threads }) })
    }

    /// A pool with a thread for each core that this process may use.
    pub fn sized_to_cores() -> Result<Self, LayerError> {
        Self::new(thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }

    /// How many threads it has.
    pub fn threads(&self) -> usize {
        self.inner.threads.len()
    }

    /// Hands a chunk to the threads.
    pub(super) fn compress(&self, raw: Arc<Vec<u8>>, compression: Compression) -> Promise {
        let (reply, promise) = mpsc::sync_channel(1);
        if let Some(jobs) = &self.inner.jobs {
            // Fails only when all threads are dead; then the promise is broken, which its owner is told.
            let _ = jobs.send(Job { raw, compression, reply });
        }
        Promise(promise)
    }
}

impl Promise {
    /// Waits for the compressed bytes.
    pub(super) fn wait(self) -> Result<Vec<u8>, LayerError> {
        self.0.recv().unwrap_or_else(|_| Err(LayerError::Compress("a compressing thread ended early".into())))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has broken its promise already: that is where it was reported.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({} threads)", self.threads())
    }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    let mut codec = Codec::default();
    loop {
        // Only ever held to take one job, so a poisoned lock guards nothing broken.
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { raw, compression, reply }) = job else { return };
        let packed = codec.compress(compression, &raw);
        drop(raw);
        // Nobody waits when the layer failed meanwhile.
        let _ = reply.send(packed);
    }
}
