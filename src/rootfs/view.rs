//! A chain of layers seen as one tree.

use std::{
    collections::HashSet,
    fmt,
    io::Read,
    sync::{Arc, OnceLock},
};

use super::{
    error::RootfsError,
    index::{Item, TarIndex},
};
use crate::layer::{Content, Entry, EntryPath, Kind};

const MAX_LINKS: usize = 255;

/// Where a view gets its layers from. Calls may block, and come only for layers that are needed.
pub trait LayerSource: Send + Sync {
    /// How many layers there are.
    fn count(&self) -> usize;
    /// The index of a layer; 0 is the lowest.
    fn index(&self, layer: usize) -> Result<Arc<TarIndex>, RootfsError>;
}

impl LayerSource for Vec<Arc<TarIndex>> {
    fn count(&self) -> usize {
        self.len()
    }

    fn index(&self, layer: usize) -> Result<Arc<TarIndex>, RootfsError> {
        Ok(self[layer].clone())
    }
}

/// What a path is in a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The root directory.
    Root,
    /// An entry. A directory that no layer tells of, but that entries lie in, is `0755` and root's.
    Item(Box<Item>),
}

/// A chain of layers seen as one tree: what a container runtime would find after it had extracted them in order.
/// Blocks while its source does.
pub struct View {
    source: Arc<dyn LayerSource>,
    layers: Vec<PlacedLayer>,
}

/// A layer's index with its entries where they land on the layers below it, once somebody has asked for it. Views of
/// chains that begin with the same layers may share those.
pub type PlacedLayer = Arc<OnceLock<Arc<TarIndex>>>;

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "View({} layers)", self.layers.len())
    }
}

/// What a layer says of a path.
enum Said {
    Item(Box<Item>),
    /// It lies below nothing that is left.
    Gone,
    /// Nothing, and `true` where it has something below the path.
    Nothing(bool),
}

impl View {
    /// A view of these layers, lowest first. Nothing is read yet.
    pub fn new(source: impl LayerSource + 'static) -> Self {
        Self::sharing(source, Vec::new())
    }

    /// The same, where the lowest layers are those of another view, too.
    pub fn sharing(source: impl LayerSource + 'static, mut layers: Vec<PlacedLayer>) -> Self {
        layers.resize_with(source.count(), PlacedLayer::default);
        Self { source: Arc::new(source), layers }
    }

    /// A layer's index with its entries where they land: those in directories the layer does not tell of are moved to
    /// where the layers below have them, which may be behind a symbolic link.
    pub fn layer(&self, number: usize) -> Result<Arc<TarIndex>, RootfsError> {
        if let Some(index) = self.layers[number].get() {
            return Ok(index.clone());
        }
        let index = self.source.index(number)?;
        let placed = super::place::placed(&index, |path| {
            self.place_below(number)?;
            self.resolve_directory_in(number, path)
        })?;
        Ok(self.layers[number].get_or_init(|| placed.unwrap_or(index)).clone())
    }

    /// Places the layers below one, the lowest first: each looks at those below it, and where the uppermost begins, that
    /// is as deep in calls as the chain is long.
    fn place_below(&self, number: usize) -> Result<(), RootfsError> {
        (0..number).try_for_each(|below| self.layer(below).map(drop))
    }

    /// How many layers there are.
    pub fn count(&self) -> usize {
        self.layers.len()
    }

    /// What is at `path`. With `follow`, a symbolic link at its end is followed too; links on the way always are, and
    /// none leads out of the root. `None`: there is nothing.
    pub fn lookup(&self, path: impl AsRef<[u8]>, follow: bool) -> Result<Option<Found>, RootfsError> {
        let (place, found) = self.walk(self.count(), path.as_ref(), follow)?;
        Ok(match place {
            Place::Missing(_) => None,
            Place::At(None) => Some(Found::Root),
            Place::At(Some(_)) => found.map(|item| Found::Item(Box::new(item))),
        })
    }

