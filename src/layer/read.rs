//! Reading the bytes of files, and making sure that they are what was promised.
//!
//! A file of a context is known by its stat. A range of a tar in the store is known by its digest: nobody but imgbuild
//! writes there, but a tar is not synced when it is made, and what a power failure or a bad disk leaves may have the
//! right size. So its bytes are hashed as they are read, and a tar that is damaged is removed: it can be made again.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};

use super::{Content, FileStat, LayerError};
use crate::oci::{Digest, Hasher};

/// Opens contents and reads them piece by piece. Keeps the last range's file open: the ranges of a layer mostly come
/// from one file.
#[derive(Default)]
pub(super) struct Reader {
    kept: Option<(Arc<Path>, Arc<File>)>,
}

/// A content that is open.
pub(super) enum Source<'a> {
    Bytes(&'a [u8]),
    File { file: File, path: &'a PathBuf, stat: &'a FileStat },
    Range { file: Arc<File>, path: &'a Path, offset: u64, end: u64, hash: Option<Box<(Hasher, Digest)>> },
}

impl Reader {
    pub(super) fn open<'a>(&mut self, content: &'a Content) -> Result<Source<'a>, LayerError> {
        match content {
            Content::Bytes(bytes) => Ok(Source::Bytes(bytes)),
            Content::File { path, stat, .. } => Ok(Source::File { file: open_file(path, stat)?, path, stat }),
            Content::Range { file: path, offset, size, digest } => {
                let file = match &self.kept {
                    Some((kept, file)) if kept == path => Arc::clone(file),
                    _ => {
                        let file = File::open(path)
                            .map_err(|source| LayerError::Open { path: path.to_path_buf(), source })?;
                        let file = Arc::new(file);
                        self.kept = Some((Arc::clone(path), Arc::clone(&file)));
                        file
                    }
                };
                let hash = digest.map(|digest| Box::new((digest.hasher(), digest)));
                Ok(Source::Range { file, path, offset: *offset, end: offset.saturating_add(*size), hash })
            }
        }
    }
}

impl Source<'_> {
    /// Appends `length` bytes of the content, from `start` on, to `out`. Pieces are read in order.
    pub(super) fn read(&mut self, start: u64, length: usize, out: &mut Vec<u8>) -> Result<(), LayerError> {
        match self {
            Self::Bytes(bytes) => {
                // Bounded by the length of a slice in memory.
                out.extend_from_slice(&bytes[start as usize..start as usize + length]);
                Ok(())
            }
            Self::File { file, path, .. } => {
                let full = fill(file, start, length, out)
                    .map_err(|source| LayerError::Read { path: path.to_path_buf(), source })?;
                if full { Ok(()) } else { Err(LayerError::Changed { path: path.to_path_buf() }) }
            }
            Self::Range { file, path, offset, end, hash } => {
                let begin = out.len();
                let full = fill(file, offset.saturating_add(start), length, out)
                    .map_err(|source| LayerError::Read { path: path.to_path_buf(), source })?;
                if !full {
                    remove(file, path);
                    return Err(LayerError::Truncated { path: path.to_path_buf(), end: *end });
                }
                if let Some(hash) = hash {
                    hash.0.update(&out[begin..]);
                }
                Ok(())
            }
        }
    }

    /// Makes sure that the content is what it was when it was looked at. To be called after the last read.
    pub(super) fn verify(self) -> Result<(), LayerError> {
        match self {
            Self::File { file, path, stat } => verify_file(&file, path, stat),
            Self::Range { file, path, offset, hash: Some(hash), .. } => {
                let (hasher, expected) = *hash;
                let found = hasher.finish();
                if found == expected {
                    return Ok(());
                }
                remove(&file, path);
                let (expected, found) = (Box::new(expected), Box::new(found));
                Err(LayerError::Damaged { path: path.to_path_buf(), offset, expected, found })
            }
            Self::Bytes(_) | Self::Range { .. } => Ok(()),
        }
    }
}

/// Opens a file of a context, which must still be the one that had this stat. Should a link or a pipe have taken its
/// place, that is neither followed nor waited for.
///
/// # Errors
/// [`LayerError::Changed`] where it is another file by now. What changes later is for [`verify_file`] to find.
pub fn open_file(path: &Path, stat: &FileStat) -> Result<File, LayerError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::LOOP) => return Err(LayerError::Changed { path: path.to_owned() }),
        Err(error) => return Err(LayerError::Open { path: path.to_owned(), source: error.into() }),
    };
    verify_file(&file, path, stat)?;
    Ok(file)
}

/// Makes sure that an open file still has the stat that it had when it was looked at.
pub fn verify_file(file: &File, path: &Path, stat: &FileStat) -> Result<(), LayerError> {
    let now = file.metadata().map_err(|source| LayerError::Read { path: path.to_owned(), source })?;
    if FileStat::from(&now) == *stat { Ok(()) } else { Err(LayerError::Changed { path: path.to_owned() }) }
}

/// Removes a damaged file of the store, unless another process has put a new one in its place by now. A failure leaves
/// things as they are: the next build finds the damage again.
fn remove(damaged: &File, path: &Path) {
    let same = |there: &fs::Metadata| {
        damaged.metadata().is_ok_and(|open| (open.dev(), open.ino()) == (there.dev(), there.ino()))
    };
    if fs::symlink_metadata(path).is_ok_and(|there| same(&there)) {
        let _ = fs::remove_file(path);
    }
}

/// A range of a file of the store as a stream, verified like all ranges: damage is an error at the end of it.
pub(super) struct Verified<'a> {
    source: Option<Source<'a>>,
    done: u64,
    size: u64,
    piece: Vec<u8>,
}

impl<'a> Verified<'a> {
    pub(super) fn open(content: &'a Content) -> Result<Self, LayerError> {
        let source = Some(Reader::default().open(content)?);
        Ok(Self { source, done: 0, size: content.size(), piece: Vec::new() })
    }
}

impl Read for Verified<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(source) = &mut self.source else { return Ok(0) };
        let most =
            usize::try_from(self.size - self.done).unwrap_or(usize::MAX).min(buffer.len()).min(256 << 10);
        self.piece.clear();
        source.read(self.done, most, &mut self.piece).map_err(io::Error::other)?;
        buffer[..most].copy_from_slice(&self.piece);
        self.done += most as u64;
        if self.done == self.size
            && let Some(source) = self.source.take()
        {
            source.verify().map_err(io::Error::other)?;
        }
        Ok(most)
    }
}

/// Appends `length` bytes from `offset` on. `false`: the file ends before.
fn fill(file: &File, offset: u64, length: usize, out: &mut Vec<u8>) -> io::Result<bool> {
    let begin = out.len();
    out.resize(begin + length, 0);
    match file.read_exact_at(&mut out[begin..], offset) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
