//! Archives as inputs: tar in any compression, and zip.

use std::{
    fs::File,
    io::{self, Cursor, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    error::RootfsError,
    index::TarIndex,
    materialise::{load, read_tar},
    tar_reader::{checksums, field},
    zip,
};
use crate::{
    layer::{Decoder, Encoding},
    oci::{Digest, Hasher},
    store::Store,
};

/// An archive that is in the store as an uncompressed tar.
#[derive(Debug, Clone)]
pub struct Archive {
    /// SHA-256 of the archive as it came: the key of its tar.
    pub key: Digest,
    /// The uncompressed tar.
    pub tar: PathBuf,
    /// What it holds.
    pub index: Arc<TarIndex>,
}

/// Takes in the archive at `path`. `what` names it in errors.
pub fn ingest_file(store: &Store, path: &Path, what: &str) -> Result<Archive, RootfsError> {
    let file = File::open(path).map_err(RootfsError::io("open", path))?;
    ingest(store, file, what)
}

/// Takes in an archive: its kind is told by its first bytes, never by a name. An archive that was taken in before is
/// only hashed.
///
/// # Errors
/// [`RootfsError::NotAnArchive`] says what the content looks like; entries that lead out of the root, and more than
/// 64 GiB in all files together, are refused.
pub fn ingest(store: &Store, mut archive: impl Read + Seek, what: &str) -> Result<Archive, RootfsError> {
    let mut hasher = Hasher::new();
    io::copy(&mut archive, &mut Hashing(&mut hasher))
        .map_err(|error| RootfsError::tar(what)(error.into()))?;
    ingest_as(store, archive, hasher.finish(), what)
}

/// Takes in an archive whose SHA-256 was found to be `key`. It is hashed once more while it is read: what is kept under
/// the key has this digest, whatever has happened to the archive since.
///
/// # Errors
/// As [`ingest`]; [`RootfsError::Changed`] where the archive is another one by now.
pub fn ingest_as(
    store: &Store,
    mut archive: impl Read + Seek,
    key: Digest,
    what: &str,
) -> Result<Archive, RootfsError> {
    let failed = |error: io::Error| RootfsError::tar(what)(error.into());
    let done = |index| Archive { key, tar: store.tar_path(&key), index };
    if let Some(index) = load(store, &key)? {
        return Ok(done(index));
    }
    archive.seek(SeekFrom::Start(0)).map_err(failed)?;
    let mut archive = Watched { stream: archive, hasher: key.hasher() };
    let mut head = Vec::new();
    archive.by_ref().take(4).read_to_end(&mut head).map_err(failed)?;
    if matches!(head.as_slice(), b"PK\x03\x04" | b"PK\x05\x06") {
        // A zip is read here and there: from a copy that nobody else has.
        let mut copy = store.temporary()?;
        let mut stream = Cursor::new(head).chain(&mut archive);
        io::copy(&mut stream, copy.file()).map_err(failed)?;
        archive.check(&key, what)?;
        let mut temporary = store.temporary()?;
        let mut out = io::BufWriter::with_capacity(1 << 20, temporary.file());
        zip::to_tar(copy.file(), &mut out).map_err(RootfsError::tar(what))?;
        out.flush().map_err(failed)?;
        drop(out);
        temporary.file().seek(SeekFrom::Start(0)).map_err(failed)?;
        let plain = io::BufReader::with_capacity(128 << 10, temporary.file());
        return read_tar(store, &key, what, plain)?.keep(store, &key).map(done);
    }
    let mut plain = Decoder::new(Cursor::new(head).chain(&mut archive)).map_err(failed)?;
    let mut block = Vec::new();
    plain.by_ref().take(512).read_to_end(&mut block).map_err(failed)?;
    if !is_header(&block) {
        let found = describe(&block, plain.encoding());
        return Err(RootfsError::NotAnArchive { what: what.into(), found });
    }
    let plain = Cursor::new(block).chain(plain);
    let made = read_tar(store, &key, what, plain)?;
    archive.check(&key, what)?;
    made.keep(store, &key).map(done)
}

/// An archive that is hashed as it is read.
struct Watched<R> {
    stream: R,
    hasher: Hasher,
}

impl<R: Read> Watched<R> {
    /// Reads what is left, which counts too, and makes sure that all of it has this digest.
    fn check(mut self, key: &Digest, what: &str) -> Result<(), RootfsError> {
        io::copy(&mut self, &mut io::sink()).map_err(|error| RootfsError::tar(what)(error.into()))?;
        if self.hasher.finish() == *key {
            return Ok(());
        }
        Err(RootfsError::Changed { what: what.into() })
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

struct Hashing<'a>(&'a mut Hasher);

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a tar that holds something begins here, compressed or not. What cannot be read is none.
pub fn is_tar(stream: impl Read) -> bool {
    let mut block = Vec::with_capacity(512);
    let read = Decoder::new(stream).and_then(|plain| plain.take(512).read_to_end(&mut block));
    read.is_ok() && is_header(&block) && block.iter().any(|b| *b != 0)
}

fn is_header(block: &[u8]) -> bool {
    // An empty tar is nothing but zeros.
    block.len() == 512
        && (block.iter().all(|b| *b == 0)
            || field(&block[148..156])
                .is_some_and(|sum| sum == checksums(block).0 || sum == checksums(block).1))
}

fn describe(head: &[u8], encoding: Encoding) -> String {
    let content = match head {
        [] => "an empty file",
        [0x7f, b'E', b'L', b'F', ..] => "an ELF executable",
        [b'7', b'z', 0xbc, 0xaf, ..] => "a 7z archive, which is not supported",
        [b'R', b'a', b'r', b'!', ..] => "a RAR archive, which is not supported",
        [b'!', b'<', b'a', b'r', b'c', b'h', b'>', ..] => {
            "an ar archive or a Debian package, which is not supported"
        }
        [0xed, 0xab, 0xee, 0xdb, ..] => "an RPM package, which is not supported",
        [b'#', b'!', ..] => "a script",
        _ if head.trim_ascii_start().first() == Some(&b'<') => "an HTML or XML document",
        _ if head.trim_ascii_start().first() == Some(&b'{') => "a JSON document",
        _ if head.iter().all(|b| !b.is_ascii_control() || b.is_ascii_whitespace()) => "text",
        _ => "binary data of no known kind",
    };
    match encoding {
        Encoding::None => content.to_owned(),
        other => format!("{content}, compressed with {}", format!("{other:?}").to_lowercase()),
    }
}
