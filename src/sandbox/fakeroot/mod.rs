//! Root's look where only one id can be mapped: changes of owners and ids are answered by the supervisor, which keeps
//! them, while the files all belong to one user.
//!
//! ```text
//! command ── chown("f", 1, 2) ──► kernel's filter ──► Notifier: finds f as the command does, keeps 1:2 with it
//! command ── getuid() ──────────► kernel's filter ──► Notifier: what the command last set
//! ```
//!
//! Owners are kept in an attribute of regular files and directories, `user.imgbuild.owner`, which capture turns into
//! the layer's owners. A command may write that attribute itself, which gives it nothing that chown would not.
//! Permissions are not enforced: all files belong to one user, and so do all processes.

mod calls;
mod ids;
mod notifier;
mod owners;
mod pass;
mod processes;
mod target;
#[cfg(test)]
mod tests;

pub(super) use calls::names as calls;
pub(super) use notifier::Notifier;
pub(super) use pass::{receive, send};
