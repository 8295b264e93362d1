//! The program as its users run it, and its rooms through their public API.
#![allow(clippy::unwrap_used, reason = "clippy allows it in tests, but not in what tests share")]

mod action;
mod apps;
mod build;
mod cache;
mod cli;
mod crash;
mod docker;
mod dockerfile;
mod hostile;
mod imports;
mod interop;
mod lock;
mod registry;
mod release;
mod reproducible;
mod sample;
mod sandbox;
mod shared_cache;
mod support;
mod tags;
mod tools;
