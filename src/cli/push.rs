//! `imgbuild push`.

use clap::Args;

use super::{
    ExitStatus,
    publishing::{Said, Work, names},
};
use crate::{
    error::Failure,
    oci::Reference,
    settings::{Environment, GlobalSettings, RegistryFlags, TagFlags},
};

const EXAMPLES: &str = "\
The bytes are pushed as they are: the digest stays what it was when the image was tested.
Everything goes to all registries by digest first; tags are moved at the end.

Examples:
  imgbuild build -o type=oci,dest=image.tar && scan image.tar
  imgbuild push oci-archive:image.tar ghcr.io/me/app:1.4 quay.io/me/app:1.4
  imgbuild push app ghcr.io/me/app:main     an image of the local store
  imgbuild push 0eb355ee3a11 ghcr.io/me/app:1.4.2";

/// Push an image that is on this machine
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct PushArgs {
    /// A name or digest in the local store, or oci:PATH[:NAME] for an OCI layout (directory or tar)
    #[arg(value_name = "IMAGE")]
    image: String,
    /// The names to push it to; without any, its own
    #[arg(value_name = "REF")]
    names: Vec<String>,
    #[command(flatten)]
    tags: TagFlags,
    #[command(flatten, next_help_heading = "Registries")]
    registry: RegistryFlags,
}

pub(super) async fn run(
    args: PushArgs,
    global: GlobalSettings,
    environment: Environment,
) -> Result<ExitStatus, Failure> {
    let texts = match args.names.is_empty() {
        // As `docker push NAME`.
        true => std::slice::from_ref(&args.image),
        false => &args.names[..],
    };
    let names = names(texts)?;
    let work = Work::begin(global, &args.registry, args.tags.terms(), environment)?;
    let ended = push(&work, &args.image, &names).await;
    work.end(ended)
}

async fn push(work: &Work, image: &str, names: &[Reference]) -> Result<Said, Failure> {
    let source = work.local(image).await?;
    let (published, _) = work.publish(&source.contents, names).await?;
    Ok(Said::of(&source.contents, &published))
}
