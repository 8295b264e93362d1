//! `imgbuild index create`.

use clap::{Args, Subcommand};

use super::{
    ExitStatus,
    publishing::{Said, Work, names},
};
use crate::{
    error::Failure,
    image::BlobOrigin,
    oci::Reference,
    release::{Merge, Publisher, merge},
    settings::{Environment, GlobalSettings, RegistryFlags, TagFlags, index_annotations},
};

const EXAMPLES: &str = "\
The same images give the same index: it is sorted by platform. Images of other repositories are copied.

Examples:
  imgbuild index create -t me/app:1.4 me/app:1.4-amd64 me/app:1.4-arm64
  imgbuild index create -t ghcr.io/me/app:1.4 --append ghcr.io/me/app:riscv64";

/// Make an index of images
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct IndexArgs {
    #[command(subcommand)]
    command: IndexCommand,
}

#[derive(Debug, Subcommand)]
enum IndexCommand {
    Create(CreateArgs),
}

/// Merge images and indices of registries into one index
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
struct CreateArgs {
    /// A name of the index
    #[arg(short, long, value_name = "REF", required = true)]
    tag: Vec<String>,
    /// The images: names or digests in registries, or oci:PATH[:NAME]
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
    /// Add an annotation to the index
    #[arg(long, value_name = "KEY=VALUE")]
    annotation: Vec<String>,
    /// Add to the index that has the first name; images of the same platform are replaced
    #[arg(long)]
    append: bool,
    #[command(flatten)]
    tags: TagFlags,
    #[command(flatten, next_help_heading = "Registries")]
    registry: RegistryFlags,
}

pub(super) async fn run(
    args: IndexArgs,
    global: GlobalSettings,
    environment: Environment,
) -> Result<ExitStatus, Failure> {
    let IndexCommand::Create(args) = args.command;
    let names = names(&args.tag)?;
    let annotations = index_annotations(&args.annotation)?;
    let work = Work::begin(global, &args.registry, args.tags.terms(), environment)?;
    let merge = Merge { annotations, ..Merge::default() };
    let ended = create(&work, &args, &names, merge).await;
    work.end(ended)
}

async fn create(
    work: &Work,
    args: &CreateArgs,
    names: &[Reference],
    mut wanted: Merge,
) -> Result<Said, Failure> {
    let Publisher { store, registry, .. } = &work.publisher;
    for image in &args.images {
        let source = work.remote(image).await?;
        wanted.sources.push((source.name, source.origin, source.contents.root));
    }
    if args.append
        && let Some(first) = names.first()
        && let Some(found) = registry.published(first).await?
    {
        wanted.onto = Some((BlobOrigin::Registry(first.repository.clone()), found));
    }
    let contents = merge(store, registry, wanted).await?;
    let (published, _) = work.publish(&contents, names).await?;
    Ok(Said::of(&contents, &published))
}
