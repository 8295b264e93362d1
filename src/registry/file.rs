//! Files from the web, kept in the store.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Client, FileVersion, Result};
use crate::{
    oci::Digest,
    store::{Bucket, Store},
};

/// A file of the web that is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebFile {
    /// Where it is: a blob of the store, which nobody changes.
    pub path: PathBuf,
    /// The SHA-256 digest of its content.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last changed, as its server tells: seconds since the epoch.
    pub modified: Option<i64>,
}

/// What a URL gave when it was last asked.
#[derive(Debug, Serialize, Deserialize)]
struct Seen {
    digest: Digest,
    size: u64,
    version: FileVersion,
}

impl Seen {
    /// The file, if the store still has it.
    fn kept(&self, store: &Store) -> Option<WebFile> {
        let whole = store.blob_size(&self.digest) == Some(self.size);
        let path = store.blob_path(&self.digest);
        let modified = self.version.last_modified.as_deref().and_then(seconds);
        whole.then_some(WebFile { path, digest: self.digest, size: self.size, modified })
    }
}

impl Client {
    /// The file at a URL, as [`Client::download`] gets it, and kept in the store. If the store has it from before, its
    /// server is asked only whether it has changed; if the store has a file of the digest `expected`, nobody is asked.
    /// Whether what came has the digest that was expected is for the caller to tell.
    ///
    /// Two calls for one URL at a time download it once.
    pub async fn fetch_file(&self, url: &str, expected: Option<&Digest>, store: &Store) -> Result<WebFile> {
        let key = Digest::of(url.as_bytes());
        let _flight = self.inner.fetching.join(key).await;
        let seen = store.record::<Seen>(Bucket::Files, &key)?;
        let kept = seen.as_ref().and_then(|seen| seen.kept(store));
        if let (Some(kept), Some(expected)) = (&kept, expected)
            && kept.digest == *expected
        {
            return Ok(kept.clone());
        }
        if let Some(expected @ Digest::Sha256(_)) = expected
            && let Some(size) = store.blob_size(expected)
        {
            let path = store.blob_path(expected);
            return Ok(WebFile { path, digest: *expected, size, modified: None });
        }
        let version = match (&kept, &seen) {
            (Some(_), Some(seen)) => seen.version.clone(),
            _ => FileVersion::default(),
        };
        let changed = self.download_changed(url, &version, store).await?;
        let downloaded = match (changed, kept) {
            (None, Some(kept)) => return Ok(kept),
            (Some(downloaded), _) => downloaded,
            // Not asked for a change, and yet told that there is none: `download` has the words for it.
            (None, None) => self.download(url, store).await?,
        };
        let path = store.blob_path(&downloaded.digest);
        let (digest, size) = (downloaded.digest, downloaded.size);
        // The same file from before stays: somebody may be reading it, and would take another inode for a change.
        if store.blob_size(&digest) != Some(size) {
            downloaded.file.keep(&path, false)?;
        }
        let seen = Seen { digest, size, version: downloaded.version };
        store.put_record(Bucket::Files, &key, &seen)?;
        let modified = seen.version.last_modified.as_deref().and_then(seconds);
        Ok(WebFile { path, digest, size, modified })
    }
}

/// An HTTP date (RFC 9110 section 5.6.7) as seconds since the epoch.
fn seconds(date: &str) -> Option<i64> {
    Some(jiff::fmt::rfc2822::parse(date.trim()).ok()?.timestamp().as_second())
}
