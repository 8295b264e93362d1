//! Archives.

use std::{
    fs::File,
    io::{self, Read, Seek},
    sync::Arc,
};

use tokio::runtime::Handle;

use super::{
    super::{
        StepError,
        place::{Identity, Placer, usual_mode},
        run::Run,
    },
    ground::Below,
    owner::resolve_owner,
    source::archive_file,
};
use crate::{
    context::Filter,
    error::public_text,
    graph::Node,
    layer::{Content, Entry, EntryPath, Kind, verify_file},
    oci::{Digest, Hasher},
    recipe::{Archive, Unpack},
    rootfs::{self, TarIndex},
};

pub(super) fn entries(run: &Arc<Run>, node: &Node, unpack: &Unpack) -> Result<Vec<Entry>, StepError> {
    let ground = Below::new(run, &node.below);
    let owner = unpack.owner.as_ref().map(|owner| resolve_owner(ground.view(), owner)).transpose()?;
    let filter = Filter::new(&unpack.exclude).map_err(StepError::exclude)?;
    let to = match &unpack.to {
        Some(path) => ground.resolve_directory(path)?,
        None => None,
    };
    let index = index(run, node, unpack)?;
    let place = |path: &EntryPath| {
        let stripped = strip(path, unpack.strip)?;
        Some(match &to {
            Some(to) => to.join(stripped.as_bytes()),
            None => stripped,
        })
    };
    let mut placer = Placer::default();
    for item in index.items() {
        if filter.matches(item.entry.path.as_bytes()) {
            continue;
        }
        let Some(path) = place(&item.entry.path) else { continue };
        let Some(path) = ground.place(path, item.entry.kind == Kind::Directory)? else { continue };
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
        (entry.uid, entry.gid) = owner.unwrap_or((entry.uid, entry.gid));
        let directory = entry.kind == Kind::Directory;
        let wanted = if directory { unpack.modes.directories } else { unpack.modes.files };
        match wanted {
            Some(mode) if !matches!(entry.kind, Kind::Symlink(_)) => entry.mode = mode.0,
            None if directory => entry.mode = usual_mode(&entry.path).unwrap_or(entry.mode),
            _ => {}
        }
        placer.put_linked(entry, identity);
    }
    Ok(placer.finish(&ground, run.mtime)?)
}

/// The archive's entries: taken in now, or known from before by the archive's digest. What is parsed is always what was
/// checked; a file here is read each time, so that the store's knowledge of a digest never hides another content.
fn index(run: &Arc<Run>, node: &Node, unpack: &Unpack) -> Result<Arc<TarIndex>, StepError> {
    let store = &run.engine.store;
    let check = |what: &str, found: Digest| match unpack.digest {
        Some(expected) if expected != found => {
            let (expected, found) = (Box::new(expected), Box::new(found));
            Err(StepError::ArchiveDigest { what: what.to_owned(), expected, found })
        }
        _ => Ok(()),
    };
    match &unpack.archive {
        Archive::Url(url) => {
            if let Some(digest) = &unpack.digest
                && let Some(index) = rootfs::load(store, digest)?
            {
                return Ok(index);
            }
            let shown = public_text(url);
            let downloaded = Handle::current().block_on(run.engine.registry.download(url, store))?;
            check(&shown, downloaded.digest)?;
            Ok(rootfs::ingest_file(store, downloaded.file.path(), &shown)?.index)
        }
        Archive::File { path, .. } => {
            let (mut content, source) = archive_file(run, &node.origins[0], path)?;
            let found = digest_of(&mut content).map_err(StepError::Content)?;
            check(path, found)?;
            let archive = rootfs::ingest_as(store, &content, found, path)?;
            if let Some((path, stat)) = &source {
                verify_file(&content, path, stat)?;
            }
            Ok(archive.index)
        }
    }
}

/// The digest of a file's content; the file is at its start before and after.
fn digest_of(file: &mut File) -> io::Result<Digest> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 128 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    file.rewind()?;
    Ok(hasher.finish())
}

/// The path without its leading parts; `None` where nothing is left.
fn strip(path: &EntryPath, count: u32) -> Option<EntryPath> {
    let mut parts = path.as_bytes().splitn(count as usize + 1, |b| *b == b'/');
    EntryPath::new(parts.nth(count as usize)?)
}
