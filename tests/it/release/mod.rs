//! Pushing, tags, journals, promotion, and parts that meet.

mod commands;
mod decisions;
mod killed;
mod rendezvous;
mod scene;
