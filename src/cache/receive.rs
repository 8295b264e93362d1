//! Blobs that come from the network, on their way into the store.

use std::{io::Write, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, stream::BoxStream};
use tokio::sync::mpsc;

use super::{CacheError, Result};
use crate::{
    oci::Descriptor,
    store::{Store, StoreError},
};

/// Chunks between the network and the disk.
const QUEUE: usize = 16;

/// Writes a blob into the store and verifies it; `what` names it in errors, and `idle` is how long the network may be
/// silent. A stream that is longer than promised is not read to its end.
pub(super) async fn into_store(
    mut chunks: BoxStream<'_, Result<Bytes>>,
    blob: &Descriptor,
    store: &Store,
    what: String,
    idle: Duration,
) -> Result<()> {
    if store.has_blob(blob) {
        return Ok(());
    }
    let mut writer = store.blob_writer()?.expecting(&blob.digest);
    let (promised, name) = (blob.clone(), what.clone());
    let (sender, mut received) = mpsc::channel::<Option<Bytes>>(QUEUE);
    // Hashing and writing are for a thread of their own: the network's threads stay free.
    let writing = tokio::task::spawn_blocking(move || -> Result<()> {
        // Without the end, the network failed, and its error is the one to tell.
        while let Some(chunk) = received.blocking_recv() {
            match chunk {
                Some(chunk) => {
                    writer.write_all(&chunk).map_err(StoreError::io("write a blob to", "the store"))?;
                }
                None => return Ok(writer.finish_as(&promised, &name)?),
            }
        }
        Ok(())
    });
    let (mut size, mut failure) = (0, None);
    loop {
        let chunk = match tokio::time::timeout(idle, chunks.next()).await {
            Ok(chunk) => chunk.transpose(),
            Err(_) => Err(CacheError::Late { action: format!("fetch {what}"), seconds: idle.as_secs() }),
        };
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) => {
                failure = Some(error);
                break;
            }
        };
        size += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        let last = chunk.is_none();
        if sender.send(chunk).await.is_err() || last {
            break;
        }
        if size > blob.size {
            // Enough to see that it is another.
            let _ = sender.send(None).await;
            break;
        }
    }
    drop(sender);
    let written = writing.await.map_err(|_| CacheError::Worker { action: "write a blob" })?;
    failure.map_or(written, Err)
}
