//! The neutral model between front ends and the engine: stages and steps as every front end means them.
//!
//! A front end (layer specs, Dockerfiles) reads text and answers two questions for one platform: which base images
//! do the stages that the target needs stand on ([`Frontend::bases`]), and, once their configs are known, what is to
//! be done ([`Frontend::recipe`]). Two questions, since variables may be set by a base's environment and triggers may
//! come from its config.
//!
//! In a recipe everything is evaluated: no variables, no relative destinations, no names of stages. This room knows
//! neither YAML nor Dockerfile syntax, and not how a step is carried out.

mod config_change;
mod frontend;
mod stage;
mod step;

pub use config_change::ConfigChange;
pub use frontend::{BaseConfigs, BaseImage, ContextSource, Defaults, Frontend, Request};
pub use stage::{Base, ImageSource, Recipe, Stage};
pub use step::{
    Account, AccountGroup, Archive, Copy, CopySource, Destination, FileMode, Group, Mkdir, Modes, Mount,
    MountKind, Network, Owner, OwnerName, Remove, Run, Step, StepKind, Symlink, Timestamps, Unpack, Write,
};
