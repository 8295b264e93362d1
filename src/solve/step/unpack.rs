//! Archives.

use std::{
    fs::File,
    io::{self, Read, Seek},
    sync::Arc,
};

use tokio::runtime::Handle;

use super::{
    super::{StepError, pinned::web_file, place::Placer, run::Run},
    archive::{Unpacking, put_archive},
    ground::Below,
    owner::resolve_owner,
    source::archive_file,
};
use crate::{
    context::Filter,
    error::public_text,
    graph::Node,
    layer::{Entry, verify_file},
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
    let mut placer = Placer::default();
    let unpacking = Unpacking {
        to: &to,
        strip: unpack.strip,
        owner,
        modes: &unpack.modes,
        usual_modes: true,
        follow: false,
    };
    put_archive(&ground, &mut placer, &index, &unpacking, |path| filter.matches(path.as_bytes()))?;
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
            let file = web_file(&run.engine, run.pins.as_deref(), url, unpack.digest.as_ref());
            let file = Handle::current().block_on(file)?;
            check(&shown, file.digest)?;
            if let Some(index) = rootfs::load(store, &file.digest)? {
                return Ok(index);
            }
            Ok(rootfs::ingest_as(store, store.open_blob(&file.digest)?, file.digest, &shown)?.index)
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
