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
mod mode;
mod run;
mod secret;
mod stage;
mod step;

pub use crate::remote::GitSource;
pub use config_change::{ConfigChange, ConfigChanges};
pub use frontend::{BaseConfigs, BaseImage, ContextSource, Defaults, Frontend, Mention, Request};
pub use mode::{FileMode, ModeChange, ModeClause, ModeError, Modes};
pub use run::{
    BindMount, CacheMount, Mount, Network, Run, SecretMount, Security, Sharing, SshMount, TmpfsMount,
};
pub use secret::looks_secret;
pub use stage::{Base, ImageSource, Recipe, Stage};
pub use step::{
    Account, AccountGroup, Archive, Archives, Copy, CopySource, Destination, Group, Mkdir, Owner, OwnerName,
    Remove, Rules, Step, StepKind, Symlink, Timestamps, Unpack, UrlSource, Write, Written,
};
