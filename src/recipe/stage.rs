//! Recipes and their stages.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use super::Step;
use crate::oci::{Platform, Reference};

/// Everything that one image for one platform needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// Just the stages that the target needs, each behind those it uses. The last one is the target.
    pub stages: Vec<Stage>,
    /// Annotations of the image's manifest.
    pub annotations: BTreeMap<String, String>,
    /// The same annotations are also wanted on the index, with these on top.
    pub index_annotations: BTreeMap<String, String>,
}

/// A chain of steps on a base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// The name that the user gave it, or its number.
    pub name: String,
    /// What it starts from.
    pub base: Base,
    /// The platform that the base is taken for and RUN steps run on.
    pub platform: Platform,
    /// What is done, in order.
    pub steps: Vec<Step>,
}

/// What a stage starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// Nothing.
    Scratch,
    /// An earlier stage, by its place in [`Recipe::stages`].
    Stage(usize),
    /// An image.
    Image(ImageSource),
}

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ImageSource {
    /// The local store's image of this name, if it has one, else a registry's.
    Reference(Reference),
    /// An OCI layout on this machine.
    Layout {
        /// The layout's directory.
        path: PathBuf,
        /// The `org.opencontainers.image.ref.name` or the digest of one of its images; `None` where it has one only.
        name: Option<String>,
    },
}

impl fmt::Display for ImageSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reference(reference) => f.write_str(&reference.familiar()),
            Self::Layout { path, name: None } => write!(f, "oci:{}", path.display()),
            Self::Layout { path, name: Some(name) } => write!(f, "oci:{}:{name}", path.display()),
        }
    }
}
