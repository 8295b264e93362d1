//! What rules come to: the tags, and which of them may be moved when.

use std::{collections::BTreeMap, fmt};

/// The tags of one image, and what its config and manifests are to say of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TagPlan {
    /// The version that was found, as people write it (`1.4.2`, a branch's name).
    pub version: Option<String>,
    /// The tags without the repository, each once, the first being the one that the version is told by.
    pub tags: Vec<PlannedTag>,
    /// Labels of the config.
    pub labels: BTreeMap<String, String>,
    /// Annotations of manifests and index.
    pub annotations: BTreeMap<String, String>,
}

/// A tag, and when it may be moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedTag {
    /// The tag alone: `1.4.2`, `latest`.
    pub tag: String,
    /// When it may be moved.
    pub movement: Movement,
}

/// When a tag that exists may be given to another image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Movement {
    /// Always: branches, `edge`, raw tags.
    Free,
    /// Never: a full version means one image for ever.
    Fixed,
    /// When the version is the highest of its line: `1`, `1.4`, `latest`.
    Line(Line),
}

/// A line of versions that a moving tag follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The version that would be given the tag.
    pub version: semver::Version,
    /// What comes before versions in tags of the registry and of git: `v`, `api/v`, a rule's prefix.
    pub prefix: String,
    /// The numbers that all versions of the line share: none for `latest`, one for `1`, two for `1.4`.
    pub shared: Vec<u64>,
}

impl Line {
    /// The highest release of the line among these tags, if it is higher than the own version. Tags that are no full
    /// version, and prereleases, do not count.
    pub fn outranked_by<'a>(&self, tags: impl IntoIterator<Item = &'a str>) -> Option<semver::Version> {
        let versions = tags.into_iter().filter_map(|tag| {
            let rest = tag.strip_prefix(self.prefix.as_str()).unwrap_or(tag);
            semver::Version::parse(rest.strip_prefix('v').unwrap_or(rest)).ok()
        });
        let line = versions.filter(|version| version.pre.is_empty() && self.has(version));
        line.max().filter(|highest| highest.cmp_precedence(&self.version).is_gt())
    }

    fn has(&self, version: &semver::Version) -> bool {
        [version.major, version.minor, version.patch].starts_with(&self.shared)
    }
}

impl fmt::Display for PlannedTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.tag)
    }
}
