//! imgbuild builds container images from Dockerfiles and layer specs and ships them, without a daemon and without root.
//!
//! Data goes one way through the rooms, and imports go down only (`tests/it/imports.rs` checks it):
//!
//! | floor | rooms |
//! |---|---|
//! | 6 | [`cli`], [`settings`] |
//! | 5 | [`report`], [`convert`], [`release`] |
//! | 4 | [`spec`], [`dockerfile`] |
//! | 3 | [`recipe`], [`graph`], [`solve`], [`image`], [`output`] |
//! | 2 | [`rootfs`], [`remote`], [`sandbox`], [`cache`] |
//! | 1 | [`context`], [`layer`], [`store`], [`registry`], [`tags`], [`lock`] |
//! | 0 | [`oci`], [`event`], [`error`], [`source`] |
//!
//! `docs/architecture.md` is the longer map.

pub mod cache;
pub mod cli;
pub mod context;
pub mod convert;
pub mod dockerfile;
pub mod error;
pub mod event;
pub mod graph;
pub mod image;
pub mod layer;
pub mod lock;
pub mod oci;
pub mod output;
pub mod recipe;
pub mod registry;
pub mod release;
pub mod remote;
pub mod report;
pub mod rootfs;
pub mod sandbox;
pub mod settings;
pub mod solve;
pub mod source;
pub mod spec;
pub mod store;
pub mod tags;
