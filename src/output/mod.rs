//! Outputs: what becomes of a built image besides its place in the store.
//!
//! Every output takes an image whose documents are in the store. Files get their name when they are finished, so that
//! an output is there in full or not at all. This room does not know how images are built.

mod archive;
mod contents;
mod docker;
mod error;
mod kind;
mod layout;
mod load;
mod pending;
mod push;
mod tree;

pub use contents::Contents;
pub use docker::write_archive;
pub use error::OutputError;
pub use kind::Output;
pub use layout::{write_layout, write_layout_tar};
pub use load::{Loaded, load};
pub use pending::write_file;
pub use push::Pusher;
pub use tree::{write_directory, write_tar};