    /// Where a directory really is when its path is taken, with all links followed; what does not exist is taken as it
    /// is written. `None` is the root.
    pub fn resolve_directory(&self, path: impl AsRef<[u8]>) -> Result<Option<EntryPath>, RootfsError> {
        self.resolve_directory_in(self.count(), path.as_ref())
    }

    fn resolve_directory_in(&self, layers: usize, path: &[u8]) -> Result<Option<EntryPath>, RootfsError> {
        let (place, found) = self.walk(layers, path, true)?;
        match (place, found) {
            (Place::At(Some(path)), Some(item)) if item.entry.kind != Kind::Directory => {
                Err(RootfsError::WrongKind {
                    path: format!("/{path}"),
                    found: name_of(&item.entry.kind),
                    expected: "a directory",
                })
            }
            (Place::At(path), _) => Ok(path),
            (Place::Missing(path), _) => Ok(Some(path)),
        }
    }

    /// The bytes of the regular file at `path`, links followed, if it has not more than `limit`. `None`: it does not
    /// exist.
    pub fn read(&self, path: impl AsRef<[u8]>, limit: u64) -> Result<Option<Vec<u8>>, RootfsError> {
        let shown = || format!("/{}", String::from_utf8_lossy(path.as_ref()).trim_start_matches('/'));
        let wrong = |found| RootfsError::WrongKind { path: shown(), found, expected: "a regular file" };
        match self.lookup(path.as_ref(), true)? {
            None => Ok(None),
            Some(Found::Root) => Err(wrong("a directory")),
            Some(Found::Item(item)) => {
                let Kind::File(content) = &item.entry.kind else {
                    return Err(wrong(name_of(&item.entry.kind)));
                };
                if content.size() > limit {
                    return Err(RootfsError::TooLarge { path: shown(), size: content.size(), limit });
                }
                read_content(content).map(Some)
            }
        }
    }

    /// Goes along `path` through the lowest `layers` layers.
    fn walk(&self, layers: usize, path: &[u8], follow: bool) -> Result<(Place, Option<Item>), RootfsError> {
        let mut ahead: Vec<Vec<u8>> = parts(path);
        let (mut at, mut item): (Option<EntryPath>, Option<Item>) = (None, None);
        let mut links = 0;
        let mut missing = false;
        while let Some(part) = ahead.pop() {
            if part == b".." {
                at = at.and_then(|at| at.parent());
                (item, missing) = (None, false);
                if let Some(path) = at.clone() {
                    item = self.raw(layers, &path)?;
                    missing = item.is_none();
                }
                continue;
            }
            let next = match &at {
                Some(at) => at.join(&part),
                None => match EntryPath::new(&part) {
                    Some(path) => path,
                    None => continue,
                },
            };
            let found = if missing { None } else { self.raw(layers, &next)? };
            if let Some(Item { entry: Entry { kind: Kind::Symlink(target), .. }, .. }) = &found
                && (follow || !ahead.is_empty())
            {
                links += 1;
                if links > MAX_LINKS {
                    return Err(RootfsError::Loop {
                        path: format!("/{}", String::from_utf8_lossy(path).trim_start_matches('/')),
                    });
                }
                if target.starts_with(b"/") {
                    at = None;
                }
                ahead.extend(parts(target));
                item = None;
                continue;
            }
            missing = found.is_none();
            (at, item) = (Some(next), found);
        }
        Ok(match at {
            Some(path) if missing => (Place::Missing(path), None),
            Some(path) if item.is_none() => {
                let item = self.raw(layers, &path)?;
                (Place::At(Some(path)), item)
            }
            at => (Place::At(at), item),
        })
    }

    /// What is at exactly this path, whose parent is a real directory or nothing.
    fn raw(&self, layers: usize, path: &EntryPath) -> Result<Option<Item>, RootfsError> {
        let mut implied = false;
        for number in (0..layers).rev() {
            let layer = self.layer(number)?;
            match said(&layer, path) {
                Said::Item(item) if implied && item.entry.kind != Kind::Directory => break,
                Said::Item(item) => return self.linked(number, *item).map(Some),
                Said::Gone => break,
                Said::Nothing(below) => implied |= below,
            }
        }
        Ok(implied.then(|| implicit(path)))
    }

