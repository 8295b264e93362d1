//! System calls that no safe library wraps: the only `unsafe` code of the program.
#![allow(unsafe_code)] // Each block says why it is sound; callers get safe functions.

pub(super) mod keyring;
pub(super) mod landlock;
mod process;
pub(super) mod seccomp;

pub(super) use process::{
    close_all_but, close_from, exec, fork, fork_to_exec, kill_all_others, loopback_up, of_32_bits,
    reset_signals, set_mount_attributes, unshare,
};
