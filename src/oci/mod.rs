//! The names and documents of the OCI specifications: digests, descriptors, platforms, references, manifests,
//! indexes and image configs.
//!
//! The documents are our own types and not those of `oci-spec`: its maps are hash maps (three runs give three
//! digests of one image), it drops fields it does not know (Docker's `Healthcheck` among them) and it misspells
//! `os.version`. Its enumerations of systems and architectures are sound and used here.
//!
//! This room knows nothing but bytes and JSON: no files, no network.

mod config;
mod descriptor;
mod digest;
mod json;
mod manifest;
pub mod media_type;
mod platform;
mod reference;

pub use config::{Config, Healthcheck, History, ImageConfig, RootFs};
pub use descriptor::Descriptor;
pub use digest::{Digest, DigestError, Hasher};
pub use json::{JsonError, canonical};
pub use manifest::{Index, Manifest};
pub use platform::{Platform, PlatformError};
pub use reference::{DOCKER_HUB, Reference, ReferenceError, Repository};
