//! The certificates of the host, seen by commands and not left in the image.
//!
//! Most tools are told by variables. Those that only look at the system's own file find the certificates there, too:
//! the file comes from a tree between those of the image and the step's own. So it can be replaced, as distributions'
//! tools do it by renaming (which fails on a mount), and what replaces it is the step's own.

use std::{cell::LazyCell, io::Read, path::PathBuf, sync::Arc};

use bytes::Bytes;
use memchr::memmem;

use super::{
    super::{
        StepError,
        key::layer_key,
        run::{Run, briefly},
        step::view,
    },
    java,
    machine::Machine,
    trees::{folder, unpacked},
};
use crate::{
    graph::Tree,
    layer::{Content, Entry, EntryPath, Kind},
    rootfs::{Found, View},
};

/// Where the bundle is while a command runs.
pub(super) const BUNDLE: &str = "/run/imgbuild/ca.pem";

/// The variables that tell tools where certificates are: OpenSSL and Go; curl; Python's requests and pip; Node; git;
/// cargo; npm; the AWS tools.
pub(super) const VARIABLES: [&str; 9] = [
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "npm_config_cafile",
    "AWS_CA_BUNDLE",
];

/// Where systems have their certificates in one file: Debian and Alpine, Fedora, older Red Hat, OpenSSL's own.
const SYSTEM: [&str; 5] = [
    "etc/ssl/certs/ca-certificates.crt",
    "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/ssl/cert.pem",
    "etc/ssl/ca-bundle.pem",
];

/// Where Java has its own: Debian and Alpine; Temurin's, Debian's and others' installations.
const JAVA: [&str; 4] = [
    "etc/ssl/certs/java/cacerts",
    "opt/java/openjdk/lib/security/cacerts",
    "usr/lib/jvm/*/lib/security/cacerts",
    "usr/lib/jvm/*/jre/lib/security/cacerts",
];

/// The largest file of certificates that is looked at.
const LARGEST: u64 = 16 << 20;

/// A tree with the image's own files of certificates and the host's certificates in them, if the image has such files.
pub(super) async fn tree(
    run: &Arc<Run>,
    machine: &dyn Machine,
    below: &Tree,
) -> Result<Option<PathBuf>, StepError> {
    let Some(bundle) = run.commands.options.certificates.clone() else { return Ok(None) };
    let entries = briefly(|| entries(&view(run, below), &bundle))?;
    if entries.is_empty() {
        return Ok(None);
    }
    let name = layer_key(&entries, "tree").map_err(StepError::Content)?;
    let path = folder(run, machine).join(name.hex());
    unpacked(run, machine, &path, entries, &[]).await?;
    Ok(Some(path))
}

