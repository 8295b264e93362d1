//! `imgbuild rm`.

use clap::Args;

use super::{
    ExitStatus,
    printer::Printer,
    publishing::{Said, Work},
};
use crate::{
    error::{Failure, Kind},
    oci::Reference,
    release::{ReleaseError, Terms, remove},
    settings::{Environment, GlobalSettings, RegistryFlags, SettingsError},
};

const EXAMPLES: &str = "\
A tag is deleted alone: its image stays, under other tags and by digest, until the registry clears it away.
A digest is deleted with all tags that point to it.

Examples:
  imgbuild rm ghcr.io/me/app:pr-17
  imgbuild rm --dry-run ghcr.io/me/app@sha256:…";

/// Delete tags and images in registries
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RmArgs {
    /// What to delete: NAME:TAG, or NAME@DIGEST
    #[arg(value_name = "REF", required = true)]
    references: Vec<String>,
    /// Tell what would be deleted, and delete nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten, next_help_heading = "Registries")]
    registry: RegistryFlags,
}

pub(super) async fn run(
    args: RmArgs,
    global: GlobalSettings,
    environment: Environment,
) -> Result<ExitStatus, Failure> {
    let references = args.references.iter().map(|text| parse(text)).collect::<Result<Vec<_>, _>>()?;
    let work = Work::begin(global, &args.registry, Terms::default(), environment)?;
    let ended = rm(&work, &references, args.dry_run).await;
    work.end(ended)
}

/// `latest` is not assumed: what is deleted must be said.
fn parse(text: &str) -> Result<Reference, SettingsError> {
    let reference: Reference = text.parse().map_err(|error| SettingsError::new(format!("{error}")))?;
    match (&reference.tag, &reference.digest) {
        (None, None) => Err(SettingsError::new(format!("{text} has neither a tag nor a digest"))
            .hint(format!("write {text}:latest, if that is what you mean"))),
        _ => Ok(reference),
    }
}

async fn rm(work: &Work, references: &[Reference], dry_run: bool) -> Result<Said, Failure> {
    let registry = &work.publisher.registry;
    let mut said = Said::default();
    for reference in references {
        let name = reference.familiar();
        if dry_run {
            match registry.published(reference).await? {
                Some(found) => Printer::stdout(&format!("would delete {name} ({})\n", found.digest))?,
                None => said.failure = Some(ReleaseError::Absent(Box::new(reference.clone())).into()),
            }
            continue;
        }
        match remove(registry, reference).await {
            Ok(true) => said.lines.push(format!("deleted {name}")),
            Ok(false) => said.failure = Some(ReleaseError::Absent(Box::new(reference.clone())).into()),
            // The others are deleted all the same.
            Err(error) if error.kind() != Kind::Internal => said.failure = Some(error),
            Err(error) => return Err(error),
        }
    }
    Ok(said)
}
