//! Settings of every command.

use std::path::PathBuf;

use super::{ConfigFile, Environment, GlobalFlags, SettingsError, env};
use crate::error::Failure;

/// How progress is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Progress {
    /// `tty` on a terminal, else `plain`.
    #[default]
    Auto,
    /// One line for each running step and transfer, redrawn.
    Tty,
    /// Numbered lines.
    Plain,
    /// One JSON object a line, on standard error.
    Json,
    /// Nothing but warnings and errors.
    Quiet,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ColorChoice {
    /// On terminals.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Settings of every command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlobalSettings {
    /// The directory of the local store.
    pub home: PathBuf,
    /// How progress is shown.
    pub progress: Progress,
    /// Whether just the digest is printed.
    pub quiet: bool,
    /// What the configuration file says.
    pub config: ConfigFile,
}

impl GlobalSettings {
    /// Reads the configuration file and resolves the settings.
    pub fn resolve(flags: &GlobalFlags, environment: &Environment) -> Result<Self, Failure> {
        let config = match &flags.config {
            Some(path) => ConfigFile::read(&environment.current_dir().join(path), true)?,
            None => match environment.get(env::IMGBUILD_CONFIG) {
                Some(path) => ConfigFile::read(&environment.current_dir().join(path), true)?,
                None => match environment.user_dir(env::XDG_CONFIG_HOME, ".config") {
                    Some(folder) => ConfigFile::read(&folder.join("imgbuild/imgbuild.toml"), false)?,
                    None => ConfigFile::default(),
                },
            },
        };
        let progress = match (flags.quiet, flags.progress, environment.text(env::IMGBUILD_PROGRESS)) {
            (true, None | Some(Progress::Quiet | Progress::Auto), _) => Progress::Quiet,
            (_, Some(progress), _) => progress,
            (false, None, None) => Progress::Auto,
            (false, None, Some(text)) => {
                <Progress as clap::ValueEnum>::from_str(text, false).map_err(|_| {
                    let names = ["auto", "tty", "plain", "json", "quiet"];
                    SettingsError::new(format!(
                        "{} is {text:?}, which is none of {}",
                        env::IMGBUILD_PROGRESS,
                        names.join(", ")
                    ))
                    .did_you_mean(text, names)
                })?
            }
        };
        let quiet = flags.quiet || progress == Progress::Quiet;
        Ok(Self { home: home(flags, environment, &config)?, progress, quiet, config })
    }
}

/// The store's directory, made absolute.
fn home(
    flags: &GlobalFlags,
    environment: &Environment,
    config: &ConfigFile,
) -> Result<PathBuf, SettingsError> {
    let named = flags.home.clone().or_else(|| environment.get(env::IMGBUILD_HOME).map(PathBuf::from));
    let home = named.or_else(|| config.home.clone()).or_else(|| {
        environment.user_dir(env::XDG_CACHE_HOME, ".cache").map(|folder| folder.join("imgbuild"))
    });
    match home {
        Some(home) => Ok(environment.current_dir().join(home)),
        None => Err(SettingsError::new("there is no place for the local store: HOME is not set")
            .hint("set IMGBUILD_HOME to a directory that you may write to")),
    }
}
