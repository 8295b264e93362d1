//! Reads a tar as container runtimes do: one header after the other, with the extensions of GNU and PAX applied.
//!
//! The `tar` crate decodes single headers; the walk is our own, since the crate's reads extension records whole
//! whatever their size, leaves PAX times out and does not tell where sparse parts lie. Global headers (`g`) are
//! skipped, as the runtimes do.

use std::io::{self, Read};

use super::{
    error::TarError,
    pax::Pax,
    sparse::{self, Segment},
};

const BLOCK: u64 = 512;
/// The most bytes one extension record may have.
const MAX_METADATA: u64 = 1 << 20;

/// What kind of thing a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    File,
    Hardlink,
    Symlink,
    CharDevice,
    BlockDevice,
    Directory,
    Fifo,
}

/// One member of a tar, with its extensions applied.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) path: Vec<u8>,
    pub(super) kind: Type,
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) mtime: i64,
    pub(super) link: Vec<u8>,
    pub(super) device: (u32, u32),
    pub(super) pax: Pax,
    /// Where the content begins in the tar.
    pub(super) offset: u64,
    /// How many bytes the file has.
    pub(super) size: u64,
    /// Where the parts of a sparse file lie; `None` for content in one piece.
    pub(super) sparse: Option<Vec<Segment>>,
}

/// A tar being read. After [`TarReader::next`] gave a member, its stored content is read from the reader itself
/// (`Read`) up to its end; what is left of it is skipped.
#[derive(Debug)]
pub(super) struct TarReader<R> {
    inner: R,
    position: u64,
    /// Content of the current member that was not read yet.
    remaining: u64,
    padding: u64,
}

