//! Tars that are no layers: the same bytes, uncompressed, to wherever.

use std::{borrow::Borrow, io::Write};

use super::{Content, Entry, LayerError, header, read::Reader};

/// How much is read of a file at a time.
const PIECE: usize = 1 << 20;

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
    let (mut reader, mut bytes) = (Reader::default(), Vec::with_capacity(PIECE));
    for entry in entries {
        let entry = entry.borrow();
        bytes.clear();
        header::encode(entry, &mut bytes)?;
        out.write_all(&bytes).map_err(LayerError::Out)?;
        let Some(content) = header::content(entry) else { continue };
        let (mut source, size) = (reader.open(content)?, Content::size(content));
        let mut done = 0;
        while done < size {
            let piece = usize::try_from(size - done).unwrap_or(PIECE).min(PIECE);
            bytes.clear();
            source.read(done, piece, &mut bytes)?;
            out.write_all(&bytes).map_err(LayerError::Out)?;
            done += piece as u64;
        }
        source.verify()?;
        out.write_all(&[0; 512][..header::padding(size)]).map_err(LayerError::Out)?;
    }
    // The end of an archive: two blocks of zeros.
    out.write_all(&[0; 1024]).map_err(LayerError::Out)
}
