//! Records of builds in caches that machines share.

use std::{io::Read, path::Path};

use super::{
    BuildRecord, KeptBuild,
    kept::{export, import},
};
use crate::{
    cache::{Cache, SharedBuild},
    error::Failure,
    layer::{self, Compression, Content, Entry, EntryPath, Kind, write_layer},
    oci::Digest,
    rootfs,
    store::Store,
};

use super::super::{Engine, StepError, created::commit, run::blocking};

/// The name of the record in its tar.
const FILE: &str = "build.json";

/// Compressed, a record has a few bytes for each file of a layer.
const COMPRESSION: Compression = Compression::Zstd { level: 3 };

/// Begins to tell the caches that are written of this build.
pub(in super::super) fn share(engine: &Engine, cache: &Cache, record: BuildRecord) {
    if record.id.is_empty() {
        return;
    }
    let (engine, id) = (engine.clone(), record.id.clone());
    cache.put_build(&id, async move {
        let sink = engine.sink.clone();
        let made = blocking(move || make(&engine, record)).await.map_err(Failure::from);
        match made.and_then(|made| made) {
            Ok(made) => Some(made),
            Err(error) => {
                sink.warn(format!("`imgbuild why` on other machines will not know of this build: {error}"));
                None
            }
        }
    });
}

fn make(engine: &Engine, record: BuildRecord) -> Result<SharedBuild, Failure> {
    let main = record.contexts.iter().find(|context| context.name.is_empty());
    let root = main.map(|context| context.root.clone()).unwrap_or_default();
    let file = record.file.as_ref().map(|file| {
        let inside = Path::new(file).strip_prefix(&root).ok().map(|path| path.display().to_string());
        inside.unwrap_or_else(|| name(file))
    });
    let build = KeptBuild { record, ..KeptBuild::default() };
    let bytes = export(&engine.store, &build);
    // It is a path.
    let path = EntryPath::new(FILE).ok_or_else(|| StepError::Worker("a name is empty".to_owned()))?;
    let entry = Entry::new(path, Kind::File(Content::Bytes(bytes.into())), 0o644);
    let options = layer::Options { compression: COMPRESSION, ..layer::Options::default() };
    let written = write_layer(&engine.store, &engine.pool, [entry], &options)?;
    let record = build.record;
    Ok(SharedBuild {
        key: Digest::of(record.id.as_bytes()),
        id: record.id,
        file: file.map(cut),
        target: record.target.map(cut),
        context: cut(name(&root)),
        commit: Path::new(&root).is_dir().then(|| commit(Path::new(&root))).flatten(),
        platforms: record.platforms,
        well: record.well,
        ended: record.ended,
        record: written.layer,
    })
}

fn name(path: &str) -> String {
    Path::new(path).file_name().map_or_else(|| path.to_owned(), |name| name.to_string_lossy().into_owned())
}

fn cut(text: String) -> String {
    text.chars().take(200).collect()
}

/// What is known of builds in the caches that are asked, the latest first.
pub async fn shared_builds(cache: &Cache) -> Vec<SharedBuild> {
    let mut found = cache.builds().await;
    found.sort_by_key(|build| std::cmp::Reverse(build.ended));
    found.dedup_by(|a, b| a.id == b.id);
    found
}

/// The whole record of a build in the caches.
///
/// # Errors
/// The cache does not have it any more, or it is none.
pub async fn open_shared_build(
    store: &Store,
    cache: &Cache,
    build: &SharedBuild,
) -> Result<KeptBuild, Failure> {
    cache.fetch(&build.record.descriptor).await?;
    let (store, layer, what) =
        (store.clone(), build.record.clone(), format!("the record of the build {}", build.id));
    let read = blocking(move || {
        let index = rootfs::materialise_promised(&store, &layer, &what, || {
            Ok(store.open_blob(&layer.descriptor.digest)?)
        })?;
        let none = || StepError::NoRecord { what: what.clone() };
        let item = EntryPath::new(FILE).and_then(|path| index.get(&path)).ok_or_else(none)?;
        let Kind::File(content) = &item.entry.kind else { return Err(none().into()) };
        let mut bytes = Vec::new();
        let reading = content.open().and_then(|mut content| content.read_to_end(&mut bytes));
        reading.map_err(StepError::Content)?;
        import(&bytes).ok_or_else(|| Failure::from(none()))
    });
    read.await?
}

/// The latest build of the caches that is of the same file, target and context as this one.
pub fn like<'a>(builds: &'a [SharedBuild], record: &BuildRecord) -> Option<&'a SharedBuild> {
    let main = record.contexts.iter().find(|context| context.name.is_empty());
    let root = main.map(|context| context.root.as_str()).unwrap_or_default();
    let file = record.file.as_deref().map(name);
    let fits = |build: &&SharedBuild| {
        let same = build.id != record.id && build.file.as_deref().map(name) == file;
        same && build.target == record.target && build.platforms.iter().any(|p| record.platforms.contains(p))
    };
    let fitting = || builds.iter().filter(fits);
    // A checkout may have any name.
    let named = fitting().find(|build| build.context == name(root) && build.well);
    named.or_else(|| fitting().find(|build| build.well)).or_else(|| fitting().next())
}
