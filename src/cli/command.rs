//! The program's arguments.

use clap::{Parser, Subcommand};

use super::{
    ExitStatus, build, cache, check, convert, doctor, images, index, inspect, lock, login, logs, promote,
    push, release, rm, schema, tags, validate, why,
};
use crate::{
    error::Failure,
    settings::{Environment, GlobalFlags, GlobalSettings},
};

const EXAMPLES: &str = "\
Without a command, imgbuild builds:
  imgbuild --platform linux/amd64,linux/arm64 -t ghcr.io/me/app:1.0 --push";

/// Builds images from Dockerfiles and layer specs: no daemon, no root
#[derive(Debug, Parser)]
#[command(name = "imgbuild", version, after_help = EXAMPLES, max_term_width = 100)]
#[command(args_override_self = true)]
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
    Check(check::CheckArgs),
    Convert(convert::ConvertArgs),
    Lock(Box<lock::LockArgs>),
    Inspect(inspect::InspectArgs),
    Validate(validate::ValidateArgs),
    Images(images::ImagesArgs),
    Push(push::PushArgs),
    Promote(promote::PromoteArgs),
    Index(index::IndexArgs),
    Rm(rm::RmArgs),
    Release(release::ReleaseArgs),
    Tags(tags::TagsArgs),
    Login(login::LoginArgs),
    Logout(login::LogoutArgs),
    Cache(cache::CacheArgs),
    /// The same as `cache gc`
    #[command(hide = true)]
    Prune(cache::GcArgs),
    Why(why::WhyArgs),
    Logs(logs::LogsArgs),
    Schema(schema::SchemaArgs),
    Doctor(doctor::DoctorArgs),
}

impl Cli {
    /// Runs the command.
    pub(super) async fn run(self, environment: Environment) -> Result<ExitStatus, Failure> {
        let global = GlobalSettings::resolve(&self.global, &environment)?;
        match self.command {
            Command::Build(args) => build::run(*args, global, environment).await,
            Command::Check(args) => check::run(args, environment).await,
            Command::Convert(args) => convert::run(args, environment).await,
            Command::Lock(args) => lock::run(*args, global, environment).await,
            Command::Inspect(args) => inspect::run(args, global, environment).await,
            Command::Validate(args) => validate::run(args, global, environment).await,
            Command::Login(args) => login::login(args, global, environment).await,
            Command::Logout(args) => login::logout(args, global).await,
            Command::Images(args) => images::run(args, global).await,
            Command::Push(args) => push::run(args, global, environment).await,
            Command::Promote(args) => promote::run(args, global, environment).await,
            Command::Index(args) => index::run(args, global, environment).await,
            Command::Rm(args) => rm::run(args, global, environment).await,
            Command::Release(args) => release::run(args, global, environment).await,
            Command::Tags(args) => tags::run(args, global, environment).await,
            Command::Cache(args) => cache::run(args, global, environment).await,
            Command::Prune(args) => cache::gc(args, global, environment).await,
            Command::Why(args) => why::run(args, global, environment).await,
            Command::Logs(args) => logs::run(args, global).await,
            Command::Schema(args) => schema::run(args).await,
            Command::Doctor(args) => doctor::run(args, global, environment).await,
        }
    }
}
