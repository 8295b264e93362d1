//! How tags are moved, and parts that several machines build: flags to settings.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use clap::Args;

use super::{GlobalSettings, SettingsError, build::platform, pairs::Form};
use crate::{
    oci::Platform,
    release::{Terms, rendezvous},
};

/// How tags are moved.
#[derive(Debug, Clone, Default, Args)]
pub struct TagFlags {
    /// Overwrite versions that exist and are another image, and tags that others have moved meanwhile
    #[arg(long, alias = "overwrite")]
    pub force: bool,
    /// Move tags such as `latest` and `1` although there is a higher version
    #[arg(long)]
    pub allow_downgrade: bool,
}

/// Parts of an image that several machines build.
#[derive(Debug, Clone, Default, Args)]
pub struct SetFlags {
    /// Build a part of an image: jobs with the same ID meet in the registry, and the one that completes the set writes
    /// the index and the tags
    #[arg(long, value_name = "ID", requires = "parts", requires = "push")]
    pub set: Option<String>,
    /// Which part this is [default: --platform]
    #[arg(long, value_name = "PART", requires = "set")]
    pub part: Option<String>,
    /// All parts of the set, in the order of the index; separate by commas
    #[arg(long, value_name = "PART,…", value_delimiter = ',', requires = "set")]
    pub parts: Vec<String>,
    /// Wait for the other parts, as in 10m; fail if one does not come
    #[arg(long, value_name = "DURATION", requires = "set")]
    pub wait: Option<String>,
}

impl TagFlags {
    /// What the user allows.
    pub fn terms(&self) -> Terms {
        Terms { force: self.force, allow_downgrade: self.allow_downgrade }
    }
}

/// The longest part of a tag that names a part: 128 characters are a tag, of which 30 name the set.
const LONGEST_PART: usize = 90;

impl SetFlags {
    /// The set that a build is a part of, if it is one.
    pub fn resolve(&self, platforms: &[Platform]) -> Result<Option<rendezvous::Set>, SettingsError> {
        let Some(id) = &self.set else { return Ok(None) };
        if id.is_empty() {
            return Err(SettingsError::new("--set is empty").hint("for GitHub: --set \"$GITHUB_RUN_ID\""));
        }
        let parts: Vec<String> = self.parts.iter().map(|part| normal(part)).collect();
        for (number, part) in parts.iter().enumerate() {
            if part.is_empty() || part.len() > LONGEST_PART {
                return Err(SettingsError::new(format!("--parts: {part:?} is no name of a part")));
            }
            let tag = rendezvous::suffix(part);
            if let Some(other) = parts[..number].iter().find(|other| rendezvous::suffix(other) == tag) {
                return Err(SettingsError::new(format!("--parts: {part:?} and {other:?} are one name")));
            }
        }
        let own = match (&self.part, platforms) {
            (Some(part), _) => normal(part),
            (None, [platform]) => platform.to_string(),
            (None, []) => Platform::host().to_string(),
            (None, _) => {
                return Err(SettingsError::new("--part is missing: the build is for several platforms")
                    .hint("give this part a name, and list it in --parts"));
            }
        };
        let Some(own) = parts.iter().position(|part| *part == own) else {
            return Err(SettingsError::new(format!("{own} is none of --parts {}", parts.join(",")))
                .did_you_mean(&own, parts.iter().map(String::as_str)));
        };
        let wait = self.wait.as_deref().map(|text| super::limits::duration("--wait", text)).transpose()?;
        Ok(Some(rendezvous::Set { id: id.clone(), parts, own, wait: wait.unwrap_or(Duration::ZERO) }))
    }
}

/// Platforms in their usual spelling; other names as they are.
fn normal(part: &str) -> String {
    let part = part.trim();
    platform(part).map_or_else(|_| part.to_owned(), |platform| platform.to_string())
}

const ANNOTATION: Form =
    Form { flag: "--annotation", form: "KEY=VALUE", example: "org.opencontainers.image.licenses=MIT" };

/// Annotations of an index; `index:` before them says the same once more.
pub fn index_annotations(texts: &[String]) -> Result<BTreeMap<String, String>, SettingsError> {
    let bare = texts.iter().map(|text| text.strip_prefix("index:").unwrap_or(text).to_owned());
    ANNOTATION.map(&bare.collect::<Vec<_>>())
}

/// Where journals of releases are kept.
pub fn releases(global: &GlobalSettings) -> PathBuf {
    global.home.join("releases")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(part: Option<&str>, parts: &[&str]) -> SetFlags {
        SetFlags {
            set: Some("1".into()),
            part: part.map(str::to_owned),
            parts: parts.iter().map(|part| (*part).to_owned()).collect(),
            wait: Some("1m".into()),
        }
    }

    #[test]
    fn the_part_is_the_platform() {
        let (amd64, arm64) = (Platform::new("linux", "amd64", None), Platform::new("linux", "arm64", None));
        for (part, platforms, own) in [
            (None, vec![arm64.clone()], 1),
            (Some("linux/x86_64"), vec![arm64.clone()], 0),
            (Some("linux/aarch64"), vec![amd64.clone(), arm64.clone()], 1),
        ] {
            let set = flags(part, &["linux/amd64", "linux/arm64/v8"]).resolve(&platforms).unwrap().unwrap();
            assert_eq!(set.own, own, "{part:?}");
            assert_eq!((set.parts[1].as_str(), set.wait), ("linux/arm64", Duration::from_secs(60)));
        }
        for (part, parts) in [
            (None, &["linux/amd64"][..]),
            (Some("x"), &["linux/amd64", "linux/arm64"]),
            (Some("a"), &["a", "a"]),
            (Some("a"), &["a", "b/c", "b-c"]),
            (Some(""), &[""]),
        ] {
            assert!(flags(part, parts).resolve(std::slice::from_ref(&arm64)).is_err(), "{part:?} {parts:?}");
        }
        let several = flags(None, &["linux/amd64", "linux/arm64"]).resolve(&[amd64, arm64]);
        assert!(several.unwrap_err().to_string().contains("--part is missing"));
        assert_eq!(SetFlags::default().resolve(&[]), Ok(None));
    }
}