impl<R: Read> TarReader<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, position: 0, remaining: 0, padding: 0 }
    }

    /// The stream, positioned behind the end-of-archive mark.
    pub(super) fn into_inner(self) -> R {
        self.inner
    }

    /// How many bytes of the current member's stored content are still to be read.
    pub(super) fn remaining(&self) -> u64 {
        self.remaining
    }

    /// The next member; `None` at the end of the archive.
    pub(super) fn next(&mut self) -> Result<Option<Member>, TarError> {
        let (mut long_name, mut long_link, mut pax) = (None, None, None);
        loop {
            self.skip_rest()?;
            let at = self.position;
            let Some(block) = self.header()? else {
                if long_name.is_some() || long_link.is_some() || pax.is_some() {
                    return Err(TarError::Truncated("a header with extensions".into()));
                }
                return Ok(None);
            };
            let damaged = |why: String| TarError::Header { offset: at, why };
            let header = tar::Header::from_byte_slice(&block);
            let size = field(&block[124..136]).ok_or_else(|| damaged("its size is no number".into()))?;
            let size = u64::try_from(size).map_err(|_| damaged("its size is negative or huge".into()))?;
            match block[156] {
                b'L' => long_name = Some(self.metadata(at, size)?),
                b'K' => long_link = Some(self.metadata(at, size)?),
                b'x' | b'X' => {
                    pax = Some(Pax::parse(&self.metadata(at, size)?).map_err(damaged)?);
                }
                // A global header or a volume's name.
                b'g' | b'V' => self.begin_content(at, size)?,
                flag => {
                    let pax: Pax = pax.unwrap_or_default();
                    let path = pax
                        .path
                        .clone()
                        .or(long_name.map(text))
                        .unwrap_or_else(|| header.path_bytes().into());
                    let kind = match flag {
                        // Archives older than POSIX know a directory by its slash only.
                        0 if path.ends_with(b"/") => Type::Directory,
                        0 | b'0' | b'7' | b'S' => Type::File,
                        b'1' => Type::Hardlink,
                        b'2' => Type::Symlink,
                        b'3' => Type::CharDevice,
                        b'4' => Type::BlockDevice,
                        b'5' => Type::Directory,
                        b'6' => Type::Fifo,
                        other => {
                            return Err(damaged(format!("entries of type {:?} are unknown", other as char)));
                        }
                    };
                    let link = pax.linkpath.clone().or(long_link.map(text));
                    let link = link.unwrap_or_else(|| header.link_name_bytes().unwrap_or_default().into());
                    return self.member(at, &block, pax, (path, kind, link, size)).map(Some);
                }
            }
        }
    }

    fn member(
        &mut self,
        at: u64,
        block: &[u8; 512],
        pax: Pax,
        (path, kind, link, size): (Vec<u8>, Type, Vec<u8>, u64),
    ) -> Result<Member, TarError> {
        let damaged = |why: &str| TarError::Header { offset: at, why: why.into() };
        let id = |range: std::ops::Range<usize>, from_pax: Option<u64>, why: &str| match from_pax {
            Some(id) => Ok(id),
            None => field(&block[range]).and_then(|id| u64::try_from(id).ok()).ok_or_else(|| damaged(why)),
        };
        let mode = field(&block[100..108]).ok_or_else(|| damaged("its mode is no number"))?;
        let mtime = match pax.mtime {
            Some(seconds) => seconds,
            None => field(&block[136..148])
                .and_then(|time| i64::try_from(time).ok())
                .ok_or_else(|| damaged("its time is no number"))?,
        };
        let mut device = (0, 0);
        if matches!(kind, Type::CharDevice | Type::BlockDevice) {
            let number = |range: std::ops::Range<usize>| {
                field(&block[range])
                    .and_then(|n| u32::try_from(n).ok())
                    .ok_or_else(|| damaged("its device is no number"))
            };
            device = (number(329..337)?, number(337..345)?);
        }
        let mut member = Member {
            kind,
            // The bits above the permissions repeat the type.
            mode: (mode & 0o7777) as u32,
            uid: id(108..116, pax.uid, "its uid is no number")?,
            gid: id(116..124, pax.gid, "its gid is no number")?,
            mtime,
            link,
            device,
            offset: 0,
            size: 0,
            sparse: None,
            path,
            pax,
        };
        // What has no content has none whatever its size says, as in Go's reader.
        if kind == Type::File {
            self.begin_content(at, member.pax.size.unwrap_or(size))?;
            member.size = self.remaining;
            let map = if block[156] == b'S' {
                Some(sparse::old_gnu(self, at, block)?)
            } else {
                sparse::pax(self, at, &mut member)?
            };
            member.offset = self.position;
            if let Some(map) = map {
                member.size = map.size;
                member.sparse = Some(map.segments);
            }
        }
        Ok(member)
    }

    fn begin_content(&mut self, at: u64, size: u64) -> Result<(), TarError> {
        if size > i64::MAX as u64 - BLOCK
            || self.position.checked_add(size).is_none_or(|end| end > i64::MAX as u64)
        {
            return Err(TarError::Header {
                offset: at,
                why: format!("its size of {size} bytes is impossible"),
            });
        }
        self.remaining = size;
        self.padding = size.next_multiple_of(BLOCK) - size;
        Ok(())
    }

    fn metadata(&mut self, at: u64, size: u64) -> Result<Vec<u8>, TarError> {
        if size > MAX_METADATA {
            return Err(TarError::Limit(format!(
                "the extension header at byte {at} has {size} bytes; the most is {MAX_METADATA}"
            )));
        }
        self.begin_content(at, size)?;
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads one more block of the current header, which counts neither as content nor as padding.
    pub(super) fn extra_block(&mut self) -> Result<[u8; 512], TarError> {
        let mut block = [0; 512];
        self.inner.read_exact(&mut block).map_err(|error| truncated(error, "a sparse map"))?;
        self.position += BLOCK;
        Ok(block)
    }

    fn header(&mut self) -> Result<Option<[u8; 512]>, TarError> {
        let at = self.position;
        let mut block = [0; 512];
        if !self.block(&mut block)? {
            return Ok(None);
        }
        if block.iter().all(|b| *b == 0) {
            // One zero block is a mistake of some writers at the very end; data behind it is not.
            if self.block(&mut block)? && block.iter().any(|b| *b != 0) {
                return Err(TarError::Header {
                    offset: at,
                    why: "it is all zeros, yet the archive goes on".into(),
                });
            }
            return Ok(None);
        }
        let sums = checksums(&block);
        if field(&block[148..156]).is_none_or(|sum| sum != sums.0 && sum != sums.1) {
            return Err(TarError::Header { offset: at, why: "its checksum is wrong".into() });
        }
        Ok(Some(block))
    }

    /// Reads a block; `false` at the end of the stream.
    fn block(&mut self, block: &mut [u8; 512]) -> Result<bool, TarError> {
        let mut filled = 0;
        while filled < block.len() {
            match self.inner.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(TarError::Truncated("a header".into())),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.position += BLOCK;
        Ok(true)
    }

    fn skip_rest(&mut self) -> Result<(), TarError> {
        let mut buffer = [0; 8192];
        while self.read(&mut buffer)? > 0 {}
        let padding = std::mem::take(&mut self.padding) as usize;
        match self.inner.read_exact(&mut buffer[..padding]) {
            Ok(()) => self.position += padding as u64,
            // Some writers leave the padding of the last file out; the next read says whether it was the last.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

impl<R: Read> Read for TarReader<R> {
    /// Reads the stored content of the current member. A stream that ends within it is an error.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let read = self.inner.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ends in the middle of a file"));
        }
        self.remaining -= read as u64;
        self.position += read as u64;
        Ok(read)
    }
}

pub(super) fn truncated(error: io::Error, what: &str) -> TarError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => TarError::Truncated(what.to_owned()),
        _ => TarError::Io(error),
    }
}

/// Up to the first NUL.
fn text(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|b| *b == 0) {
        bytes.truncate(end);
    }
    bytes
}

/// A numeric field: octal digits between blanks, or GNU's big-endian two's complement with the top bit set. A blank
/// field is zero. `None`: it is no number, or does not fit.
pub(super) fn field(bytes: &[u8]) -> Option<i128> {
    if bytes[0] & 0x80 != 0 {
        let negative = bytes[0] & 0x40 != 0;
        let mut value: i128 = if negative { -1 } else { 0 };
        for (index, byte) in bytes.iter().enumerate() {
            let byte = if index == 0 { byte & 0x7f | if negative { 0x80 } else { 0 } } else { *byte };
            value = value << 8 | i128::from(byte);
        }
        return (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&value).then_some(value);
    }
    let digits = bytes.split(|b| *b == 0).next().unwrap_or_default().trim_ascii();
    let mut value: i128 = 0;
    for digit in digits {
        if !(b'0'..=b'7').contains(digit) {
            return None;
        }
        value = value << 3 | i128::from(digit - b'0');
    }
    Some(value)
}

/// The sum of a header's bytes with its checksum taken for blanks: unsigned, and signed as some old writers did.
pub(super) fn checksums(block: &[u8]) -> (i128, i128) {
    let mut sums = (0, 0);
    for (index, byte) in block.iter().enumerate() {
        let byte = if (148..156).contains(&index) { b' ' } else { *byte };
        sums.0 += i128::from(byte);
        sums.1 += i128::from(byte as i8);
    }
    sums
}
