//! Images as a whole: the bases that builds start from, the documents (config, manifest, index) of what was built, and
//! reading and checking images wherever they are.
//!
//! This room does not know stages or steps, nor how layers are made.

mod assemble;
mod base;
mod built;
mod by_digest;
mod error;
mod fetch;
mod finding;
mod layout;
mod pinned;
mod read;
mod resolve;
mod source;
mod validate;
mod validate_store;

#[cfg(test)]
mod tests;

pub use assemble::{ImageStep, Parts, assemble, index};
pub use base::{Base, BaseLayer, BlobOrigin};
pub use built::{Built, BuiltImage};
pub use by_digest::images_by_digest;
pub use error::ImageError;
pub use fetch::{fetch, fetch_layer, origin_of, remember_origin};
pub use finding::{Finding, Problem, Validation};
pub use layout::{Layout, LayoutError, REF_NAME};
pub use pinned::pinned;
pub use read::{ImageDocuments, ImageTree, ReadError, is_image_config, read_document, read_tree};
pub use resolve::Resolver;
pub use source::BlobSource;
pub use validate::Validator;
pub use validate_store::validate_store;
