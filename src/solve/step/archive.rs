//! The files of an archive, put into a layer.

use std::{
    io::{self, Seek},
    sync::Arc,
};

use super::{
    super::{
        StepError,
        place::{Identity, Placer, usual_mode},
        run::Run,
    },
    ground::Below,
};
use crate::{
    layer::{Content, Entry, EntryPath, Kind, open_file, verify_file},
    recipe::Modes,
    rootfs::{self, TarIndex},
};

/// How an archive's files are put into a layer.
pub(super) struct Unpacking<'a> {
    /// The directory that they go to; `None` is the root.
    pub(super) to: &'a Option<EntryPath>,
    /// How many leading parts of their paths are cut off.
    pub(super) strip: u32,
    /// Who owns them; the archive's numbers if `None`.
    pub(super) owner: Option<(u64, u64)>,
    /// Their modes; the archive's where not given.
    pub(super) modes: &'a Modes,
    /// Whether directories such as `/tmp` have their usual modes, whatever the archive says.
    pub(super) usual_modes: bool,
    /// Whether links that lead to places are followed although no base is looked at.
    pub(super) follow: bool,
}

/// Puts an archive's entries into a layer, but for those that `skip` (their paths in the archive).
pub(super) fn put_archive(
    ground: &Below,
    placer: &mut Placer,
    index: &TarIndex,
    unpacking: &Unpacking<'_>,
    skip: impl Fn(&EntryPath) -> bool,
) -> Result<(), StepError> {
    let place = |path: &EntryPath| {
        let stripped = strip(path, unpacking.strip)?;
        Some(match unpacking.to {
            Some(to) => to.join(stripped.as_bytes()),
            None => stripped,
        })
    };
    let follow = |path, directory| match unpacking.follow {
        true => ground.follow(path, directory),
        false => ground.place(path, directory),
    };
    for item in index.items() {
        if skip(&item.entry.path) {
            continue;
        }
        let Some(path) = place(&item.entry.path) else { continue };
        let Some(path) = follow(path, item.entry.kind == Kind::Directory)? else { continue };
        let mut entry = Entry { path, ..item.entry.clone() };
        let mut identity = None;
        match &mut entry.kind {
            Kind::File(Content::Range { file, offset, size, digest }) => {
                *digest = digest.or(item.digest);
                identity = (*size > 0).then(|| Identity::Range { file: Arc::clone(file), offset: *offset });
            }
            // The name of a file that the archive does not have: tar itself could not unpack it either.
            Kind::Hardlink(target) => match place(target) {
                Some(target) => entry.kind = Kind::Hardlink(target),
                None => continue,
            },
            _ => {}
        }
        (entry.uid, entry.gid) = unpacking.owner.unwrap_or((entry.uid, entry.gid));
        let directory = entry.kind == Kind::Directory;
        let wanted = if directory { &unpacking.modes.directories } else { &unpacking.modes.files };
        match wanted {
            Some(mode) if !matches!(entry.kind, Kind::Symlink(_)) => {
                entry.mode = mode.apply(entry.mode, directory)
            }
            None if directory && unpacking.usual_modes => {
                entry.mode = usual_mode(&entry.path).unwrap_or(entry.mode)
            }
            _ => {}
        }
        placer.put_linked(entry, identity);
    }
    Ok(())
}

/// The path without its leading parts; `None` where nothing is left.
fn strip(path: &EntryPath, count: u32) -> Option<EntryPath> {
    let mut parts = path.as_bytes().splitn(count as usize + 1, |b| *b == b'/');
    EntryPath::new(parts.nth(count as usize)?)
}

/// The entries of a file that is a tar, compressed or not, as its first entry tells; `None` for any other file.
///
/// # Errors
/// A tar that is damaged further on is an error, not a file.
pub(super) fn archive(run: &Run, content: &Content, what: &str) -> Result<Option<Arc<TarIndex>>, StepError> {
    let store = &run.engine.store;
    let file = match content {
        Content::File { path, stat, .. } => open_file(path, stat)?,
        Content::Bytes(_) | Content::Range { .. } => {
            if !rootfs::is_tar(content.open().map_err(StepError::Content)?) {
                return Ok(None);
            }
            // Archives are read twice: into a file of its own.
            let mut copy = store.temporary()?;
            let copied = content.open().and_then(|mut reader| io::copy(&mut reader, copy.file()));
            copied.and_then(|_| copy.file().rewind()).map_err(StepError::Content)?;
            return Ok(Some(rootfs::ingest(store, copy.file(), what)?.index));
        }
    };
    if !rootfs::is_tar(&file) {
        return Ok(None);
    }
    (&file).rewind().map_err(StepError::Content)?;
    let index = match content {
        Content::File { digest: Some(digest), .. } => rootfs::ingest_as(store, &file, *digest, what)?.index,
        _ => rootfs::ingest(store, &file, what)?.index,
    };
    if let Content::File { path, stat, .. } = content {
        verify_file(&file, path, stat)?;
    }
    Ok(Some(index))
}
