//! What rules come to: the tags, and which of them may be moved when.

use std::{cmp::Ordering, collections::BTreeMap, fmt};

use super::{pep440::Pep440, version};

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

/// How versions are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scheme {
    /// Semantic versions.
    #[default]
    Semver,
    /// Versions of Python packages (PEP 440), in [`Line`] as semantic versions that compare as they do.
    Pep440,
}

/// A line of versions that a moving tag follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The version that would be given the tag.
    pub version: semver::Version,
    /// What comes before versions in tags of the registry, with or without a `v` behind it: `api-`, a rule's prefix.
    pub prefix: String,
    /// The numbers that all versions of the line share: none for `latest`, one for `1`, two for `1.4`.
    pub shared: Vec<u64>,
    /// What comes after versions in tags of the registry: `-alpine`. Tags without it are of another line.
    pub suffix: String,
    /// How versions are written.
    pub scheme: Scheme,
    /// The highest release of the line that git has a tag of.
    pub in_git: Option<semver::Version>,
}

impl Line {
    /// The line of the semantic versions that share these numbers.
    pub fn new(version: semver::Version, prefix: impl Into<String>, shared: Vec<u64>) -> Self {
        Self {
            version,
            prefix: prefix.into(),
            shared,
            suffix: String::new(),
            scheme: Scheme::Semver,
            in_git: None,
        }
    }

    /// The highest release of the line among the registry's tags and git's, if it is higher than the own version: then
    /// the tag is not to be moved. Tags that are no full version, and prereleases, do not count. A prerelease is
    /// outranked by any release.
    ///
    /// `tags` are those of the registry. Without any, the answer is git's alone.
    pub fn outranked_by<'a>(&self, tags: impl IntoIterator<Item = &'a str>) -> Option<semver::Version> {
        let releases = tags.into_iter().filter_map(|tag| self.read(tag)).chain(self.in_git.clone());
        let highest = releases.filter(|version| self.has(version)).max_by(|a, b| self.compare(a, b))?;
        let outranked = !self.version.pre.is_empty() || self.compare(&highest, &self.version).is_gt();
        outranked.then_some(highest)
    }

    /// Whether a release is of the line.
    pub(super) fn has(&self, version: &semver::Version) -> bool {
        version.pre.is_empty() && [version.major, version.minor, version.patch].starts_with(&self.shared)
    }

    pub(super) fn compare(&self, a: &semver::Version, b: &semver::Version) -> Ordering {
        match self.scheme {
            Scheme::Semver => a.cmp_precedence(b),
            Scheme::Pep440 => a.cmp(b),
        }
    }

    /// The version that a tag of the registry is of, if it is a full one.
    fn read(&self, tag: &str) -> Option<semver::Version> {
        let rest = tag.strip_prefix(version::without_v(&self.prefix))?.strip_suffix(self.suffix.as_str())?;
        match self.scheme {
            Scheme::Semver => version::parse(rest),
            // A single number is more often a date, or the number of a build.
            Scheme::Pep440 => {
                Pep440::parse(rest).filter(|version| version.numbers() > 1).map(|version| version.rank())
            }
        }
    }
}

impl fmt::Display for PlannedTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.tag)
    }
}

/// How a line is told to people: `1.4.x`, or `all versions`.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.shared.is_empty() {
            return f.write_str("all versions");
        }
        for number in &self.shared {
            write!(f, "{number}.")?;
        }
        f.write_str("x")
    }
}
