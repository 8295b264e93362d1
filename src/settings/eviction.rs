//! How much cache is kept: flags, environment and configuration file to limits.

use std::time::Duration;

use super::{Environment, GlobalSettings, SettingsError, env};
use crate::store::Cap;

/// How much cache is kept, and whether builds see to that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EvictionSettings {
    /// The most bytes.
    pub max_size: Cap,
    /// How long what is not used is kept; any time if `None`.
    pub max_age: Option<Duration>,
    /// Builds do not look at the size of the store.
    pub manual: bool,
}

impl EvictionSettings {
    /// Resolves the limits: flags go before the environment, and that before the configuration file.
    ///
    /// # Errors
    /// A text that is no size, no time, or neither `on` nor `off`.
    pub fn resolve(
        max_size: Option<&str>,
        max_age: Option<&str>,
        global: &GlobalSettings,
        environment: &Environment,
    ) -> Result<Self, SettingsError> {
        let config = &global.config.cache;
        let size = match (max_size, environment.text(env::IMGBUILD_CACHE_MAX_SIZE)) {
            (Some(text), _) => Some(wrong("--max-size", text, size(text), SIZE)?),
            (None, Some(text)) => Some(wrong(env::IMGBUILD_CACHE_MAX_SIZE, text, size(text), SIZE)?),
            (None, None) => config.max_size,
        };
        let age = match (max_age, environment.text(env::IMGBUILD_CACHE_MAX_AGE)) {
            (Some(text), _) => Some(wrong("--max-age", text, age(text), AGE)?),
            (None, Some(text)) => Some(wrong(env::IMGBUILD_CACHE_MAX_AGE, text, age(text), AGE)?),
            (None, None) => config.max_age,
        };
        let manual = match environment.text(env::IMGBUILD_CACHE_GC) {
            None => config.gc == Some(false),
            Some("on" | "true" | "1") => false,
            Some("off" | "false" | "0") => true,
            Some(text) => {
                let name = env::IMGBUILD_CACHE_GC;
                return Err(SettingsError::new(format!("{name} is {text:?}, which is neither on nor off")));
            }
        };
        Ok(Self { max_size: size.unwrap_or_default(), max_age: age, manual })
    }
}

/// What a size must be, in words.
pub(super) const SIZE: &str = "a size, as in 20GB, 512MiB or 15%";
/// What an age must be, in words.
pub(super) const AGE: &str = "a time, as in 12h, 30d or 2w";

fn wrong<T>(name: &str, text: &str, value: Option<T>, wanted: &str) -> Result<T, SettingsError> {
    value.ok_or_else(|| SettingsError::new(format!("{name} {text:?} is not {wanted}")))
}

/// A size: bytes with units of 1000 (kB, MB, GB, TB) or 1024 (KiB, …), or hundredths of the disk.
pub(super) fn size(text: &str) -> Option<Cap> {
    let text = text.trim();
    if let Some(percent) = text.strip_suffix('%') {
        return percent.trim().parse().ok().filter(|percent| *percent <= 100).map(Cap::Percent);
    }
    let (number, unit) = split(text);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1000,
        "m" | "mb" => 1000_u64.pow(2),
        "g" | "gb" => 1000_u64.pow(3),
        "t" | "tb" => 1000_u64.pow(4),
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return None,
    };
    let bytes = number.parse::<f64>().ok()? * factor as f64;
    // Beyond 2⁵³ it is no size of a disk.
    (0.0..9e15).contains(&bytes).then_some(Cap::Bytes(bytes as u64))
}

/// A time: a number with its unit.
pub(super) fn age(text: &str) -> Option<Duration> {
    let (number, unit) = split(text.trim());
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        "w" => 7 * 24 * 3600,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * f64::from(seconds)).ok()
}

fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times() {
        for (text, expected) in [
            ("20GB", Some(Cap::Bytes(20_000_000_000))),
            ("1.5 g", Some(Cap::Bytes(1_500_000_000))),
            ("512MiB", Some(Cap::Bytes(512 << 20))),
            ("0", Some(Cap::Bytes(0))),
            ("15%", Some(Cap::Percent(15))),
            ("101%", None),
            ("", None),
            ("GB", None),
            ("-1", None),
            ("1x", None),
            ("1e400", None),
        ] {
            assert_eq!(size(text), expected, "{text}");
        }
        for (text, expected) in
            [("90s", Some(90)), ("30d", Some(2_592_000)), ("2w", Some(1_209_600)), ("5", None), ("d", None)]
        {
            assert_eq!(age(text), expected.map(Duration::from_secs), "{text}");
        }
    }
}
