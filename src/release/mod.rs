//! Releases: an image under its tags in several registries, moved there last and in the right order; promotion, undoing,
//! parts that meet, notes.
//!
//! It does not know how layers are made, nor which rules gave the tags.
