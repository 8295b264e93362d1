//! Commands in the sandbox, on the rungs that the host and the user allow.

mod basics;
mod cost;
mod doors;
pub(crate) mod emulation;
mod ends;
mod fakeroot;
mod ground;
mod hostile;
mod rungs;
