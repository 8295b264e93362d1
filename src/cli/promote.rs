//! `imgbuild promote`.

use std::collections::BTreeSet;

use clap::Args;

use super::{
    ExitStatus,
    publishing::{Said, Work, names},
};
use crate::{
    error::Failure,
    oci::{Platform, Reference},
    release::{Publisher, copy_referrers, select},
    settings::{Environment, GlobalSettings, RegistryFlags, SettingsError, TagFlags},
};

const EXAMPLES: &str = "\
Nothing is built, and digests stay as they are. Within a registry, layers are linked and not moved.

Examples:
  imgbuild promote ghcr.io/me/app:rc ghcr.io/me/app:1.4.2 ghcr.io/me/app:latest
  imgbuild promote ghcr.io/me/app@sha256:… docker.io/me/app:1.4.2 --referrers
  imgbuild promote ghcr.io/me/app:1.4 --platform linux/arm64 quay.io/me/edge:1.4";

/// Give an image of a registry further names, there or elsewhere
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct PromoteArgs {
    /// The image, in a registry; or oci:PATH[:NAME]
    #[arg(value_name = "IMAGE")]
    image: String,
    /// The names that it is to have
    #[arg(value_name = "REF", required = true)]
    names: Vec<String>,
    /// Only these platforms; separate by commas
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',')]
    platform: Vec<String>,
    /// Copy what is attached to the image, too: signatures, attestations, lists of contents
    #[arg(long)]
    referrers: bool,
    #[command(flatten)]
    tags: TagFlags,
    #[command(flatten, next_help_heading = "Registries")]
    registry: RegistryFlags,
}

pub(super) async fn run(
    args: PromoteArgs,
    global: GlobalSettings,
    environment: Environment,
) -> Result<ExitStatus, Failure> {
    let names = names(&args.names)?;
    let platforms = args.platform.iter().map(|text| text.parse::<Platform>()).collect::<Result<Vec<_>, _>>();
    let platforms = platforms.map_err(|error| SettingsError::new(format!("--platform: {error}")))?;
    let work = Work::begin(global, &args.registry, args.tags.terms(), environment)?;
    let ended = promote(&work, &args, &names, &platforms).await;
    work.end(ended)
}

async fn promote(
    work: &Work,
    args: &PromoteArgs,
    names: &[Reference],
    platforms: &[Platform],
) -> Result<Said, Failure> {
    let source = work.remote(&args.image).await?;
    let Publisher { store, registry, .. } = &work.publisher;
    let contents = match platforms {
        [] => source.contents.clone(),
        platforms => select(store, &source.name, source.contents.clone(), platforms)?,
    };
    let (published, pusher) = work.publish(&contents, names).await?;
    let mut said = Said::of(&contents, &published);
    if let (true, Some(from)) = (args.referrers, source.repository()) {
        let to: BTreeSet<_> =
            names.iter().map(|name| name.repository.clone()).filter(|to| to != from).collect();
        if !to.is_empty() {
            let copied = copy_referrers(store, registry, &pusher, from, &contents, &to).await?;
            said.lines.push(format!("copied {copied} attached artifacts"));
        }
    }
    Ok(said)
}
