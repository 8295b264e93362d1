//! Which tags rules give.

mod readme;
