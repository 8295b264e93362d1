//! Platforms: `os/architecture[/variant]`.

use std::{
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use oci_spec::image::{Arch, Os};
use serde::{Deserialize, Serialize};

/// What a manifest runs on (image-spec `image-index.md`, "platform").
///
/// Parsed platforms are normalised as containerd does it: `x86_64` is `amd64`, `aarch64` and `arm64/v8` are `arm64`,
/// `armhf` and plain `arm` are `arm/v7`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// The architecture, in Go's names.
    pub architecture: Arch,
    /// The operating system, in Go's names.
    pub os: Os,
    /// The version of the operating system (Windows).
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Features that the operating system must have (Windows).
    #[serde(rename = "os.features", default, skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// The variant of the architecture, such as `v7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// Why a string is not a platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("platform {0:?} is not of the form os/architecture[/variant], as in linux/amd64 or linux/arm/v7")]
pub struct PlatformError(String);

impl Platform {
    /// A platform of its three parts, normalised.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let variant = variant.filter(|variant| !variant.is_empty());
        let (architecture, variant) = match (architecture, variant) {
            ("x86_64" | "x86-64" | "amd64", None | Some("v1")) => ("amd64", None),
            ("x86_64" | "x86-64", variant) => ("amd64", variant),
            ("aarch64" | "arm64", None | Some("8" | "v8")) => ("arm64", None),
            ("aarch64", variant) => ("arm64", variant),
            ("armhf", _) | ("arm", None | Some("7")) => ("arm", Some("v7")),
            ("armel", _) | ("arm", Some("6")) => ("arm", Some("v6")),
            ("arm", Some("5")) => ("arm", Some("v5")),
            ("i386" | "i686" | "x86", variant) => ("386", variant),
            other => other,
        };
        Self {
            architecture: architecture.into(),
            os: if os == "macos" { "darwin".into() } else { os.into() },
            os_version: None,
            os_features: Vec::new(),
            variant: variant.map(str::to_owned),
        }
    }

    /// The platform of images that run on this machine without emulation: always Linux.
    pub fn host() -> Self {
        Self::new("linux", std::env::consts::ARCH, None)
    }

    /// Whether an image for `self` runs where `wanted` is asked for, and how far it is from the ideal: 0 is the
    /// same platform; larger numbers are older variants of ARM, which newer ones run. `None`: it does not run.
    pub fn distance(&self, wanted: &Self) -> Option<u32> {
        let have = self.normalised();
        if have.os != wanted.os || have.architecture != wanted.architecture {
            return None;
        }
        if have.variant == wanted.variant {
            return Some(0);
        }
        let level = |platform: &Self| match platform.variant.as_deref() {
            None => Some(if platform.architecture == Arch::ARM64 { 8 } else { 1 }),
            Some(variant) => variant.strip_prefix('v').and_then(|level| level.parse::<u32>().ok()),
        };
        match (level(&have), level(wanted)) {
            (Some(have), Some(wanted)) if have <= wanted => Some(wanted - have),
            _ => None,
        }
    }

    /// The same platform with the usual spelling of its architecture and variant.
    pub fn normalised(&self) -> Self {
        Self {
            os_version: self.os_version.clone(),
            os_features: self.os_features.clone(),
            ..Self::new(&self.os.to_string(), &self.architecture.to_string(), self.variant.as_deref())
        }
    }
}

// By hand: the enumerations of oci-spec are equal when their names are, but cannot be hashed.
impl Hash for Platform {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.to_string().hash(state);
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let wrong = || PlatformError(text.to_owned());
        let word = |word: &&str| {
            !word.is_empty()
                && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        };
        let lower = text.to_ascii_lowercase();
        let parts: Vec<&str> = lower.split('/').collect();
        if !parts.iter().all(word) {
            return Err(wrong());
        }
        match parts[..] {
            [os, architecture] => Ok(Self::new(os, architecture, None)),
            [os, architecture, variant] => Ok(Self::new(os, architecture, Some(variant))),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().expect(text)
    }

    #[test]
    fn spellings_of_one_platform_are_one() {
        for (text, normal) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("Linux/AMD64", "linux/amd64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/v6", "linux/arm/v6"),
            ("linux/riscv64", "linux/riscv64"),
        ] {
            assert_eq!(platform(text).to_string(), normal);
        }
        for bad in ["", "linux", "linux/", "linux/a/b/c", "linux/amd 64"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }

    #[test]
    fn older_variants_run_on_newer_ones() {
        assert_eq!(platform("linux/arm/v6").distance(&platform("linux/arm/v7")), Some(1));
        assert_eq!(platform("linux/arm/v7").distance(&platform("linux/arm/v6")), None);
        assert_eq!(platform("linux/amd64").distance(&platform("linux/arm64")), None);
        assert_eq!(platform("linux/amd64").distance(&platform("linux/amd64/v3")), Some(2));
        let spelled_out = Platform { variant: Some("v8".into()), ..platform("linux/arm64") };
        assert_eq!(spelled_out.distance(&platform("linux/arm64")), Some(0));
    }

    #[test]
    fn os_version_survives_json() {
        let text = r#"{"architecture":"amd64","os":"windows","os.version":"10.0.17763.1"}"#;
        let platform: Platform = serde_json::from_str(text).expect("valid");
        assert_eq!(serde_json::to_string(&platform).expect("serialises"), text);
    }
}
