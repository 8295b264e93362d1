//! Which version comes before another.

use semver::{Prerelease, Version};

use crate::tags::version_at_end;

/// The tag of the release before the one that is tagged `tag`: the highest lower full version with the same prefix. The
/// release before a full version is one, too, and no prerelease. A suffix of words alone names a variant (`1.4.2-alpine`),
/// and the release before is one of the same variant, if there is one.
pub fn previous<'a>(tag: &str, tags: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (prefix, version) = version_at_end(tag)?;
    let known = tags.into_iter().filter_map(|tag| {
        let (other, version) = version_at_end(tag)?;
        (other == prefix).then_some((version, tag))
    });
    // Build metadata, which tags do not hold, makes no version a higher one.
    let lower = |known: &Version| known.cmp_precedence(&version).is_lt();
    let known: Vec<_> = known.filter(|(known, _)| lower(known)).collect();
    let highest = |fits: &dyn Fn(&Version) -> bool| {
        let fitting = known.iter().filter(|(known, _)| fits(known));
        fitting.max_by(|(a, _), (b, _)| a.cmp(b)).map(|(_, tag)| *tag)
    };
    let core = |version: &Version| (version.major, version.minor, version.patch);
    let released = |known: &Version| known.pre.is_empty();
    if version.pre.is_empty() {
        return highest(&released);
    }
    if is_variant(&version.pre) {
        let variant = |known: &Version| known.pre == version.pre && core(known) < core(&version);
        return highest(&variant).or_else(|| highest(&released));
    }
    highest(&|known| !is_variant(&known.pre))
}

/// Prereleases are counted: `rc.1`, `beta2`.
fn is_variant(pre: &Prerelease) -> bool {
    !pre.is_empty() && !pre.bytes().any(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_before() {
        let tags = [
            "1",
            "1.4",
            "1.4.1",
            "v1.3.9",
            "1.5.0-rc.1",
            "1.5.0-rc.2",
            "1.10.0",
            "latest",
            "main",
            "1.4.1-alpine",
            "1.3.9-alpine",
            "api-1.0.0",
            "api-1.1.0",
            "sha-1234567",
        ];
        for (tag, expected) in [
            ("1.4.2", Some("1.4.1")),
            ("1.4.1", Some("v1.3.9")),
            ("v1.4.1", Some("v1.3.9")),
            ("1.5.0", Some("1.4.1")),
            ("1.5.0-rc.2", Some("1.5.0-rc.1")),
            ("1.5.0-rc.1", Some("1.4.1")),
            ("1.11.0", Some("1.10.0")),
            ("1.4.2-alpine", Some("1.4.1-alpine")),
            ("1.4.2-slim", Some("1.4.1")),
            ("api-1.1.0", Some("api-1.0.0")),
            ("api-1.0.0", None),
            ("1.4.1+build.5", Some("v1.3.9")),
            ("1.3.9", None),
            ("latest", None),
            ("1.4", None),
        ] {
            assert_eq!(previous(tag, tags), expected, "{tag}");
        }
    }
}
