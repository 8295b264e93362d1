//! One RUN step: a command in a root file system of its own, on the best rung that the host allows.
//!
//! ```text
//! this process ──socket──► worker ──fork──► supervisor ──fork──► init (pid 1) ──fork──► the command
//! (many threads)           (one thread;      (one a step:         (own mounts,           (capabilities,
//!                           enters the user   limits, time,        /proc, /dev)           seccomp, user)
//!                           namespace once)   kill, capture)
//! ```
//!
//! Trees of files are directories in overlayfs' upper format: what a layer has, whiteouts as character devices 0:0,
//! opaque directories by an attribute. A step's root is its lower trees with a fresh upper one on top; what the step
//! changed is then read from the upper tree alone.
//!
//! This room does not know images, stages, build contexts or caches. `sys` is the only place of the program with
//! `unsafe` code.

mod architecture;
mod binfmt;
mod capabilities;
mod capture;
mod cgroup;
mod chroot;
mod client;
mod command;
mod confinement;
mod emulator;
mod error;
mod execution;
mod fakeroot;
mod fault;
mod ground;
mod init;
mod inside;
mod landlock;
mod limits;
mod mode;
mod mounts;
mod pages;
mod probe;
mod protocol;
mod remedy;
mod root;
mod seccomp;
mod supervisor;
mod sys;
mod tree;
mod trial;
mod userns;
mod watch;
mod worker;

pub use architecture::Architecture;
pub use capture::Captured;
pub use client::{Ran, Sandbox, Settings, WORKER};
pub use emulator::Emulator;
pub use error::SandboxError;
pub use execution::{Execution, Exit, FileContent, FileMount, Limits, Network, Root, RunMount, Stream, User};
pub use fault::Fault;
pub use mode::Mode;
pub use pages::{keep_pages_small, let_pages_be_huge};
pub use probe::Examined;
pub use root::HOSTNAME;
pub use tree::remove as remove_tree;
pub use worker::work;
