//! Settings of `imgbuild check`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use clap::{Args, ValueHint};

use super::{
    BuildFile, Environment, SettingsError,
    build::{build_args, platform},
    discover::{dockerfile_in, of_files},
};
use crate::{
    oci::Platform,
    recipe::{ContextSource, Request},
};

/// Flags of `imgbuild check`.
#[derive(Debug, Clone, Default, Args)]
pub struct CheckFlags {
    /// The Dockerfile, `-` is standard input [default: Dockerfile or Containerfile in the context]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: Vec<PathBuf>,
    /// Check as if for this platform [default: this machine's]
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<String>,
    /// Check as if this stage were built; all stages are looked at in any case
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// Check with this build argument
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub build_arg: Vec<String>,
}

/// Settings of `imgbuild check`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckSettings {
    /// The Dockerfiles; at least one.
    pub files: Vec<BuildFile>,
    /// The main context.
    pub context: PathBuf,
    /// The platform it is checked for.
    pub platform: Platform,
    /// The stage wanted.
    pub target: Option<String>,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
}

impl CheckSettings {
    /// Resolves the settings, and finds what to check.
    pub fn resolve(
        context: &Path,
        flags: &CheckFlags,
        environment: &Environment,
    ) -> Result<Self, SettingsError> {
        let context = match context.to_str() {
            Some("." | "") => environment.current_dir().to_owned(),
            _ => environment.current_dir().join(context),
        };
        if !context.is_dir() {
            let message = format!("the context {} is not a directory", context.display());
            return Err(SettingsError::not_found(message).hint("to check a file, name it with -f"));
        }
        let files = match &flags.file[..] {
            [] => dockerfile_in(&context)?.map(BuildFile::Dockerfile).into_iter().collect(),
            files => of_files(files, environment.current_dir())?,
        };
        if files.is_empty() {
            let message = format!("there is no Dockerfile or Containerfile in {}", context.display());
            return Err(SettingsError::not_found(message).hint("name the file with -f"));
        }
        if let Some(BuildFile::Spec(path)) = files.iter().find(|file| matches!(file, BuildFile::Spec(_))) {
            let message = format!("{} is a layer spec; `check` is for Dockerfiles", path.display());
            return Err(SettingsError::new(message).hint("`imgbuild build` tells what is wrong with a spec"));
        }
        Ok(Self {
            files,
            context,
            platform: flags.platform.as_deref().map_or_else(|| Ok(Platform::host()), platform)?,
            target: flags.target.clone(),
            args: build_args(&flags.build_arg, environment)?,
        })
    }

    /// The question to the front end.
    pub fn request(&self) -> Request {
        Request {
            platform: self.platform.clone(),
            build_platform: Platform::host(),
            target: self.target.clone(),
            args: self.args.clone(),
            contexts: BTreeMap::from([(String::new(), ContextSource::Directory(self.context.clone()))]),
            source_date_epoch: None,
        }
    }
}
