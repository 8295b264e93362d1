//! The command line: help, arguments, statuses.

mod arguments;
mod help;
mod layouts;
mod login;
mod signals;
mod streams;
