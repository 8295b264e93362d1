//! The layers of a snapshot, on this machine.

use std::{collections::HashMap, path::Path, sync::Arc};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{super::super::run::blocking, merged::Merged};
use crate::{
    cache::{Snapshot, Snapshots},
    error::Failure,
    layer::{Content, Entry, EntryPath, Kind, Layer},
    rootfs::{self, TarIndex},
    store::Store,
};

/// How many layers are fetched at once.
const AT_ONCE: usize = 4;

/// The layers of a snapshot, lowest first, each unpacked into the store.
pub(super) async fn indices(
    store: &Store,
    snapshot: &Snapshot,
    what: &str,
    snapshots: &Snapshots,
) -> Result<Vec<Arc<TarIndex>>, Failure> {
    let one = async |layer: &Layer| {
        if !rootfs::has(store, &layer.diff_id) && !store.has_blob(&layer.descriptor) {
            snapshots.fetch(&layer.descriptor).await?;
        }
        let (store, layer, what) = (store.clone(), layer.clone(), what.to_owned());
        let made = blocking(move || {
            rootfs::materialise_promised(&store, &layer, &what, || {
                Ok(store.open_blob(&layer.descriptor.digest)?)
            })
        });
        Ok::<_, Failure>(made.await??)
    };
    stream::iter(snapshot.layers.iter().map(one)).buffered(AT_ONCE).try_collect().await
}

/// Blocks: merging sorts.
pub(super) fn merge(indices: &[Arc<TarIndex>]) -> Merged {
    Merged::of(indices.iter().map(|index| &**index))
}

/// Entries with names of one file as hard links to the first of them: their content is one range of one tar.
pub(super) fn linked(mut entries: Vec<Entry>) -> Vec<Entry> {
    let mut first: HashMap<(Arc<Path>, u64), EntryPath> = HashMap::new();
    for entry in &mut entries {
        let Kind::File(Content::Range { file, offset, .. }) = &entry.kind else { continue };
        let name = first.entry((Arc::clone(file), *offset)).or_insert_with(|| entry.path.clone());
        if *name != entry.path {
            entry.kind = Kind::Hardlink(name.clone());
        }
    }
    entries
}
