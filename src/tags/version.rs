//! Semantic versions, as npm's `semver` reads them, which metadata-action does with.

use semver::Version;

/// The largest number that JavaScript counts to one by one: larger ones are no versions there.
const LARGEST: u64 = (1 << 53) - 1;

/// A semantic version in a text that may begin with `v`.
pub(super) fn parse(text: &str) -> Option<Version> {
    if text.len() > 256 {
        return None;
    }
    let text = text.trim();
    let version = Version::parse(text.strip_prefix('v').unwrap_or(text)).ok()?;
    [version.major, version.minor, version.patch].iter().all(|number| *number <= LARGEST).then_some(version)
}

/// The version without its build metadata, which tags cannot hold.
pub(super) fn plain(version: &Version) -> String {
    match version.pre.is_empty() {
        true => format!("{}.{}.{}", version.major, version.minor, version.patch),
        false => format!("{}.{}.{}-{}", version.major, version.minor, version.patch, version.pre),
    }
}

/// A full version at the end of a text, and what comes before it, without a `v`: `api/` and 1.2.3 in `api/v1.2.3`.
pub fn at_end(text: &str) -> Option<(&str, Version)> {
    let mut before = None;
    for (at, character) in text.char_indices() {
        let starts =
            character.is_ascii_digit() && !before.is_some_and(|c: char| c.is_ascii_digit() || c == '.');
        before = Some(character);
        if starts && let Some(version) = parse(&text[at..]) {
            return Some((without_v(&text[..at]), version));
        }
    }
    None
}

/// A prefix without the `v` of the version behind it.
pub(super) fn without_v(prefix: &str) -> &str {
    match prefix.strip_suffix('v') {
        Some(rest) if !rest.ends_with(|c: char| c.is_alphanumeric()) => rest,
        _ => prefix,
    }
}
