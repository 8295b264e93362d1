//! What a job says of its part, as a document of the registry.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    oci::{Descriptor, Digest, Index, canonical},
    release::{Goal, journal::Rule},
    tags::PlannedTag,
};

/// The artifact types of records and of the marker.
const PART: &str = "application/vnd.imgbuild.part.v1+json";
const SET: &str = "application/vnd.imgbuild.set.v1+json";

const ID: &str = "dev.imgbuild.set.id";
const PLAN: &str = "dev.imgbuild.set.plan";
const CLAIMS: &str = "dev.imgbuild.set.finishing";
const INDEX: &str = "dev.imgbuild.set.index";
const WRITTEN: &str = "dev.imgbuild.set.written";

/// What a job says of its part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// The part's manifests, each with its platform.
    pub(super) images: Vec<Descriptor>,
    /// What is to become of the whole.
    pub(super) plan: Plan,
    /// Whether the job wants to finish the set.
    pub(super) claims: bool,
}

/// What is to become of the whole, as one job sees it. That of the first part counts: what depends on the time of day, or
/// on the machine, is thought once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) parts: Vec<String>,
    repositories: Vec<Tags>,
    pub(super) annotations: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Tags {
    repository: String,
    tags: Vec<(String, Rule)>,
}

/// What is left when a set is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marker {
    /// The digest of the index.
    pub(super) index: Digest,
    /// What it lists.
    pub(super) images: Vec<Descriptor>,
}

impl Plan {
    pub(super) fn new(parts: &[String], goals: &[Goal], annotations: &BTreeMap<String, String>) -> Self {
        let tags = |goal: &Goal| Tags {
            repository: goal.repository.to_string(),
            tags: goal.tags.iter().map(|tag| (tag.tag.clone(), Rule::from(&tag.movement))).collect(),
        };
        let repositories = goals.iter().map(tags).collect();
        Self { parts: parts.to_vec(), repositories, annotations: annotations.clone() }
    }

    pub(super) fn goals(&self) -> Result<Vec<Goal>, crate::oci::ReferenceError> {
        let goal = |of: &Tags| {
            let planned =
                |(tag, rule): &(String, Rule)| PlannedTag { tag: tag.clone(), movement: rule.clone().into() };
            Ok(Goal { repository: of.repository.parse()?, tags: of.tags.iter().map(planned).collect() })
        };
        self.repositories.iter().map(goal).collect()
    }
}

impl Record {
    /// The document; `now` is for whoever clears away old ones.
    pub(super) fn to_bytes(&self, set: &str, now: &str) -> Vec<u8> {
        let plan = String::from_utf8_lossy(&canonical(&self.plan)).into_owned();
        let mut index = Index::new(self.images.clone());
        index.artifact_type = Some(PART.to_owned());
        // The ID, so that no two sets have a document in common: it is deleted by digest.
        index.annotations = BTreeMap::from([
            (ID.to_owned(), set.to_owned()),
            (PLAN.to_owned(), plan),
            (WRITTEN.to_owned(), now.to_owned()),
        ]);
        if self.claims {
            index.annotations.insert(CLAIMS.to_owned(), "true".to_owned());
        }
        index.to_bytes()
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let index = Index::parse(bytes).map_err(|error| error.to_string())?;
        let plan = index.annotations.get(PLAN).ok_or("it has no plan")?;
        let plan = serde_json::from_str(plan).map_err(|error| format!("its plan: {error}"))?;
        Ok(Self { claims: index.annotations.contains_key(CLAIMS), images: index.manifests, plan })
    }
}

impl Marker {
    pub(super) fn to_bytes(&self, set: &str, now: &str) -> Vec<u8> {
        let mut index = Index::new(self.images.clone());
        index.artifact_type = Some(SET.to_owned());
        index.annotations = BTreeMap::from([
            (ID.to_owned(), set.to_owned()),
            (INDEX.to_owned(), self.index.to_string()),
            (WRITTEN.to_owned(), now.to_owned()),
        ]);
        index.to_bytes()
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let index = Index::parse(bytes).map_err(|error| error.to_string())?;
        let digest = index.annotations.get(INDEX).ok_or("it names no index")?;
        let digest = digest.parse().map_err(|error| format!("its index: {error}"))?;
        Ok(Self { index: digest, images: index.manifests })
    }
}

/// When a record or a marker was written; `None`: it is neither.
pub(super) fn written(bytes: &[u8]) -> Option<jiff::Timestamp> {
    let index = Index::parse(bytes).ok()?;
    let ours = matches!(index.artifact_type.as_deref(), Some(PART | SET));
    index.annotations.get(WRITTEN).filter(|_| ours)?.parse().ok()
}

/// What a part is called in a tag.
pub fn suffix(part: &str) -> String {
    part.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        oci::{Platform, media_type},
        tags::{Line, Movement},
    };

    #[test]
    fn records_and_markers_are_read_as_they_were_written() {
        let mut image = Descriptor::of(media_type::MANIFEST, b"manifest");
        image.platform = Some(Platform::new("linux", "arm", Some("v7")));
        let line = Line::new("1.4.2+b".parse().unwrap(), "v", vec![1]);
        let tags = [("1.4.2", Movement::Fixed), ("1", Movement::Line(line)), ("main", Movement::Free)];
        let tags = tags.map(|(tag, movement)| PlannedTag { tag: tag.into(), movement });
        let goals = [Goal::new("ghcr.io/me/app".parse().unwrap(), tags.to_vec())];
        let annotations = BTreeMap::from([("a".to_owned(), "\"b\"\n".to_owned())]);
        let plan = Plan::new(&["x".into(), "y".into()], &goals, &annotations);
        assert_eq!(plan.goals().unwrap(), goals);
        for claims in [true, false] {
            let record = Record { images: vec![image.clone()], plan: plan.clone(), claims };
            let bytes = record.to_bytes("7", "2026-01-02T03:04:05Z");
            assert_eq!(Record::parse(&bytes).unwrap(), record);
            assert_eq!(written(&bytes).unwrap().as_second(), 1_767_323_045);
            assert!(Marker::parse(&bytes).is_err());
        }
        let marker = Marker { index: Digest::of(b"index"), images: vec![image] };
        assert_eq!(Marker::parse(&marker.to_bytes("7", "")).unwrap(), marker);
        for bytes in [&b"{}"[..], b"", b"null", br#"{"schemaVersion":2,"manifests":[]}"#] {
            assert!(Record::parse(bytes).is_err() && Marker::parse(bytes).is_err());
            assert_eq!(written(bytes), None);
        }
    }

    #[test]
    fn parts_make_tags() {
        assert_eq!(suffix("linux/arm/v7"), "linux-arm-v7");
        assert_eq!(suffix("a b_ü.c"), "a-b_-.c");
    }
}
