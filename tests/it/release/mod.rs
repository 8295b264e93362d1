//! Pushing, tags, journals, promotion, and parts that meet.

mod attached;
mod commands;
mod decisions;
mod everywhere;
mod killed;
mod notes;
mod rendezvous;
mod scene;
