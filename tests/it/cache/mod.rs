//! What is kept for later builds, and what goes.

mod beside_builds;
mod commands;
