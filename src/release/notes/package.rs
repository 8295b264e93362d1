//! The packages of a file system, as the databases of package managers tell.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    layer::{Entry, Kind},
    rootfs::{RootfsError, View},
};

/// The largest database that is read: Debian's, with thousands of packages, has a few megabytes.
const LARGEST: u64 = 64 << 20;

/// Whose packages they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ecosystem {
    /// Debian's and Ubuntu's: `/var/lib/dpkg/status`, and `status.d` of distroless images.
    Deb,
    /// Alpine's and Wolfi's: `/lib/apk/db/installed`.
    Apk,
    /// Python's: `*.dist-info/METADATA`, `*.egg-info/PKG-INFO`.
    Python,
    /// npm's: `package.json` in a `node_modules` that is in no other.
    Npm,
}

/// A package's name, and the versions of it that are there.
pub(super) type Packages = BTreeMap<(Ecosystem, String), BTreeSet<String>>;

/// All packages of a tree; `None` where it has no database that is known here. What is malformed is passed over: notes are
/// for people, and a file that merely looks like a database is no reason to have none.
///
/// Blocks.
pub(super) fn packages(view: &View) -> Result<Option<Packages>, RootfsError> {
    let (mut packages, mut known) = (Packages::new(), false);
    for Entry { path, kind, .. } in view.flatten()? {
        let Some(read) = reader(&String::from_utf8_lossy(path.as_bytes())) else { continue };
        if !matches!(&kind, Kind::File(content) if content.size() <= LARGEST) {
            continue;
        }
        if let Some(bytes) = view.read(path.as_bytes(), LARGEST)? {
            known = true;
            read(&String::from_utf8_lossy(&bytes), &mut packages);
        }
    }
    Ok(known.then_some(packages))
}

/// How a file at this path is read, if it is one that tells of packages.
fn reader(path: &str) -> Option<fn(&str, &mut Packages)> {
    let parts: Vec<&str> = path.split('/').collect();
    match &parts[..] {
        ["var", "lib", "dpkg", "status"] => Some(deb),
        ["var", "lib", "dpkg", "status.d", name] if !name.ends_with(".md5sums") => Some(deb),
        ["lib", "apk", "db", "installed"] | ["usr", "lib", "apk", "db", "installed"] => Some(apk),
        [.., folder, "METADATA"] if folder.ends_with(".dist-info") => Some(python),
        [.., folder, "PKG-INFO"] if folder.ends_with(".egg-info") => Some(python),
        [above @ .., "node_modules", name, "package.json"] if is_top(above) && !name.starts_with('@') => {
            Some(npm)
        }
        [above @ .., "node_modules", scope, _, "package.json"] if is_top(above) && scope.starts_with('@') => {
            Some(npm)
        }
        _ => None,
    }
}

fn is_top(above: &[&str]) -> bool {
    !above.contains(&"node_modules")
}

fn add(packages: &mut Packages, ecosystem: Ecosystem, name: &str, version: &str) {
    if !name.is_empty() && !version.is_empty() {
        packages.entry((ecosystem, name.to_owned())).or_default().insert(version.to_owned());
    }
}

/// The first value of a field in a paragraph of `Field: value` lines.
fn field<'a>(paragraph: &'a str, name: &str) -> Option<&'a str> {
    paragraph.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
}

/// Paragraphs of control fields (deb-control(5)); packages that are removed but for their settings are listed, too.
fn deb(text: &str, packages: &mut Packages) {
    for paragraph in text.split("\n\n") {
        let (Some(name), Some(version)) = (field(paragraph, "Package"), field(paragraph, "Version")) else {
            continue;
        };
        let state = field(paragraph, "Status").and_then(|status| status.split_whitespace().nth(2));
        if state.is_none_or(|state| state == "installed") {
            add(packages, Ecosystem::Deb, name, version);
        }
    }
}

/// Paragraphs of one-letter fields: `P:` the name, `V:` the version.
fn apk(text: &str, packages: &mut Packages) {
    for paragraph in text.split("\n\n") {
        if let (Some(name), Some(version)) = (field(paragraph, "P"), field(paragraph, "V")) {
            add(packages, Ecosystem::Apk, name, version);
        }
    }
}

/// The head of a message (core metadata specifications); names are compared as PEP 503 normalises them.
fn python(text: &str, packages: &mut Packages) {
    let head = text.split("\n\n").next().unwrap_or_default();
    if let (Some(name), Some(version)) = (field(head, "Name"), field(head, "Version")) {
        let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
        let name = parts.collect::<Vec<_>>().join("-").to_lowercase();
        add(packages, Ecosystem::Python, &name, version);
    }
}

fn npm(text: &str, packages: &mut Packages) {
    #[derive(Deserialize)]
    struct Manifest {
        name: String,
        version: String,
    }
    if let Ok(Manifest { name, version }) = serde_json::from_str(text) {
        add(packages, Ecosystem::Npm, &name, &version);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str, text: &str) -> Option<Vec<String>> {
        let mut packages = Packages::new();
        reader(path)?(text, &mut packages);
        let said = packages.into_iter().map(|((ecosystem, name), versions)| {
            let versions: Vec<_> = versions.into_iter().collect();
            format!("{ecosystem:?} {name} {}", versions.join(","))
        });
        Some(said.collect())
    }

    #[test]
    fn databases_tell_of_packages() {
        let status = "Package: libc6\nStatus: install ok installed\nDescription: a\n b\nVersion: 2.36-9\n\n\
                      Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\nnonsense\n\n";
        for (path, text, expected) in [
            ("var/lib/dpkg/status", status, &["Deb libc6 2.36-9"][..]),
            ("var/lib/dpkg/status.d/tzdata", "Package: tzdata\nVersion: 2024a\n", &["Deb tzdata 2024a"]),
            (
                "lib/apk/db/installed",
                "C:Q1x=\nP:musl\nV:1.2.4-r2\n\nP:zlib\nV:1.3\n",
                &["Apk musl 1.2.4-r2", "Apk zlib 1.3"],
            ),
            (
                "usr/lib/python3/Foo_Bar-1.dist-info/METADATA",
                "Name: Foo_.Bar\nVersion: 1\n\nName: x\n",
                &["Python foo-bar 1"],
            ),
            ("app/node_modules/a/package.json", r#"{"name":"a","version":"1"}"#, &["Npm a 1"]),
            ("app/node_modules/@s/a/package.json", r#"{"name":"@s/a","version":"1"}"#, &["Npm @s/a 1"]),
            ("app/node_modules/a/package.json", r#"{"name":1}"#, &[]),
            ("var/lib/dpkg/status", "\u{fffd}", &[]),
        ] {
            assert_eq!(read(path, text).unwrap(), expected, "{path}");
        }
        for path in [
            "var/lib/dpkg/status.d/a.md5sums",
            "app/package.json",
            "app/node_modules/a/node_modules/b/package.json",
            "app/node_modules/a/lib/package.json",
            "METADATA",
        ] {
            assert_eq!(read(path, ""), None, "{path}");
        }
    }
}