    /// A hard link into a lower layer becomes the file that it names.
    pub(super) fn linked(&self, layers: usize, item: Item) -> Result<Item, RootfsError> {
        let Kind::Hardlink(target) = &item.entry.kind else { return Ok(item) };
        match self.raw(layers, target)? {
            Some(mut found) if found.entry.kind != Kind::Directory => {
                found.entry.path = item.entry.path;
                Ok(found)
            }
            _ => Err(RootfsError::NotFound {
                path: format!("/{target}, which /{} is a hard link to,", item.entry.path),
            }),
        }
    }
}

enum Place {
    At(Option<EntryPath>),
    Missing(EntryPath),
}

fn parts(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.split(|b| *b == b'/').filter(|part| !matches!(*part, b"" | b"."));
    parts.map(<[u8]>::to_vec).rev().collect()
}

fn said(layer: &TarIndex, path: &EntryPath) -> Said {
    let below = layer.below(path).first();
    if let Some(item) = below.filter(|item| item.entry.path == *path) {
        return Said::Item(Box::new(item.clone()));
    }
    // What is below says that it is a directory; so does the mark that it is opaque.
    let opaque = layer.opaques.partition_point(|other| other < path);
    let directory = below.is_some() || layer.opaques.get(opaque).is_some_and(|other| other.starts_with(path));
    if solid_above(layer, path) {
        return Said::Gone;
    }
    let (mut above, mut own) = (Some(path.clone()), true);
    while let Some(at) = above {
        let cleared = !own && layer.opaques.binary_search(&at).is_ok();
        if cleared || layer.whiteouts.binary_search(&at).is_ok() {
            return if directory { Said::Item(Box::new(implicit(path))) } else { Said::Gone };
        }
        own = false;
        above = at.parent();
    }
    Said::Nothing(directory)
}

/// Whether the layer has something that is no directory on the way to this path.
pub(super) fn solid_above(layer: &TarIndex, path: &EntryPath) -> bool {
    let mut above = path.parent();
    while let Some(at) = above {
        if layer.get(&at).is_some_and(|item| item.entry.kind != Kind::Directory) {
            return true;
        }
        above = at.parent();
    }
    false
}

/// A directory that no layer tells of.
pub(super) fn implicit(path: &EntryPath) -> Item {
    Item { entry: Entry::new(path.clone(), Kind::Directory, 0o755), digest: None }
}

pub(super) fn name_of(kind: &Kind) -> &'static str {
    match kind {
        Kind::Directory => "a directory",
        Kind::File(_) | Kind::Hardlink(_) => "a regular file",
        Kind::Symlink(_) => "a symbolic link",
        Kind::CharDevice { .. } | Kind::BlockDevice { .. } => "a device",
        Kind::Fifo => "a named pipe",
        Kind::Whiteout | Kind::Opaque => "a whiteout",
    }
}

/// The bytes of a small content.
pub(super) fn read_content(content: &Content) -> Result<Vec<u8>, RootfsError> {
    match content {
        Content::Bytes(bytes) => Ok(bytes.to_vec()),
        Content::File { path, .. } => std::fs::read(path).map_err(RootfsError::io("read", path)),
        Content::Range { file, .. } => {
            let mut bytes = Vec::new();
            let read = content.open().and_then(|mut range| range.read_to_end(&mut bytes));
            read.map_err(RootfsError::io("read", &**file))?;
            Ok(bytes)
        }
    }
}

/// Paths that hide what lower layers have.
#[derive(Default)]
pub(super) struct Hidden {
    /// Whiteouts: themselves and what is below.
    pub(super) gone: HashSet<EntryPath>,
    /// Opaque directories and what is no directory: what is below.
    pub(super) cleared: HashSet<EntryPath>,
}

impl Hidden {
    pub(super) fn hides(&self, path: &EntryPath) -> bool {
        let mut above = Some(path.clone());
        let mut own = true;
        while let Some(at) = above {
            if self.gone.contains(&at) || (!own && self.cleared.contains(&at)) {
                return true;
            }
            own = false;
            above = at.parent();
        }
        false
    }
}
