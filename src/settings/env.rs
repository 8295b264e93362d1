//! Every environment variable that imgbuild reads for its settings. (Credentials and proxies are the registry
//! client's: `DOCKER_CONFIG`, `REGISTRY_AUTH_FILE`, `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`.
//! What a CI says of itself, in `GITHUB_…` and `CI_…`, is read by `tag_event`.)

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::PathBuf,
};

/// The directory of the local store, as `--home`. Since 0.1.
pub const IMGBUILD_HOME: &str = "IMGBUILD_HOME";
/// The configuration file, as `--config`. Since 0.1.
pub const IMGBUILD_CONFIG: &str = "IMGBUILD_CONFIG";
/// How progress is shown, as `--progress`. Since 0.1.
pub const IMGBUILD_PROGRESS: &str = "IMGBUILD_PROGRESS";
/// What runs programs of other platforms, as `--emulator`; several: with commas between them. Since 0.1.
pub const IMGBUILD_EMULATOR: &str = "IMGBUILD_EMULATOR";
/// The most bytes of the local store, as `--max-size` of `imgbuild cache gc`. Since 0.1.
pub const IMGBUILD_CACHE_MAX_SIZE: &str = "IMGBUILD_CACHE_MAX_SIZE";
/// How long cache that is not used is kept, as `--max-age` of `imgbuild cache gc`. Since 0.1.
pub const IMGBUILD_CACHE_MAX_AGE: &str = "IMGBUILD_CACHE_MAX_AGE";
/// `off`: builds do not look at the size of the store. Since 0.1.
pub const IMGBUILD_CACHE_GC: &str = "IMGBUILD_CACHE_GC";
/// Which ways cache mounts go between machines, as `--cache-mounts`. Since 0.1.
pub const IMGBUILD_CACHE_MOUNTS: &str = "IMGBUILD_CACHE_MOUNTS";
/// The key that signs what shared caches get, as `--cache-sign-key`. Since 0.1.
pub const IMGBUILD_CACHE_SIGN_KEY: &str = "IMGBUILD_CACHE_SIGN_KEY";
/// The key whose signatures count in shared caches, as `--cache-trust-key`. Since 0.1.
pub const IMGBUILD_CACHE_TRUST_KEY: &str = "IMGBUILD_CACHE_TRUST_KEY";
/// Seconds since 1970 that all times in an image are set to (<https://reproducible-builds.org/specs/source-date-epoch/>).
/// Since 0.1.
pub const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";
/// How many digits of the commit `{{sha}}` and `type=sha` give, as in docker/metadata-action. Since 0.1.
pub const DOCKER_METADATA_SHORT_SHA_LENGTH: &str = "DOCKER_METADATA_SHORT_SHA_LENGTH";
/// `true`: the commit of a pull request is that of its branch, as in docker/metadata-action. Since 0.1.
pub const DOCKER_METADATA_PR_HEAD_SHA: &str = "DOCKER_METADATA_PR_HEAD_SHA";
/// Where annotations of a plan of tags are put: `manifest`, `index`, both with a comma. Since 0.1.
pub const DOCKER_METADATA_ANNOTATIONS_LEVELS: &str = "DOCKER_METADATA_ANNOTATIONS_LEVELS";
/// The user's cache directory, which holds the store unless [`IMGBUILD_HOME`] is set. Since 0.1.
pub const XDG_CACHE_HOME: &str = "XDG_CACHE_HOME";
/// The user's configuration directory, which holds `imgbuild/imgbuild.toml`. Since 0.1.
pub const XDG_CONFIG_HOME: &str = "XDG_CONFIG_HOME";
/// The user's home directory. Since 0.1.
pub const HOME: &str = "HOME";
/// Any value turns colours off (<https://no-color.org>). Since 0.1.
pub const NO_COLOR: &str = "NO_COLOR";
/// `dumb` turns off progress bars. Since 0.1.
pub const TERM: &str = "TERM";

/// `true` in a job of GitHub Actions: errors and warnings are shown on their lines. Since 0.1.
pub const GITHUB_ACTIONS: &str = "GITHUB_ACTIONS";
/// Where a job of GitHub Actions has its repositories. Since 0.1.
pub const GITHUB_WORKSPACE: &str = "GITHUB_WORKSPACE";
/// The file that becomes the summary of a job of GitHub Actions, as `--summary`. Since 0.1.
pub const GITHUB_STEP_SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// The environment that settings are resolved in: a value, so that tests make their own.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment {
    vars: BTreeMap<OsString, OsString>,
    current_dir: PathBuf,
}

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        // A process whose directory was deleted may still be given absolute paths.
        Self { vars: std::env::vars_os().collect(), current_dir: std::env::current_dir().unwrap_or_default() }
    }

    /// An environment of these variables, in this directory.
    pub fn of<'a>(
        current_dir: impl Into<PathBuf>,
        vars: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let vars = vars.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { vars, current_dir: current_dir.into() }
    }

    /// A variable's value. Set to nothing counts as not set.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.vars.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// A variable's value where an empty one means something.
    pub fn get_even_empty(&self, name: &str) -> Option<&OsStr> {
        self.vars.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// A variable's value, if it is UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.to_str()
    }

    /// The directory that relative paths start in.
    pub fn current_dir(&self) -> &std::path::Path {
        &self.current_dir
    }

    /// The directory that a variable names, else one below the home directory; XDG directories must be absolute.
    pub(super) fn user_dir(&self, variable: &str, below_home: &str) -> Option<PathBuf> {
        let named = self.get(variable).map(PathBuf::from).filter(|path| path.is_absolute());
        named.or_else(|| Some(PathBuf::from(self.get(HOME)?).join(below_home)))
    }
}

// By hand: the environment of a process holds secrets.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Environment({} variables, in {})", self.vars.len(), self.current_dir.display())
    }
}
