//! Streams of any compression as plain ones.

use std::{
    fmt,
    io::{self, Cursor, Read},
};

use flate2::bufread::MultiGzDecoder;

/// How a stream is compressed, told by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all, or in no known way.
    None,
    /// gzip, of any number of members.
    Gzip,
    /// Zstandard, of any number of frames.
    Zstd,
    /// xz, of any number of streams.
    Xz,
    /// bzip2, of any number of streams.
    Bzip2,
}

impl Encoding {
    /// Tells the compression by the first six bytes or more.
    pub fn detect(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            // A frame, or one of the skippable frames that may come first (RFC 8878, 3.1.2).
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Self::Bzip2,
            _ => Self::None,
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "tar",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
        })
    }
}

type Head<R> = io::Chain<Cursor<Vec<u8>>, io::BufReader<R>>;

/// Reads the plain content of a stream.
pub struct Decoder<R: Read> {
    encoding: Encoding,
    inner: Inner<R>,
}

enum Inner<R: Read> {
    Plain(Head<R>),
    Gzip(Box<MultiGzDecoder<Head<R>>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, Head<R>>>),
    Xz(Box<lzma_rust2::XzReader<Head<R>>>),
    Bzip2(Box<bzip2::bufread::MultiBzDecoder<Head<R>>>),
}

impl<R: Read> Decoder<R> {
    /// Looks at the first bytes of the stream and chooses how to read it.
    pub fn new(stream: R) -> io::Result<Self> {
        let mut stream = io::BufReader::with_capacity(128 << 10, stream);
        let mut head = Vec::new();
        stream.by_ref().take(6).read_to_end(&mut head)?;
        let encoding = Encoding::detect(&head);
        let stream = Cursor::new(head).chain(stream);
        let inner = match encoding {
            Encoding::None => Inner::Plain(stream),
            Encoding::Gzip => Inner::Gzip(Box::new(MultiGzDecoder::new(stream))),
            Encoding::Zstd => Inner::Zstd(Box::new(zstd::stream::read::Decoder::with_buffer(stream)?)),
            Encoding::Xz => Inner::Xz(Box::new(lzma_rust2::XzReader::new(stream, true))),
            Encoding::Bzip2 => Inner::Bzip2(Box::new(bzip2::bufread::MultiBzDecoder::new(stream))),
        };
        Ok(Self { encoding, inner })
    }

    /// How the stream is compressed.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.inner {
            Inner::Plain(stream) => stream.read(buffer),
            Inner::Gzip(stream) => stream.read(buffer),
            Inner::Zstd(stream) => stream.read(buffer),
            Inner::Xz(stream) => stream.read(buffer),
            Inner::Bzip2(stream) => stream.read(buffer),
        }
    }
}

impl<R: Read> fmt::Debug for Decoder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decoder({:?})", self.encoding)
    }
}
