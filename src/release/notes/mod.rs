//! Notes of a release: what has changed from one image to the next, and which versions a repository has.
//!
//! | file | what it holds |
//! |---|---|
//! | `side` | one of the two images: its documents, its version, what it says of itself |
//! | `version` | which version comes before another |
//! | `package` | the packages of a file system, as the databases of package managers tell |
//! | `compare` | the two images side by side |
//! | `attach` | the notes as an artifact beside the image |
//! | `matrix` | versions, platforms and digests of a repository |
//!
//! How notes look is for others to decide.

mod attach;
mod compare;
mod matrix;
mod package;
mod side;
mod version;

pub use attach::{NOTES, attach};
pub use compare::{BaseChange, LayerNote, Notes, PackageChange, PlatformNotes, compare};
pub use matrix::{Row, matrix};
pub use package::Ecosystem;
pub use side::{BaseName, Side};
pub use version::previous;
