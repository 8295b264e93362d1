//! The reading side: tars and archives by index, a chain of layers seen as one tree, users and groups of that tree,
//! and its extraction to a directory.
//!
//! ```text
//! blob ──decompress──► tar in the store ──┐
//!            └─ same pass ─► TarIndex ────┴─► View (lowest first) ─► lookup · read · subtree · flatten ─► extract
//! ```
//!
//! Nothing is unpacked to look at it: an index knows where in the tar the bytes of each file are. A [`View`] asks its
//! [`LayerSource`] for a layer only when the layers above could not answer.
//!
//! This room does not know what images, stages or steps are.

mod archive;
mod error;
mod extract;
mod extract_node;
mod index;
mod index_format;
mod index_layer;
mod materialise;
mod pax;
mod place;
mod sparse;
mod tar_reader;
mod tree;
mod users;
mod users_edit;
mod view;
mod zip;

#[cfg(test)]
mod index_tests;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod view_tests;

pub use archive::{Archive, ingest, ingest_as, ingest_file, is_tar};
pub use error::{RootfsError, TarError};
pub use extract::{ExtractOptions, extract};
pub use index::{Item, TarIndex};
pub use materialise::{adopt, damaged, has, load, materialise_layer, materialise_promised};
pub use users::{Group, Owner, User, Users};
pub use users_edit::{NewGroup, NewUser, UserFiles};
pub use view::{Found, LayerSource, PlacedLayer, View};
