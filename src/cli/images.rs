//! `imgbuild images`.

use clap::Args;

use super::{ExitStatus, printer::Printer};
use crate::{error::Failure, settings::GlobalSettings, store::Store};

const EXAMPLES: &str = "\
Example:
  imgbuild images";

/// List the names in the local store
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ImagesArgs {}

pub(super) async fn run(_args: ImagesArgs, global: GlobalSettings) -> Result<ExitStatus, Failure> {
    let images = Store::open(&global.home)?.named_images()?;
    let width = images.iter().map(|image| image.reference.chars().count()).max().unwrap_or(0);
    let lines = images.iter().map(|image| match global.quiet {
        true => format!("{}\n", image.image.digest),
        false => format!("{:width$}  {}\n", image.reference, image.image.digest),
    });
    Printer::stdout(&lines.collect::<String>())?;
    Ok(ExitStatus::Success)
}
