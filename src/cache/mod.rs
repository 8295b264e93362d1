//! Caches that builds share: what steps gave, kept where other machines find it.
//!
//! A cache holds *entries*: small documents, each under the key of one step, that say what the step left and which blob
//! holds it. Writers only ever add entries and blobs: there is no list of all entries, over which writers would race
//! and which every reader would have to load. A reader asks for one key with one request, and fetches a blob only when
//! somebody looks into it.
//!
//! | file | what it holds |
//! |---|---|
//! | `entry`, `snapshot` | what is remembered of a step; what a cache mount held |
//! | `build` | what is remembered of a build, to explain others |
//! | `document` | the document that carries any of them |
//! | `signature` | keys that sign documents, and keys that are trusted |
//! | `place` | where a cache is, as the user says it |
//! | `backend` | what can be done with any cache |
//! | `registry`, `directory` | a repository of a registry; a directory |
//! | `bucket`, `actions` | a bucket of S3; the cache service of GitHub Actions |
//! | `receive` | blobs from the network into the store |
//! | `import`, `export` | asking several caches; sending entries beside a build |
//! | `shared` | [`Cache`]: all caches of a build, for the solver |
//!
//! A cache is a convenience. One that cannot be reached, or holds nonsense, is warned of once and asked no more; what it
//! says is believed only as far as it can be checked: an entry stands under its own key and is well-formed, and blobs
//! have the digests that entries promise. Whoever can write to a cache can still say that a step gave something else
//! than it did: signatures are against that.
//!
//! This room does not know what steps are, how keys are made, nor when an entry is worth keeping.

mod actions;
mod backend;
mod bucket;
mod build;
mod directory;
mod document;
mod entry;
mod error;
mod export;
mod import;
mod place;
mod receive;
mod registry;
mod shared;
mod signature;
mod snapshot;

pub use build::SharedBuild;
pub use entry::{Entry, Found, Tar};
pub use error::CacheError;
pub use export::{Exported, Part};
pub use place::{Bucket, Mode, Place, Service, Target};
pub use shared::{Cache, CacheOptions, Snapshots};
pub use signature::{SigningKey, TrustedKey};
pub use snapshot::{MOST_LAYERS, Snapshot};

/// The result of what this room does.
pub type Result<T, E = CacheError> = std::result::Result<T, E>;
