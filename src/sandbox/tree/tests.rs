//! Trees there and back. Expects to run as root, as the sandbox does.

mod changes;
mod hostile;
mod overlay;
mod owners;

use std::{fs, path::Path};

use super::{capture::entries, *};
use crate::layer::{Content, Entry, EntryPath, Kind};

pub(super) const ROOT: Flavour = Flavour { marks: Marks::Trusted, owners: Owners::Real };
pub(super) const USER: Flavour = Flavour { marks: Marks::User, owners: Owners::Real };
pub(super) const SINGLE: Flavour = Flavour { marks: Marks::User, owners: Owners::Recorded };

pub(super) fn path(text: &str) -> EntryPath {
    EntryPath::new(text).unwrap()
}

pub(super) fn entry(at: &str, kind: Kind, mode: u32) -> Entry {
    Entry { mtime: 1_700_000_000, ..Entry::new(path(at), kind, mode) }
}

pub(super) fn file(at: &str, bytes: &[u8]) -> Entry {
    entry(at, Kind::File(Content::Bytes(bytes.to_vec().into())), 0o644)
}

pub(super) fn dir(at: &str) -> Entry {
    entry(at, Kind::Directory, 0o755)
}

/// Entries with the contents in memory, to be compared.
pub(super) fn plain(entries: Vec<Entry>) -> Vec<Entry> {
    let load = |mut entry: Entry| {
        if let Kind::File(content) = &entry.kind {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut content.open().unwrap(), &mut bytes).unwrap();
            entry.kind = Kind::File(Content::Bytes(bytes.into()));
        }
        entry
    };
    entries.into_iter().map(load).collect()
}

pub(super) fn captured(upper: &Path, flavour: Flavour) -> Vec<Entry> {
    plain(entries(upper, &[], flavour, &CaptureOptions::default()).unwrap().0)
}

#[test]
fn what_is_unpacked_is_captured_as_it_was() {
    let mut list = file("etc/shadow", b"root:*:");
    (list.uid, list.gid, list.mode) = (3, 42, 0o640);
    let mut tool = file("usr/bin/tool", &[7; 300_000]);
    tool.mode = 0o4755;
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    tool.xattrs.insert(b"security.capability".to_vec(), capability.to_vec());
    tool.xattrs.insert(b"user.note".to_vec(), b"hello".to_vec());
    tool.xattrs.insert(b"user.overlay.opaque".to_vec(), b"y".to_vec());
    let other = Entry {
        kind: Kind::Hardlink(path("usr/bin/tool")),
        path: path("usr/bin/tool2"),
        xattrs: Default::default(),
        ..tool.clone()
    };
    let mut home = entry("home", Kind::Directory, 0o2775);
    (home.uid, home.gid) = (1000, 1001);
    for flavour in [ROOT, USER, SINGLE] {
        let mut entries = vec![
            dir("etc"),
            entry("etc/old", Kind::Whiteout, 0),
            list.clone(),
            home.clone(),
            entry("home", Kind::Opaque, 0),
            file("home/empty", b""),
            dir("usr"),
            dir("usr/bin"),
            entry("usr/bin/link", Kind::Symlink(b"/no/such".to_vec()), 0o777),
            tool.clone(),
            other.clone(),
            dir("var"),
            entry("var/null", Kind::CharDevice { major: 1, minor: 3 }, 0o666),
            entry("var/pipe", Kind::Fifo, 0o600),
            entry("var/sda", Kind::BlockDevice { major: 8, minor: 0 }, 0o660),
        ];
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        assert_eq!(unpack(&entries, &tree, &[], flavour).unwrap(), Vec::<String>::new());
        // Marks have no time.
        entries
            .iter_mut()
            .filter(|e| matches!(e.kind, Kind::Whiteout | Kind::Opaque))
            .for_each(|e| e.mtime = 0);
        assert_eq!(captured(&tree, flavour), entries, "{flavour:?}");
        remove(&tree).unwrap();
        assert!(!fs::exists(&tree).unwrap());
    }
}
