//! Contexts that are not directories of this machine yet.

use std::{
    fs,
    io::{self, Read, Seek},
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::task::spawn_blocking;

use super::{
    Engine, StepError,
    pinned::{commit_of, web_file},
};
use crate::{
    context::ContextError,
    error::{Failure, public_text},
    event::{Outcome, Task},
    lock::Pins,
    oci::{Digest, Hasher},
    recipe::ContextSource,
    remote::GitSource,
    rootfs::{self, ExtractOptions, View, extract},
    store::StoreError,
};

/// A context that has been brought to this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchedContext {
    /// A directory: one of this machine's, or one of the store, which nobody changes.
    Directory {
        /// Where it is.
        path: PathBuf,
        /// When its commit was made, in seconds since the epoch, if it is one.
        committed: Option<i64>,
    },
    /// One file, which is no archive: what says how to build.
    File {
        /// Where it is.
        path: PathBuf,
        /// A directory with nothing in it: the files that go with it.
        context: PathBuf,
    },
}

/// Brings a context to this machine; `None` for one that is an image. Emits [`Task::Fetch`].
///
/// # Errors
/// The repository or the server does not give it; an archive is damaged or leads out of the context.
pub async fn fetch_context(
    engine: &Engine,
    source: &ContextSource,
) -> Result<Option<FetchedContext>, Failure> {
    fetch_pinned(engine, source, None).await
}

/// The same of a context that a lock may know.
pub(super) async fn fetch_pinned(
    engine: &Engine,
    source: &ContextSource,
    pins: Option<&Arc<Pins>>,
) -> Result<Option<FetchedContext>, Failure> {
    match source {
        ContextSource::Directory(path) => Ok(Some(directory(path.clone()))),
        ContextSource::Image(_) => Ok(None),
        ContextSource::Git(git) => {
            let (engine, git, pins) = (engine.clone(), git.clone(), pins.cloned());
            Ok(Some(blocking(move || commit(&engine, pins.as_deref(), &git)).await??))
        }
        ContextSource::Url(url) => {
            let file = web_file(engine, pins.map(Arc::as_ref), url, None).await?;
            let (engine, what) = (engine.clone(), public_text(url));
            Ok(Some(blocking(move || of_file(&engine, &file.path, file.digest, &what)).await??))
        }
    }
}

/// The context that comes as a stream, such as standard input: a tar, compressed in any way, or one file. Blocks.
pub fn context_of_stream(
    engine: &Engine,
    mut stream: impl Read,
    what: &str,
) -> Result<FetchedContext, Failure> {
    let store = &engine.store;
    let mut file = store.temporary().map_err(StepError::Store)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 128 << 10];
    let read = |error| StepError::Fetch { what: what.to_owned(), source: error };
    loop {
        let count = match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(read(error).into()),
        };
        hasher.update(&buffer[..count]);
        io::Write::write_all(file.file(), &buffer[..count]).map_err(read)?;
    }
    let digest = hasher.finish();
    let path = store.blob_path(&digest);
    file.keep(&path, false).map_err(StepError::Store)?;
    Ok(of_file(engine, &path, digest, what)?)
}

/// Makes sure that the ignore file of a context that somebody else made is its own, and no link to a file of this
/// machine: messages quote it.
fn check_ignore(context: &Path) -> Result<(), StepError> {
    let root = context.canonicalize().map_err(StoreError::io("look at", context))?;
    for name in [".imgbuildignore", ".dockerignore"] {
        if let Ok(file) = root.join(name).canonicalize()
            && !file.starts_with(&root)
        {
            return Err(ContextError::Outside { written: name.to_owned(), root: PathBuf::new() }.into());
        }
    }
    Ok(())
}

fn directory(path: PathBuf) -> FetchedContext {
    FetchedContext::Directory { path, committed: None }
}

fn commit(engine: &Engine, pins: Option<&Pins>, git: &GitSource) -> Result<FetchedContext, StepError> {
    let task = engine.sink.start(Task::Fetch { from: git.shown(), digest: None }, None);
    let found = commit_of(engine, pins, git)?;
    check_ignore(&found.path)?;
    task.finish(Outcome::Done, None);
    Ok(FetchedContext::Directory { path: found.path, committed: Some(found.committed) })
}

/// A context out of a file: what it holds, if it is a tar.
fn of_file(engine: &Engine, path: &Path, digest: Digest, what: &str) -> Result<FetchedContext, StepError> {
    let store = &engine.store;
    let open = || fs::File::open(path).map_err(StepError::Content);
    let contexts = store.root().join("contexts");
    if !rootfs::is_tar(open()?) {
        let context = contexts.join("empty");
        fs::create_dir_all(&context).map_err(StoreError::io("create", &context))?;
        store.use_folder(&context);
        return Ok(FetchedContext::File { path: path.to_owned(), context });
    }
    let folder = contexts.join(digest.hex());
    if store.use_folder(&folder) {
        return Ok(directory(folder));
    }
    let mut archive = open()?;
    archive.rewind().map_err(StepError::Content)?;
    let index = rootfs::ingest_as(store, archive, digest, what)?.index;
    let entries = View::new(vec![index]).flatten()?;
    // Beside a file that nobody else has, so that what is left of a build that died goes with the rest of it.
    let place = store.temporary()?;
    let work = place.path().with_extension("context");
    // Its owners count for nothing in a context.
    let options = ExtractOptions { as_root: false, sink: engine.sink.clone() };
    extract(&entries, &work, &options)?;
    check_ignore(&work)?;
    let failed = |action| StoreError::io(action, folder.clone());
    fs::create_dir_all(&contexts).map_err(failed("create"))?;
    match store.keep_folder(&work, &folder) {
        // Another build has made the same.
        Err(_) if folder.exists() => _ = fs::remove_dir_all(&work),
        renamed => renamed.map_err(failed("rename a context to"))?,
    }
    Ok(directory(folder))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StepError> {
    spawn_blocking(work).await.map_err(|error| StepError::Worker(error.to_string()))
}
