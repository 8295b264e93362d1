//! The record of a build, for whoever wants to know why another build differs.

use serde::{Deserialize, Serialize};

use super::{document::Kept, entry::layer_fault};
use crate::{layer::Layer, oci::Digest};

/// How many records a cache has room for.
const SLOTS: u8 = 64;

/// Of how many places a writer takes the one that is free, or has the oldest record.
const CHOICE: usize = 4;

/// The longest text of a record.
const LONGEST: usize = 1024;

/// The most bytes of a record, unpacked: it is read into memory.
const LARGEST: u64 = 256 << 20;

/// The record of a build, in short, and where the whole of it is.
///
/// A cache has room for a fixed number of them, each under a key of its own: so they can be listed where nothing else
/// can, their number does not grow, and no list of them has to be written by all. A new one takes the place of an old
/// one; of two that take one place at once, the last stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SharedBuild {
    /// The key of its place.
    pub key: Digest,
    /// The build's id: eight hex digits.
    pub id: String,
    /// The file that said what to build, as people call it.
    pub file: Option<String>,
    /// The stage that was asked for.
    pub target: Option<String>,
    /// The name of the build context.
    pub context: String,
    /// The commit that the context is of.
    pub commit: Option<String>,
    /// The platforms.
    pub platforms: Vec<String>,
    /// Whether it ended well.
    pub well: bool,
    /// When it ended, in milliseconds since the epoch.
    pub ended: u64,
    /// A tar with the whole record.
    pub record: Layer,
}

/// The keys of all places.
pub(super) fn places() -> impl Iterator<Item = Digest> {
    (0..SLOTS).map(place)
}

/// The keys of the places that a build of this id may take.
pub(super) fn places_of(id: &str) -> impl Iterator<Item = Digest> {
    let random = Digest::of(id.as_bytes());
    let places: Vec<u8> = random.as_bytes().iter().take(CHOICE).map(|byte| byte % SLOTS).collect();
    places.into_iter().map(place)
}

fn place(number: u8) -> Digest {
    Digest::of(format!("imgbuild build record 1 {number}").as_bytes())
}

impl Kept for SharedBuild {
    fn layers(&self) -> &[Layer] {
        std::slice::from_ref(&self.record)
    }

    fn fault(&self, asked: &Digest) -> Option<String> {
        if self.key != *asked {
            return Some(format!("it is the record of another place, {}", self.key));
        }
        let is_id = self.id.len() == 8 && self.id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let texts = [&self.file, &self.target, &self.commit].into_iter().flatten().chain([&self.context]);
        if !is_id || texts.chain(&self.platforms).any(|text| text.len() > LONGEST) {
            return Some("its texts are no build's".into());
        }
        if self.record.size > LARGEST {
            return Some(format!("no record has {} bytes", self.record.size));
        }
        layer_fault(&self.record)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn builds_are_spread_over_all_places() {
        let all: BTreeSet<Digest> = places().collect();
        assert_eq!(all.len(), usize::from(SLOTS));
        let taken: BTreeSet<Digest> =
            (0..1000).flat_map(|number| places_of(&format!("{number:08x}")).collect::<Vec<_>>()).collect();
        assert_eq!(taken, all);
    }
}
