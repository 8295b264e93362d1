//! `imgbuild.lock`: what names meant when they were looked up, kept with the source: images by platform, URLs, git refs.
//!
//! It does not know how anything is looked up.
