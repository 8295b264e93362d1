//! Fetching blobs into the store.

use std::{io::Write, sync::Arc};

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::{Client, RegistryError, Result};
use crate::{
    event::{Outcome, Task},
    oci::{Descriptor, Repository},
    store::{Store, StoreError},
};

/// Chunks between the network and the disk.
const QUEUE: usize = 16;

/// Bytes between two signs of progress.
const STEP: u64 = 512 << 10;

impl Client {
    /// Fetches a blob into the store, verified, unless it is there. Two calls for one digest fetch it once. Emits
    /// [`Task::Fetch`] if something is fetched.
    pub async fn fetch_blob(&self, repository: &Repository, blob: &Descriptor, store: &Store) -> Result<()> {
        let _flight = self.inner.fetching.join(blob.digest).await;
        if store.has_blob(blob) {
            return Ok(());
        }
        let kind = Task::Fetch { from: repository.to_string(), digest: Some(blob.digest) };
        let task = Arc::new(self.sink.start(kind, Some(blob.size)));
        let mut stream = self.read_blob(repository, blob, Some(task.clone())).await?;
        let action = format!("fetch the blob {} of {repository}", blob.digest);

        let mut writer = store.blob_writer()?.expecting(&blob.digest);
        let promised = blob.clone();
        let what = format!("the blob {} of {repository}", blob.digest);
        let (sender, mut chunks) = mpsc::channel::<Bytes>(QUEUE);
        // Hashing and writing are for a thread of their own: the network's threads stay free.
        let doing = action.clone();
        let writing = tokio::task::spawn_blocking(move || -> Result<()> {
            while let Some(chunk) = chunks.blocking_recv() {
                writer.write_all(&chunk).map_err(StoreError::io("write a blob to", "the store"))?;
            }
            if writer.size() < promised.size {
                // The network failed; its error is the one to tell.
                return Ok(());
            }
            writer.finish_as(&promised, &what).map_err(|error| match error {
                StoreError::Mismatch { expected, found, .. } => {
                    RegistryError::mismatch(doing, *expected, *found)
                }
                error => error.into(),
            })
        });
        let (mut done, mut shown) = (0, 0);
        let mut failure = None;
        while let Some(next) = stream.next().await {
            match next {
                Ok(chunk) => {
                    done += chunk.len() as u64;
                    if sender.send(chunk).await.is_err() {
                        break;
                    }
                    if done - shown >= STEP || done == blob.size {
                        shown = done;
                        task.set(done);
                    }
                }
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        drop((sender, stream));
        let written = writing.await.map_err(|_| RegistryError::Worker { action: action.clone() })?;
        if let Some(failure) = failure {
            return Err(failure);
        }
        written?;
        // The stream, which had the other handle, is gone.
        if let Some(task) = Arc::into_inner(task) {
            task.finish(Outcome::Done, Some((blob.digest, blob.size)));
        }
        Ok(())
    }
}
