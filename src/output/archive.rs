//! Tars of blobs and documents, the same bytes each time.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use super::OutputError;
use crate::{oci::Digest, store::Store};

/// A tar that is being written.
pub(super) struct Archive<W: Write> {
    builder: tar::Builder<BufWriter<W>>,
    dest: PathBuf,
}

impl<W: Write> Archive<W> {
    /// Begins a tar; errors call it `dest`.
    pub(super) fn new(out: W, dest: &Path) -> Self {
        let out = BufWriter::with_capacity(1 << 20, out);
        Self { builder: tar::Builder::new(out), dest: dest.to_owned() }
    }

    pub(super) fn file(&mut self, path: &str, bytes: &[u8]) -> Result<(), OutputError> {
        self.append(path, bytes.len() as u64, bytes)
    }

    /// Adds blobs of the store under `blobs/<algorithm>/<hex>`.
    pub(super) fn blobs(&mut self, store: &Store, digests: &BTreeSet<Digest>) -> Result<(), OutputError> {
        for digest in digests {
            let path = store.blob_path(digest);
            let size = fs::metadata(&path).map_err(OutputError::io("read", &path))?.len();
            self.append(&format!("blobs/{}/{}", digest.algorithm(), digest.hex()), size, io::empty())?;
            let out = self.builder.get_mut();
            store.copy_blob(digest, out).map_err(OutputError::copy(&self.dest))?;
            let padding = (size.next_multiple_of(512) - size) as usize;
            out.write_all(&[0; 512][..padding]).map_err(OutputError::io("write", &self.dest))?;
        }
        Ok(())
    }

    /// Ends the tar and gives back what it was written to.
    pub(super) fn finish(self) -> Result<W, OutputError> {
        let buffered = self.builder.into_inner().map_err(OutputError::io("write", &self.dest))?;
        buffered.into_inner().map_err(|error| OutputError::io("write", &self.dest)(error.into_error()))
    }

    fn append(&mut self, path: &str, size: u64, content: impl Read) -> Result<(), OutputError> {
        let mut header = tar::Header::new_ustar();
        let set = |header: &mut tar::Header| -> io::Result<()> {
            header.set_path(path)?;
            header.set_size(size);
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            header.set_entry_type(tar::EntryType::Regular);
            header.set_cksum();
            Ok(())
        };
        set(&mut header)
            .and_then(|()| self.builder.append(&header, content))
            .map_err(OutputError::io("write", &self.dest))
    }
}
