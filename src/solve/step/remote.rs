//! What a copy takes from the web and from Git.

use std::{iter, sync::Arc};

use tokio::runtime::Handle;
use url::Url;

use super::{
    super::{
        StepError,
        pinned::{commit_of, web_file},
        run::Run,
    },
    context::select,
    source::{Source, SourceItem},
};
use crate::{
    context::{Context, Ignore},
    event::{Outcome, Task},
    layer::{Content, Entry, EntryPath, FileStat, Kind},
    recipe::{Copy, GitSource, UrlSource},
};

/// The mode of a file from the web, as Docker has it.
const MODE: u32 = 0o600;

/// The file at a URL.
pub(super) fn file(run: &Arc<Run>, source: &UrlSource) -> Result<Source, StepError> {
    let fetch = web_file(&run.engine, run.pins.as_deref(), &source.url, source.checksum.as_ref());
    let file = Handle::current().block_on(fetch)?;
    let content = {
        let metadata = file.path.metadata().map_err(StepError::Content)?;
        let stat = FileStat::from(&metadata);
        Content::File { path: file.path, stat, digest: Some(file.digest) }
    };
    if let Some(expected) = source.checksum {
        let found = match expected.algorithm() == file.digest.algorithm() {
            true => file.digest,
            false => digest(&content, &expected)?,
        };
        if found != expected {
            let what = crate::error::public_text(&source.url);
            let (expected, found) = (Box::new(expected), Box::new(found));
            return Err(StepError::ArchiveDigest { what, expected, found });
        }
    }
    let path = file_name(&source.url);
    let mut entry = Entry::new(path.clone(), Kind::File(content), MODE);
    entry.mtime = file.modified.unwrap_or(run.mtime);
    let item = SourceItem { below: None, entry, identity: None };
    Ok(Source { path: Some(path), directory: false, items: Box::new(iter::once(item)) })
}

/// The digest of a file by another algorithm than the store's.
fn digest(content: &Content, like: &crate::oci::Digest) -> Result<crate::oci::Digest, StepError> {
    let mut hasher = like.hasher();
    let mut reader = content.open().map_err(StepError::Content)?;
    let mut buffer = vec![0; 128 << 10];
    loop {
        match reader.read(&mut buffer).map_err(StepError::Content)? {
            0 => return Ok(hasher.finish()),
            read => hasher.update(&buffer[..read]),
        }
    }
}

/// The name of the file at a URL: the last part of its path, or what BuildKit says where there is none.
pub(super) fn file_name(url: &str) -> EntryPath {
    let parsed = Url::parse(url).ok();
    let last = parsed.as_ref().and_then(|url| url.path_segments()?.rfind(|part| !part.is_empty()));
    let name = last.map(crate::remote::decoded).filter(|name| !name.contains(['/', '\0']));
    name.and_then(EntryPath::new).unwrap_or_else(unnamed)
}

fn unnamed() -> EntryPath {
    // The name is a path.
    EntryPath::new("__unnamed__").expect("a name is a path")
}

/// What the sources of a copy name in a commit.
pub(super) fn commit(run: &Arc<Run>, source: &GitSource, copy: &Copy) -> Result<Vec<Source>, StepError> {
    let engine = &run.engine;
    let task = engine.sink.start(Task::Fetch { from: source.shown(), digest: None }, None);
    let found = commit_of(engine, run.pins.as_deref(), source)?;
    task.finish(Outcome::Done, None);
    let context = Context::open(&found.path, Ignore::none(), &engine.store, &engine.sink)?;
    match copy.sources.is_empty() {
        true => select(&context, &Copy { sources: vec![".".to_owned()], ..copy.clone() }),
        false => select(&context, copy),
    }
}
