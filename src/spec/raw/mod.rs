//! A spec as written: texts with their `${…}`, choices by platform with all their branches, and the place of each.
//!
//! The doc comments of this module are the descriptions in the JSON Schema, so they speak to the author of a spec.

mod config;
mod file;
mod step;
mod value;

pub use config::{Config, Healthcheck, HealthcheckTimes};
pub use file::{Args, File, Stage, Stages};
pub use step::{
    Bind, Cache, CopyStep, EnvStep, GroupFields, GroupStep, MkdirStep, RemoveStep, RunStep, Secret, Ssh,
    Step, SymlinkFields, SymlinkStep, Tmpfs, UnpackStep, UserFields, UserStep, WorkdirStep, WriteFields,
    WriteStep,
};
pub use value::{
    ByPlatform, Choice, Command, ModeFields, Modes, Network, OneOrMany, Or, Rules, Sharing, Text, TextMap,
    Timestamps,
};
