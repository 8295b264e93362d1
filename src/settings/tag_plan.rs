//! Settings of `imgbuild tags`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use clap::{Args, ValueHint};

use super::{
    BuildFile, Environment, NamingFlags, ResolvedNames, SettingsError, Tagging, build::build_args, discover,
    discover::of_files,
};
use crate::{
    error::{Explain, Kind},
    oci::{Reference, Repository},
    recipe::Defaults,
};

/// Flags of `imgbuild tags`.
#[derive(Debug, Clone, Default, Args)]
pub struct TagsFlags {
    /// Spec (.yaml) whose name, registries and tags count [default: imgbuild.yaml, else build-specs/*.yaml]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: Vec<PathBuf>,
    /// Set a build argument of the spec
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub build_arg: Vec<String>,
    /// A repository, in place of the spec's name and registries
    #[arg(long, value_name = "NAME")]
    pub image: Vec<String>,
    /// A rule, in place of the spec's tags: semver, pep440, branch, pr, sha, or a line such as
    /// type=semver,pattern={{version}}; several: repeat, or a line each
    #[arg(long, alias = "tag-rule", value_name = "RULE")]
    pub rule: Vec<String>,
    /// What rules go by.
    #[command(flatten)]
    pub naming: NamingFlags,
}

/// Settings of `imgbuild tags`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagsSettings {
    /// The files that say what is built; there may be none.
    pub files: Vec<BuildFile>,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    tagging: Tagging,
    repositories: Vec<Repository>,
}

impl TagsSettings {
    /// Resolves the settings, and finds what would be built.
    pub fn resolve(
        context: &Path,
        flags: &TagsFlags,
        environment: &Environment,
    ) -> Result<Self, SettingsError> {
        let context = match context.to_str() {
            Some("." | "") => environment.current_dir().to_owned(),
            _ => environment.current_dir().join(context),
        };
        if !context.is_dir() {
            let message = format!("the context {} is not a directory", context.display());
            return Err(SettingsError::not_found(message).hint("to plan for a file, name it with -f"));
        }
        let files = match &flags.file[..] {
            [] => match discover(&context) {
                Err(error) if error.kind() == Kind::NotFound => Vec::new(),
                found => found?,
            },
            files => of_files(files, environment.current_dir())?,
        };
        Ok(Self {
            files,
            args: build_args(&flags.build_arg, environment)?,
            tagging: Tagging::resolve(&flags.rule, &flags.naming, Some(context), environment)?,
            repositories: flags.image.iter().map(|text| repository(text)).collect::<Result<_, _>>()?,
        })
    }

    /// The names of an image; `spec` is what its spec says, if it has one.
    pub fn names(&self, spec: Option<&Defaults>) -> Result<ResolvedNames, SettingsError> {
        let tagging = self.tagging.clone().planning(self.repositories.clone(), spec.is_none());
        tagging.names(&[], spec.unwrap_or(&Defaults::default()))
    }
}

/// A repository as `--image` takes it: in lower case, whatever the project is called.
fn repository(text: &str) -> Result<Repository, SettingsError> {
    let name: Reference = text.trim().to_lowercase().parse().map_err(|error| {
        SettingsError::new(format!("--image: {error}")).hint("write it as in ghcr.io/me/app")
    })?;
    match name.tag.is_none() && name.digest.is_none() {
        true => Ok(name.repository),
        false => {
            Err(SettingsError::new(format!("--image {text} has a tag or a digest; rules give the tags"))
                .hint(format!("write --image {}", name.repository)))
        }
    }
}
