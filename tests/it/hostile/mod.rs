//! What comes from outside and means harm.

mod dockerfiles;
mod layers;
mod run;
mod secrets;
