//! Layers: file system entries → deterministic tar → compressed blob with its digests; and back to the tar's bytes.
//!
//! [`write_layer`] is the one way from entries to a blob. The bytes it writes depend on nothing but the entries, the
//! contents and the [`Compression`]: not on the number of cores, nor on what was built before.
//!
//! This room does not know where entries come from (a context, another image, a spec's text) nor what a layer is for.

mod compression;
mod cut;
mod decompress;
mod entry;
mod error;
mod header;
mod plain;
mod pool;
mod read;
mod split;
mod table;
#[cfg(test)]
mod tests;
mod write;

pub use compression::Compression;
pub use decompress::{Decoder, Encoding};
pub use entry::{Content, Entry, EntryPath, FileStat, Kind};
pub use error::LayerError;
pub use plain::{Copier, write_tar};
pub use pool::Pool;
pub use read::{open_file, verify_file};
pub use split::{MOST_PARTS, Part, split};
pub use write::{Layer, Options, Written, write_layer};
