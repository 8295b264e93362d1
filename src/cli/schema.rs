//! `imgbuild schema`.

use clap::Args;

use super::{ExitStatus, printer::Printer};
use crate::error::Failure;

const EXAMPLES: &str = "\
Example:
  imgbuild schema > imgbuild.schema.json";

/// Print the JSON Schema of layer specs
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct SchemaArgs {}

pub(super) async fn run(_args: SchemaArgs) -> Result<ExitStatus, Failure> {
    Printer::stdout(&crate::spec::json_schema())?;
    Ok(ExitStatus::Success)
}
