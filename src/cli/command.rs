//! The program's arguments.

use clap::{Parser, Subcommand};

use super::{ExitStatus, build, images, inspect, schema, validate};
use crate::{
    error::Failure,
    settings::{Environment, GlobalFlags, GlobalSettings},
};

const EXAMPLES: &str = "\
Without a command, imgbuild builds:
  imgbuild --platform linux/amd64,linux/arm64 -t ghcr.io/me/app:1.0 --push";

/// Builds container images from layer specs and ships them: no daemon, no root
#[derive(Debug, Parser)]
#[command(name = "imgbuild", version, after_help = EXAMPLES, max_term_width = 100)]
#[command(override_usage = "imgbuild [COMMAND] [OPTIONS]")]
pub(super) struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    pub(super) global: GlobalFlags,
}

#[derive(Debug, Subcommand)]
enum Command {
    Build(Box<build::BuildArgs>),
    Inspect(inspect::InspectArgs),
    Validate(validate::ValidateArgs),
    Images(images::ImagesArgs),
    Schema(schema::SchemaArgs),
}

impl Cli {
    /// Runs the command.
    pub(super) async fn run(self, environment: Environment) -> Result<ExitStatus, Failure> {
        let global = GlobalSettings::resolve(&self.global, &environment)?;
        match self.command {
            Command::Build(args) => build::run(*args, global, environment).await,
            Command::Inspect(args) => inspect::run(args, global, environment).await,
            Command::Validate(args) => validate::run(args, global, environment).await,
            Command::Images(args) => images::run(args, global).await,
            Command::Schema(args) => schema::run(args).await,
        }
    }
}
