//! How layers are compressed: a chunk at a time, each chunk complete in itself.
//!
//! A gzip layer is a sequence of gzip members (RFC 1952, section 2.2), a zstd layer one of frames (RFC 8878, section
//! 3). Readers take either for one stream. What a chunk becomes depends on nothing but the chunk: so chunks can be
//! compressed in parallel, and taken over from an earlier layer as they are. `docs/compression.md` has the
//! measurements behind the choice.

use libdeflater::{CompressionLvl, Compressor};
use serde::{Deserialize, Serialize};

use super::LayerError;
use crate::oci::media_type;

/// The compression of a layer's blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// gzip, which everything reads.
    Gzip {
        /// libdeflate's level, 0 to 12; out of range means the nearest.
        level: u8,
    },
    /// zstd: smaller and faster, read by containerd 1.5, Docker 23, podman and later.
    Zstd {
        /// zstd's level, 1 to 22.
        level: i32,
    },
    /// None: the blob is the tar.
    None,
}

impl Default for Compression {
    fn default() -> Self {
        Self::gzip()
    }
}

impl Compression {
    /// gzip at the level that comes closest to the size of `gzip -6`.
    pub const fn gzip() -> Self {
        Self::Gzip { level: 5 }
    }

    /// zstd at its own default level.
    pub const fn zstd() -> Self {
        Self::Zstd { level: 3 }
    }

    /// The media type of a layer's blob.
    pub fn media_type(&self) -> &'static str {
        match self {
            Self::Gzip { .. } => media_type::LAYER_GZIP,
            Self::Zstd { .. } => media_type::LAYER_ZSTD,
            Self::None => media_type::LAYER,
        }
    }

    /// Everything that decides the blob's bytes for given tar bytes: for keys. Two layers whose compressions have the
    /// same id are compressed alike, by whichever version of imgbuild. The last part numbers the rule by which layers
    /// are cut into chunks; a test pins the bytes, so that none of it changes unnoticed.
    pub fn id(&self) -> String {
        match self {
            Self::Gzip { level } => format!("gzip/libdeflate-1.26/{level}/chunks-1"),
            Self::Zstd { level } => format!("zstd/zstd-1.5/{level}/chunks-1"),
            Self::None => "none".into(),
        }
    }
}

/// The compressors of one thread, kept from chunk to chunk: each owns about a megabyte of tables.
#[derive(Default)]
pub(super) struct Codec {
    gzip: Option<(u8, Compressor)>,
    zstd: Option<(i32, zstd::bulk::Compressor<'static>)>,
}

impl Codec {
    /// The chunk as a gzip member or a zstd frame.
    pub(super) fn compress(&mut self, compression: Compression, raw: &[u8]) -> Result<Vec<u8>, LayerError> {
        match compression {
            Compression::Gzip { level } => self.gzip(level, raw),
            Compression::Zstd { level } => self.zstd(level, raw),
            Compression::None => Ok(raw.to_vec()),
        }
    }

    fn gzip(&mut self, level: u8, raw: &[u8]) -> Result<Vec<u8>, LayerError> {
        let compressor = match &mut self.gzip {
            Some((held, compressor)) if *held == level => compressor,
            held => {
                let checked = CompressionLvl::new(i32::from(level)).unwrap_or(CompressionLvl::best());
                &mut held.insert((level, Compressor::new(checked))).1
            }
        };
        let mut out = vec![0; compressor.gzip_compress_bound(raw.len())];
        let length = compressor
            .gzip_compress(raw, &mut out)
            .map_err(|error| LayerError::Compress(error.to_string()))?;
        out.truncate(length);
        Ok(out)
    }

    fn zstd(&mut self, level: i32, raw: &[u8]) -> Result<Vec<u8>, LayerError> {
        let failed = |error: std::io::Error| LayerError::Compress(error.to_string());
        let compressor = match &mut self.zstd {
            Some((held, compressor)) if *held == level => compressor,
            held => {
                let mut compressor = zstd::bulk::Compressor::new(level).map_err(failed)?;
                compressor.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true)).map_err(failed)?;
                &mut held.insert((level, compressor)).1
            }
        };
        compressor.compress(raw).map_err(failed)
    }
}
