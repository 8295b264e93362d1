//! `imgbuild convert`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};

use super::{
    ExitStatus,
    build::{bytes_of, name_of},
    printer::{HostError, Printer},
};
use crate::{
    convert::convert,
    dockerfile::Dockerfile,
    error::Failure,
    settings::{CheckFlags, CheckSettings, Environment, SettingsError},
};

const EXAMPLES: &str = "\
Writes the layer spec that builds the same image. What a spec cannot say is a comment in it and a \
warning, and the command ends with status 1.

Examples:
  imgbuild convert      this directory's Dockerfile, to standard output
  imgbuild convert -f app.dockerfile -o imgbuild.yaml";

/// Write a Dockerfile as a layer spec
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ConvertArgs {
    /// The directory that files are copied from
    #[arg(value_name = "CONTEXT", default_value = ".", hide_default_value = true, value_hint = ValueHint::DirPath)]
    context: PathBuf,
    /// The Dockerfile, `-` is standard input [default: Dockerfile or Containerfile in the context]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: Option<PathBuf>,
    /// Where the spec goes, `-` is standard output; a file that is there stays
    #[arg(short, long, value_name = "FILE", default_value = "-", hide_default_value = true, value_hint = ValueHint::FilePath)]
    output: PathBuf,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(args: ConvertArgs, environment: Environment) -> Result<ExitStatus, Failure> {
    let flags = CheckFlags { file: args.file.into_iter().collect(), ..CheckFlags::default() };
    let settings = CheckSettings::resolve(&args.context, &flags, &environment)?;
    let mut missing = 0;
    for file in &settings.files {
        let name = name_of(file);
        let dockerfile = Dockerfile::from_bytes(&name, &bytes_of(file)?)?;
        dockerfile.plan(&settings.request())?;
        let converted = convert(dockerfile.syntax(), Some(&settings.context));
        for diagnostic in &converted.missing {
            Printer::stderr(&format!("warning: {diagnostic}\n"));
        }
        missing += converted.missing.len();
        match args.output.to_str() {
            Some("-") => Printer::stdout(&converted.text)?,
            _ => write(&environment.current_dir().join(&args.output), &converted.text, args.force)?,
        }
    }
    Ok(if missing == 0 { ExitStatus::Success } else { ExitStatus::Findings })
}

fn write(path: &Path, text: &str, force: bool) -> Result<(), Failure> {
    if !force && path.symlink_metadata().is_ok() {
        let error = SettingsError::new(format!("{} is there already", path.display()));
        return Err(error.hint("choose another file, or write over it with --force").into());
    }
    let failed = |error| HostError::new(format!("write {}", path.display()), error);
    Ok(std::fs::write(path, text).map_err(failed)?)
}
