//! What comes from outside and means harm.

mod attributes;
mod deep;
mod dockerfiles;
mod floods;
mod layers;
mod run;
mod secrets;
