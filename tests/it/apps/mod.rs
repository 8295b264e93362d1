//! Dockerfiles as people write them, with RUN, on the bases that they name: built, pushed, pulled and run.
//!
//! They download packages from Debian and PyPI, and their bases are the stand-ins of `fixtures/bases`.

mod application;
pub(crate) mod bases;
mod fastapi_dash;
mod gpx_art;
mod http;
mod loc8;
mod one_meaning;
mod platforms;
mod podcast;
mod podcast_ui;
mod rungs;
mod targetvision;
