//! The files of the AWS CLI: `~/.aws/config` and `~/.aws/credentials` ("AWS SDKs and Tools reference", "Shared config
//! and credentials files").

use std::{collections::BTreeMap, fs, io, path::PathBuf};

use super::{AwsError, Result, sources::Sources};
use crate::registry::Secret;

/// What both files say, by section: `profile NAME` or `sso-session NAME`.
#[derive(Debug, Default)]
pub(super) struct Profiles {
    sections: BTreeMap<String, Section>,
}

/// A section's values by their names in lower case.
#[derive(Debug, Default)]
pub(super) struct Section(BTreeMap<String, Secret>);

impl Section {
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(Secret::expose).filter(|text| !text.is_empty())
    }

    pub(super) fn secret(&self, key: &str) -> Option<Secret> {
        self.0.get(key).filter(|secret| !secret.is_empty()).cloned()
    }
}

impl Profiles {
    /// Reads the files; those that are not there count as empty. For a profile in both, the credentials file decides.
    pub(super) fn read(sources: &Sources) -> Result<Self> {
        let mut profiles = Self::default();
        if let Some(path) = sources.file("AWS_CONFIG_FILE", ".aws/config") {
            profiles.add(&read(path)?, false);
        }
        if let Some(path) = sources.file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials") {
            profiles.add(&read(path)?, true);
        }
        Ok(profiles)
    }

    pub(super) fn profile(&self, name: &str) -> Option<&Section> {
        self.sections.get(&format!("profile {name}"))
    }

    pub(super) fn session(&self, name: &str) -> Option<&Section> {
        self.sections.get(&format!("sso-session {name}"))
    }

    /// Takes in a file. In that of credentials, sections are profiles; in the other, all but `default` say so.
    fn add(&mut self, text: &str, credentials: bool) {
        let mut current: Option<String> = None;
        for line in text.lines() {
            // What is set in belongs to the setting above it, as of a single service: none of ours.
            if line.starts_with([' ', '\t', '#', ';']) {
                continue;
            }
            if let Some(head) = line.strip_prefix('[') {
                let words: Vec<&str> =
                    head.split(']').next().unwrap_or_default().split_whitespace().collect();
                current = match words[..] {
                    ["default"] => Some("profile default".to_owned()),
                    [name] if credentials => Some(format!("profile {name}")),
                    [kind @ ("profile" | "sso-session"), name] => {
                        Some(format!("{kind} {}", name.trim_matches(['"', '\''])))
                    }
                    _ => None,
                };
                continue;
            }
            let (Some(section), Some((key, value))) = (&current, line.split_once('=')) else { continue };
            let comment = value.find(" #").or_else(|| value.find(" ;")).unwrap_or(value.len());
            let section = self.sections.entry(section.clone()).or_default();
            section.0.insert(key.trim().to_ascii_lowercase(), Secret::new(value[..comment].trim()));
        }
    }
}

fn read(path: PathBuf) -> Result<String> {
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(String::new())
        }
        Err(error) => Err(AwsError::source(path.display().to_string(), error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_as_the_cli_reads_them() {
        let mut profiles = Profiles::default();
        profiles.add(
            "# c\n[default]\nRegion = eu-west-1 # near\ns3 =\n  region = no\n[profile 'ci']\nrole_arn=r=1\n\
             [sso-session corp]\nsso_region = x\n[other]\nregion = no\n[profile",
            false,
        );
        profiles.add("[default]\naws_access_key_id=AKIA\n[ci]\nrole_arn = ours\n", true);
        let text = |profile: &str, key: &str| profiles.profile(profile)?.text(key).map(str::to_owned);
        assert_eq!(text("default", "region").as_deref(), Some("eu-west-1"));
        assert_eq!(text("default", "aws_access_key_id").as_deref(), Some("AKIA"));
        assert_eq!(text("ci", "role_arn").as_deref(), Some("ours"));
        assert_eq!(text("other", "region"), None);
        assert_eq!(profiles.session("corp").unwrap().text("sso_region"), Some("x"));
        assert!(!format!("{profiles:?}").contains("AKIA"));
    }
}
