//! How layers are compressed.

use super::{GlobalSettings, SettingsError, flags::WorkFlags, output_flag::OutputFlag};
use crate::layer;

/// How layers are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum CompressionKind {
    /// gzip: read by everything.
    #[default]
    Gzip,
    /// zstd: faster, read by Docker 23, containerd 1.5, podman 4 and later.
    Zstd,
    /// Not at all.
    None,
}

impl CompressionKind {
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            "none" | "uncompressed" => Some(Self::None),
            _ => None,
        }
    }
}

/// How layers are compressed, and how hard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compression {
    /// How.
    pub kind: CompressionKind,
    /// How hard; the default if `None`. 0 to 12 for gzip, 1 to 22 for zstd: checked.
    pub level: Option<u8>,
}

impl Compression {
    /// As layers are told it.
    pub fn resolve(self) -> layer::Compression {
        match (self.kind, self.level) {
            (CompressionKind::None, _) => layer::Compression::None,
            (CompressionKind::Gzip, None) => layer::Compression::default(),
            (CompressionKind::Gzip, Some(level)) => layer::Compression::Gzip { level },
            (CompressionKind::Zstd, level) => {
                layer::Compression::Zstd { level: i32::from(level.unwrap_or(3)) }
            }
        }
    }
}

/// What flags, outputs and the configuration file come to.
pub(super) fn compression(
    flags: &WorkFlags,
    outputs: &[OutputFlag],
    global: &GlobalSettings,
) -> Result<Compression, SettingsError> {
    let mut asked: Vec<_> = outputs.iter().filter_map(|output| output.compression).collect();
    asked.dedup();
    if asked.len() > 1 {
        return Err(SettingsError::new("the outputs ask for different compressions of one image"));
    }
    let kind = flags.compression.or(asked.first().copied()).or(global.config.build.compression);
    let kind = kind.unwrap_or_default();
    let level =
        flags.compression_level.or_else(|| outputs.iter().find_map(|output| output.compression_level));
    let range = match kind {
        CompressionKind::Gzip => 0..=12,
        CompressionKind::Zstd => 1..=22,
        CompressionKind::None => 0..=0,
    };
    match level {
        Some(level) if !range.contains(&level) => Err(SettingsError::new(format!(
            "compression level {level} is not between {} and {}",
            range.start(),
            range.end()
        ))),
        level => Ok(Compression { kind, level }),
    }
}
