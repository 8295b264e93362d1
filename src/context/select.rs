//! What a copy picks from a context.

use super::{
    Below, Filter,
    source::Match,
    tree::{Node, below_root, join},
};
use crate::{
    layer::{Content, Entry, EntryPath, Kind},
    oci::Digest,
};

use std::path::Path;

/// What to pick.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Selection {
    /// Paths or globs relative to the context's root, in the syntax of [`super::Pattern`].
    pub sources: Vec<String>,
    /// What to leave out: patterns as in an ignore file, relative to each directory that a source matches. A file
    /// that a source matches itself is judged by its name.
    pub exclude: Vec<String>,
    /// Whether a glob may match nothing. A plain path never may.
    pub empty_globs: bool,
}

/// One thing that a source matches, with everything below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picked {
    /// Which of [`Selection::sources`], from 0.
    pub source: usize,
    /// The path it was found under, relative to the context: its name is the name to copy it as, also where it is a
    /// link that was followed. `None`: the context itself.
    pub path: Option<EntryPath>,
    /// The directory itself, where it is one; `None` for anything else. Its entry's path is its name, or `context` for
    /// the context itself: only its mode, time and attributes count.
    pub directory: Option<Item>,
    /// A directory: what is below it, sorted as layers are, with paths relative to it. Else: the one entry, with its
    /// name as the path.
    pub items: Vec<Item>,
}

/// One file, directory, link, device or pipe of a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The entry, owned by root and of the epoch, with its mode as git would keep it (`0755` or `0644`, special bits
    /// kept). Hard links are several files here: see [`Item::identity`].
    pub entry: Entry,
    /// Its mode as it is on disk, but that what only a umask of 002 allows the group counts as not allowed: 0664 is 0644
    /// here, 0775 is 0755. For copies by Docker's rules, which keep modes.
    pub mode: u32,
    /// The time of its last change on disk, in seconds since the epoch.
    pub mtime: i64,
    /// Device and inode of a file that has several names: equal ones are hard links of each other.
    pub identity: Option<(u64, u64)>,
}

impl Item {
    /// The digest of a file's bytes.
    pub fn digest(&self) -> Option<Digest> {
        match &self.entry.kind {
            Kind::File(Content::File { digest, .. }) => *digest,
            _ => None,
        }
    }
}

/// A node that is selected, and where.
pub(super) struct Chosen<'t> {
    pub(super) node: &'t Node,
    /// Where it is in the context.
    pub(super) path: Vec<u8>,
    /// Where in `path` that begins which is relative to what was picked.
    relative: usize,
    /// The name of something that was picked itself: another one where a link was followed.
    name: Option<Vec<u8>>,
}

impl Chosen<'_> {
    /// Where it is, relative to what was picked.
    pub(super) fn relative(&self) -> &[u8] {
        self.name.as_deref().unwrap_or(&self.path[self.relative..])
    }
}

/// What is selected of one match: the entries below a directory, or the one entry.
pub(super) fn choose<'t>(found: &Match<'t>, exclude: &Filter) -> Vec<Chosen<'t>> {
    let mut chosen = Vec::new();
    if found.node.is_dir() {
        let relative = if found.path.is_empty() { 0 } else { found.path.len() + 1 };
        collect(found.node, (&found.path, relative), exclude, &exclude.top(), &mut chosen);
        return chosen;
    }
    let name = found.named.rsplit(|b| *b == b'/').next().unwrap_or_default();
    if !exclude.judge(&exclude.top(), name).excluded() {
        let (path, name) = (found.path.clone(), Some(name.to_vec()));
        chosen.push(Chosen { node: found.node, path, relative: 0, name });
    }
    chosen
}

/// Collects what is below a directory, in the order of layers. A directory that is left out is there all the same if
/// something below it is not.
fn collect<'t>(
    node: &'t Node,
    (path, relative): (&[u8], usize),
    exclude: &Filter,
    at: &Below,
    chosen: &mut Vec<Chosen<'t>>,
) {
    let listing = node.known_listing().unwrap_or_default();
    chosen.reserve(listing.len());
    for child in listing {
        let verdict = exclude.judge(at, &child.name);
        if verdict.excluded() && !child.is_dir() {
            continue;
        }
        let start = chosen.len();
        chosen.push(Chosen { node: child, path: join(path, &child.name), relative, name: None });
        if !child.is_dir() {
            continue;
        }
        let below = exclude.enter(at, &child.name, verdict);
        if !verdict.excluded() || exclude.may_reinclude(&below) {
            let path = chosen[start].path.clone();
            collect(child, (&path, relative), exclude, &below, chosen);
        }
        if (child.ignored || verdict.excluded()) && chosen.len() == start + 1 {
            chosen.pop();
        }
    }
}

/// Makes the item of a node whose inside is known. `None`: it has no name, or is nothing that a layer can hold.
pub(super) fn item(root: &Path, node: &Node, relative: &[u8], path: &[u8]) -> Option<Item> {
    use rustix::fs::FileType;
    let (major, minor) = (rustix::fs::major(node.device), rustix::fs::minor(node.device));
    let kind = match node.file_type {
        FileType::Directory => Kind::Directory,
        FileType::RegularFile => Kind::File(Content::File {
            path: below_root(root, path),
            stat: node.stat,
            digest: node.inside.get().and_then(|inside| inside.digest),
        }),
        FileType::Symlink => Kind::Symlink(node.target.clone()),
        FileType::Fifo => Kind::Fifo,
        FileType::CharacterDevice => Kind::CharDevice { major, minor },
        FileType::BlockDevice => Kind::BlockDevice { major, minor },
        FileType::Socket | FileType::Unknown => return None,
    };
    let inside = node.inside.get().cloned().unwrap_or_default();
    let mut entry = Entry::new(EntryPath::new(relative)?, kind, node.image_mode());
    entry.xattrs = inside.xattrs;
    let several = node.file_type.is_file() && node.links > 1;
    Some(Item {
        entry,
        mode: node.kept_mode(),
        mtime: node.stat.mtime.0,
        identity: several.then_some((node.stat.device, node.stat.inode)),
    })
}
