//! Dockerfiles as people write them, with RUN, on the bases that they name: built, pushed, pulled and run.
//!
//! They download packages from Debian and PyPI, and their bases are the stand-ins of `fixtures/bases`.

mod bases;
mod one_meaning;
mod podcast;
