//! What the engine asks of a front end.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    path::PathBuf,
};

use super::{ImageSource, Recipe};
use crate::{
    error::Failure,
    oci::{ImageConfig, Platform},
    remote::GitSource,
    source::Location,
};

/// A file that says what to build, read and checked, with platforms and arguments still open.
pub trait Frontend: fmt::Debug + Send + Sync {
    /// What the file itself says of the build as a whole, given the build arguments of the command line; flags go
    /// before it.
    fn defaults(&self, args: &BTreeMap<String, String>) -> Result<Defaults, Failure>;

    /// The images that the stages needed by the target start from, each with the platform it is wanted for.
    fn bases(&self, request: &Request) -> Result<Vec<BaseImage>, Failure>;

    /// Further images that stages start from, once the configs of these are known: the triggers of a base may need
    /// stages that nothing else needs. Asked until there are none that were not given.
    fn further_bases(&self, request: &Request, configs: &BaseConfigs) -> Result<Vec<BaseImage>, Failure> {
        let _ = (request, configs);
        Ok(Vec::new())
    }

    /// Where the file names an image, for the error where that cannot be had. Asked only then. The configs are those
    /// that are known so far.
    fn mention(&self, request: &Request, configs: &BaseConfigs, image: &BaseImage) -> Option<Mention> {
        let _ = (request, configs, image);
        None
    }

    /// Whether the triggers of bases (`ONBUILD`) become steps of the recipe.
    fn runs_triggers(&self) -> bool {
        false
    }

    /// The names of all stages of the file, in its order, each as [`Request::target`] and recipes have it.
    fn stages(&self) -> Vec<String> {
        Vec::new()
    }

    /// The recipe, given the config of each base that [`Frontend::bases`] and [`Frontend::further_bases`] named.
    fn recipe(&self, request: &Request, configs: &BaseConfigs) -> Result<Recipe, Failure>;
}

/// An image for one platform.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BaseImage {
    /// Where it comes from.
    pub image: ImageSource,
    /// What it must run on.
    pub platform: Platform,
}

/// The place where a file names an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// The place.
    pub location: Location,
    /// A stage whose name is much like the image's: perhaps it is what was meant.
    pub similar_stage: Option<String>,
}

/// The configs of base images.
pub type BaseConfigs = HashMap<BaseImage, ImageConfig>;

/// What one build asks of a front end: everything that may differ from build to build of the same file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The platform that the image is for (`TARGETPLATFORM`).
    pub platform: Platform,
    /// The platform of this machine (`BUILDPLATFORM`).
    pub build_platform: Platform,
    /// The stage wanted; the file's own choice if not given.
    pub target: Option<String>,
    /// Build arguments from the command line, before the file's defaults.
    pub args: BTreeMap<String, String>,
    /// Named build contexts; the main one has the name `""`. A stage's name goes before a context's, a context's
    /// before an image's.
    pub contexts: BTreeMap<String, ContextSource>,
    /// Seconds since the epoch that times are set to (`SOURCE_DATE_EPOCH`), if the user set them.
    pub source_date_epoch: Option<i64>,
}

/// What a named build context is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextSource {
    /// A directory on this machine.
    Directory(PathBuf),
    /// An image: `docker-image://…` or `oci-layout://…`.
    Image(ImageSource),
    /// A commit of a Git repository. It is fetched if something is copied from it.
    Git(GitSource),
    /// A tar on the web, which is unpacked. It is fetched if something is copied from it.
    Url(String),
}

/// What a file says of the build as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Defaults {
    /// The repository's name: joined to each registry, or used alone.
    pub name: Option<String>,
    /// The platforms to build for; this machine's if empty.
    pub platforms: Vec<Platform>,
    /// Tags as written.
    pub tags: Vec<String>,
    /// Registries with an optional path: `docker.io/me`.
    pub registries: Vec<String>,
    /// The names of the arguments that the file declares, for "did you mean".
    pub args: Vec<String>,
}
