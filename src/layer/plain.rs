//! Bytes as they are, uncompressed, to wherever: of contents, and of whole tars that are no layers.

use std::{borrow::Borrow, fmt, io::Write};

use super::{Content, Entry, LayerError, header, read::Reader};

/// How much is read of a file at a time: what stays in the caches of a core.
const PIECE: usize = 256 << 10;

/// Copies contents, and makes sure that they are what was promised. Keeps the file of the last range open and one buffer:
/// to be used for many contents.
#[derive(Default)]
pub struct Copier {
    reader: Reader,
    piece: Vec<u8>,
}

impl Copier {
    /// Writes all bytes of a content.
    ///
    /// # Errors
    /// A file that cannot be read or is not what its [`Content`] promised; a failure of `out`, as [`LayerError::Out`].
    pub fn copy(&mut self, content: &Content, out: &mut dyn Write) -> Result<(), LayerError> {
        let (mut source, size) = (self.reader.open(content)?, content.size());
        let mut done = 0;
        while done < size {
            let piece = usize::try_from(size - done).unwrap_or(PIECE).min(PIECE);
            self.piece.clear();
            source.read(done, piece, &mut self.piece)?;
            out.write_all(&self.piece).map_err(LayerError::Out)?;
            done += piece as u64;
        }
        source.verify()
    }
}

impl fmt::Debug for Copier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Copier(..)")
    }
}

/// Writes entries as a tar, in the order given, which must be as for [`super::write_layer`].
///
/// # Errors
/// A file that cannot be read or is not what its [`Content`] promised; an entry that tar cannot express; a failure of
/// `out`, as [`LayerError::Out`].
pub fn write_tar<I>(entries: I, out: &mut dyn Write) -> Result<(), LayerError>
where
    I: IntoIterator,
    I::Item: Borrow<Entry>,
{
    let (mut copier, mut bytes) = (Copier::default(), Vec::new());
    for entry in entries {
        let entry = entry.borrow();
        bytes.clear();
        header::encode(entry, &mut bytes)?;
        out.write_all(&bytes).map_err(LayerError::Out)?;
        let Some(content) = header::content(entry) else { continue };
        copier.copy(content, out)?;
        out.write_all(&[0; 512][..header::padding(content.size())]).map_err(LayerError::Out)?;
    }
    // The end of an archive: two blocks of zeros.
    out.write_all(&[0; 1024]).map_err(LayerError::Out)
}
