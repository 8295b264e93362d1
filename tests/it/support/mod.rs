//! What tests of several rooms need.

pub mod actions;
pub mod cli;
pub mod git;
pub mod image;
#[allow(dead_code, reason = "not every option is used by a test at all times")]
pub mod real_registry;
#[allow(dead_code, reason = "not every option is used by a test at all times")]
pub mod registry;
pub mod s3;