fn entries(view: &View, bundle: &[u8]) -> Result<Vec<Entry>, StepError> {
    let mut entries: Vec<Entry> = Vec::new();
    for (path, is_java) in places(view)? {
        // Several of them may be links to one.
        let Some(Found::Item(item)) = view.lookup(path.as_bytes(), true)? else { continue };
        let mut entry = item.entry;
        let (Kind::File(content), false) = (&entry.kind, entries.iter().any(|e| e.path == entry.path)) else {
            continue;
        };
        if content.size() > LARGEST {
            continue;
        }
        let bytes = view.read(path.as_bytes(), LARGEST)?.unwrap_or_default();
        let bytes = if is_java {
            java::key_store(&bytes, &java::certificates(bundle))
        } else {
            joined(bytes, bundle)
        };
        entry.kind = Kind::File(Content::Bytes(Bytes::from(bytes)));
        let mut above = entry.path.parent();
        entries.push(entry);
        while let Some(at) = above {
            above = at.parent();
            if !entries.iter().any(|known| known.path == at) {
                entries.push(directory(view, &at)?);
            }
        }
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

/// The files of certificates that there may be, and whether they are Java's.
fn places(view: &View) -> Result<Vec<(EntryPath, bool)>, StepError> {
    let mut places: Vec<_> = SYSTEM.iter().filter_map(|path| Some((EntryPath::new(path)?, false))).collect();
    for pattern in JAVA {
        // The patterns are those above, which are well.
        let found = view.glob(pattern)?.unwrap_or_default();
        places.extend(found.into_iter().map(|path| (path, true)));
    }
    Ok(places)
}

/// Two PEM files as one.
fn joined(mut bytes: Vec<u8>, bundle: &[u8]) -> Vec<u8> {
    if !bytes.ends_with(b"\n") {
        bytes.push(b'\n');
    }
    bytes.extend_from_slice(bundle);
    bytes
}

fn directory(view: &View, path: &EntryPath) -> Result<Entry, StepError> {
    Ok(match view.lookup(path.as_bytes(), false)? {
        Some(Found::Item(item)) if item.entry.kind == Kind::Directory => item.entry,
        _ => Entry::new(path.clone(), Kind::Directory, 0o755),
    })
}

/// The first of these entries, which a command left, that has the host's certificates in it.
pub(super) fn left_in<'a>(entries: &'a [Entry], bundle: &[u8]) -> Option<&'a EntryPath> {
    // Few steps leave such a file: all certificates are decoded for those alone.
    let of_java = LazyCell::new(|| java::certificates(bundle).into_iter().next().unwrap_or_default());
    let is_system = |entry: &Entry| SYSTEM.iter().any(|path| entry.path.as_bytes() == path.as_bytes());
    let is_java = |entry: &Entry| entry.path.name() == b"cacerts";
    entries.iter().find_map(|entry| {
        // A step may leave a file of any size under these names; certificates are never as large.
        let Kind::File(content) = &entry.kind else { return None };
        if content.size() > LARGEST {
            return None;
        }
        let part = match () {
            () if is_system(entry) => bundle,
            () if is_java(entry) => of_java.as_slice(),
            () => return None,
        };
        let mut bytes = Vec::new();
        content.open().ok()?.take(LARGEST).read_to_end(&mut bytes).ok()?;
        (!part.is_empty() && memmem::find(&bytes, part).is_some()).then_some(&entry.path)
    })
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::unix::fs::FileExt};

    use super::*;
    use crate::layer::FileStat;

    #[test]
    fn files_that_hold_the_bundle_are_found() {
        let bundle = b"-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n";
        let store = java::key_store(b"", &java::certificates(bundle));
        let entry = |path: &str, bytes: &[u8]| {
            let content = Content::Bytes(Bytes::copy_from_slice(bytes));
            Entry::new(EntryPath::new(path).unwrap(), Kind::File(content), 0o644)
        };
        for (path, bytes, expected) in [
            (SYSTEM[0], joined(b"x".to_vec(), bundle), true),
            (SYSTEM[0], b"x".to_vec(), false),
            ("opt/x/cacerts", store.clone(), true),
            ("opt/x/cacerts", bundle.to_vec(), false),
            ("opt/x/other", store, false),
        ] {
            let entries = [entry("a", bundle), entry(path, &bytes)];
            let found = left_in(&entries, bundle);
            assert_eq!(found, expected.then_some(&entries[1].path), "{path} {bytes:?}");
            assert_eq!(left_in(&entries, b""), None);
        }
    }

    /// A step may leave a file of any size under these names: it is not read.
    #[test]
    fn large_files_are_not_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        let bundle = b"OWN CERTIFICATE";
        let left = |name: &str, before: u64| {
            let file = File::create(&path).unwrap();
            file.write_all_at(bundle, before).unwrap();
            let stat = FileStat::from(&file.metadata().unwrap());
            let content = Content::File { path: path.clone(), stat, digest: None };
            let entry = Entry::new(EntryPath::new(name).unwrap(), Kind::File(content), 0o644);
            left_in(&[entry], bundle).is_some()
        };
        assert!(left(SYSTEM[1], LARGEST - bundle.len() as u64));
        assert!(!left(SYSTEM[1], LARGEST + 1 - bundle.len() as u64));
    }
}
