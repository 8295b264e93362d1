//! What a build works with, and what is asked of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use super::CommandOptions;
use crate::{
    cache::Cache,
    event::Sink,
    image::BlobOrigin,
    layer::{Compression, Pool},
    lock::Pins,
    oci::{Descriptor, Platform},
    recipe::{ContextSource, Request},
    registry::Client,
    store::Store,
};

/// What builds work with: one for each run of the program. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    /// Where blobs, records and names are kept.
    pub store: Store,
    /// The registries.
    pub registry: Client,
    /// The threads that compress.
    pub pool: Pool,
    /// Where events go.
    pub sink: Sink,
}

/// What one build is asked for, besides what the file says.
#[derive(Debug, Clone)]
pub struct Options {
    /// What to build for; at least one.
    pub platforms: Vec<Platform>,
    /// The stage wanted, if not the file's own choice.
    pub target: Option<String>,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// Build contexts; the main one is `""`.
    pub contexts: BTreeMap<String, ContextSource>,
    /// The file that says what to build, if it is a file: an ignore file may lie beside it.
    pub file: Option<PathBuf>,
    /// Seconds since the epoch that files' times are set to, if the user set them.
    pub source_date_epoch: Option<i64>,
    /// When the images count as made, in seconds since the epoch.
    pub created: i64,
    /// Labels that go before all others.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the manifests, which go before the file's.
    pub annotations: BTreeMap<String, String>,
    /// Annotations of the index, which go before the file's.
    pub index_annotations: BTreeMap<String, String>,
    /// How layers are compressed.
    pub compression: Compression,
    /// How many layers a copy makes at the most that does not say it itself; see [`crate::layer::split`].
    pub split_copies: u8,
    /// What commands are given.
    pub commands: CommandOptions,
    /// What names mean, where a lock says it; goes before `pull`.
    pub pins: Option<Arc<Pins>>,
    /// Whether references mean the registry's images although the store has its own.
    pub pull: bool,
    /// Whether steps are carried out although the cache has their layers.
    pub no_cache: bool,
    /// The stages whose steps are carried out although the cache has their layers.
    pub no_cache_stages: BTreeSet<String>,
    /// The caches of other machines that are asked and told.
    pub cache: Option<Cache>,
    /// The steps that the build fails for if they are not in the cache, each as `imgbuild why` takes it.
    pub fail_on_miss: Vec<String>,
}

impl Options {
    /// The question to the front end for one platform.
    pub(super) fn request(&self, platform: &Platform) -> Request {
        Request {
            platform: platform.clone(),
            build_platform: Platform::host(),
            target: self.target.clone(),
            args: self.args.clone(),
            contexts: self.contexts.clone(),
            source_date_epoch: self.source_date_epoch,
        }
    }
}

/// Who hears of a layer that lies in the store and will be part of an image, and where it came from if it is a base's.
pub type Ready = Arc<dyn Fn(&Descriptor, Option<&BlobOrigin>) + Send + Sync>;
