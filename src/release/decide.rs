//! What is done with a tag, from what is known of it.

use semver::Version;

use crate::{
    oci::Digest,
    tags::{Movement, PlannedTag},
};

/// What the user allows, and what is known besides the registries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// Fixed tags are given to another image, and what others have moved meanwhile is moved back.
    pub force: bool,
    /// Tags of a line go to a version that is not its highest.
    pub allow_downgrade: bool,
}

/// What is done with a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Nothing: it points to the image already.
    Exists,
    /// It is pointed to the image.
    Move {
        /// What everybody should know of that: a rule was set aside.
        aloud: Option<String>,
    },
    /// It stays where it is: a higher version of its line was released.
    HeldBack {
        /// That version.
        by: Version,
    },
    /// It means another image for ever.
    Refused {
        /// That image.
        is: Digest,
    },
}

/// Decides on a tag that points to `current` and is wanted for the image `wanted`. `others` are the repository's tags.
pub fn decide(
    planned: &PlannedTag,
    current: Option<&Digest>,
    wanted: &Digest,
    others: &[String],
    terms: &Terms,
) -> Decision {
    if current == Some(wanted) {
        return Decision::Exists;
    }
    let (tag, moved) = (&planned.tag, Decision::Move { aloud: None });
    match (&planned.movement, current) {
        (Movement::Free, _) | (Movement::Fixed, None) => moved,
        (Movement::Fixed, Some(is)) if terms.force => {
            Decision::Move { aloud: Some(format!("{tag} was {is} and is given to another image")) }
        }
        (Movement::Fixed, Some(is)) => Decision::Refused { is: *is },
        (Movement::Line(line), _) => match line.outranked_by(others.iter().map(String::as_str)) {
            None => moved,
            Some(by) if terms.allow_downgrade => Decision::Move {
                aloud: Some(format!("{tag} goes back to {}, although there is {by}", line.version)),
            },
            Some(by) => Decision::HeldBack { by },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tags::Line;

    fn line(version: &str, shared: &[u64]) -> Movement {
        Movement::Line(Line::new(version.parse().unwrap(), "", shared.to_vec()))
    }

    #[test]
    fn the_table_of_decisions() {
        let (new, old) = (Digest::of(b"new"), Digest::of(b"old"));
        let held = |by: &str| Decision::HeldBack { by: by.parse().unwrap() };
        let plainly = Decision::Move { aloud: None };
        let registry = ["1.4.2", "1.3.8", "1", "latest", "2.0.0-rc.1"].map(str::to_owned);
        for (tag, movement, current, expected) in [
            ("main", Movement::Free, None, plainly.clone()),
            ("main", Movement::Free, Some(old), plainly.clone()),
            ("main", Movement::Free, Some(new), Decision::Exists),
            ("1.3.9", Movement::Fixed, None, plainly.clone()),
            ("1.3.9", Movement::Fixed, Some(new), Decision::Exists),
            ("1.3.9", Movement::Fixed, Some(old), Decision::Refused { is: old }),
            ("1.3", line("1.3.9", &[1, 3]), Some(old), plainly.clone()),
            ("1.3", line("1.3.9", &[1, 3]), None, plainly.clone()),
            ("1", line("1.3.9", &[1]), Some(old), held("1.4.2")),
            ("1", line("1.3.9", &[1]), Some(new), Decision::Exists),
            // Also where nobody has set it yet.
            ("1", line("1.3.9", &[1]), None, held("1.4.2")),
            ("latest", line("1.3.9", &[]), Some(old), held("1.4.2")),
            ("latest", line("1.4.3", &[]), Some(old), plainly.clone()),
            ("latest", line("1.4.2", &[]), Some(old), plainly.clone()),
        ] {
            let planned = PlannedTag { tag: tag.into(), movement };
            let found = decide(&planned, current.as_ref(), &new, &registry, &Terms::default());
            assert_eq!(found, expected, "{planned:?} {current:?}");
        }
    }

    #[test]
    fn rules_are_set_aside_aloud() {
        let (new, old) = (Digest::of(b"new"), Digest::of(b"old"));
        let terms = Terms { force: true, allow_downgrade: true };
        let fixed = PlannedTag { tag: "1.3.9".into(), movement: Movement::Fixed };
        let in_git = Some(Version::new(1, 5, 0));
        let line = Line { in_git, ..Line::new(Version::new(1, 3, 9), "", vec![1]) };
        let moving = PlannedTag { tag: "1".into(), movement: Movement::Line(line) };
        for (planned, word) in
            [(fixed, "given to another image"), (moving.clone(), "although there is 1.5.0")]
        {
            match decide(&planned, Some(&old), &new, &[], &terms) {
                Decision::Move { aloud: Some(said) } => assert!(said.contains(word), "{said}"),
                other => panic!("{other:?}"),
            }
        }
        let held = decide(&moving, None, &new, &[], &Terms::default());
        assert_eq!(held, Decision::HeldBack { by: Version::new(1, 5, 0) });
    }
}
