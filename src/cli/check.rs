//! `imgbuild check`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum, ValueHint};
use serde_json::json;

use super::{
    ExitStatus,
    build::{bytes_of, name_of},
    printer::Printer,
    watch,
};
use crate::{
    context::Ignore,
    dockerfile::{
        Dockerfile,
        check::{Finding, Surroundings},
    },
    error::Failure,
    settings::{BuildFile, BuildFlags, CheckFlags, CheckSettings, Environment},
};

const EXAMPLES: &str = "\
Looks for what is allowed in a Dockerfile and should not be: Docker's build checks, and what a good \
image asks for. Nothing is built, and no registry is asked. Ends with status 1 if something is found \
and --error is given, or the file says `# check=error=true`.

Examples:
  imgbuild check                    the Dockerfile of this directory
  imgbuild check -f app.dockerfile --error
  imgbuild check --format json";

/// Check a Dockerfile
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CheckArgs {
    /// The directory that files are copied from
    #[arg(value_name = "CONTEXT", default_value = ".", hide_default_value = true, value_hint = ValueHint::DirPath)]
    context: PathBuf,
    #[command(flatten)]
    flags: CheckFlags,
    /// End with status 1 if something is found
    #[arg(long)]
    error: bool,
    /// How findings are shown: text, json
    #[arg(
        long,
        value_name = "HOW",
        default_value = "text",
        hide_default_value = true,
        hide_possible_values = true
    )]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(super) async fn run(args: CheckArgs, environment: Environment) -> Result<ExitStatus, Failure> {
    let settings = CheckSettings::resolve(&args.context, &args.flags, &environment)?;
    check_all(&settings, args.error, args.format, &environment)
}

/// What `build --check` does. Ends with status 1 if something is found, as in buildx.
pub(super) fn of_build(
    flags: &BuildFlags,
    json: bool,
    environment: &Environment,
) -> Result<ExitStatus, Failure> {
    let input = &flags.input;
    let check = CheckFlags {
        file: input.file.clone(),
        platform: input.platform.first().cloned(),
        target: input.target.clone(),
        build_arg: input.build_arg.clone(),
    };
    let format = if json { Format::Json } else { Format::Text };
    check_all(&CheckSettings::resolve(&flags.context, &check, environment)?, true, format, environment)
}

fn check_all(
    settings: &CheckSettings,
    error: bool,
    format: Format,
    environment: &Environment,
) -> Result<ExitStatus, Failure> {
    let mut all = Vec::new();
    let mut fails = error;
    for file in &settings.files {
        let (findings, error) = check(file, settings)?;
        all.extend(findings);
        fails |= error;
    }
    if let Some(annotations) = watch::annotations(environment) {
        for finding in &all {
            Printer::stderr(&annotations.warning(&finding.location, &finding.to_string()));
        }
    }
    Printer::stdout(&match format {
        Format::Text => text(&all),
        Format::Json => {
            let findings: Vec<_> = all.iter().map(Finding::to_json).collect();
            format!("{:#}\n", json!({ "findings": findings }))
        }
    })?;
    Ok(if fails && !all.is_empty() { ExitStatus::Findings } else { ExitStatus::Success })
}

fn check(file: &BuildFile, settings: &CheckSettings) -> Result<(Vec<Finding>, bool), Failure> {
    let name = name_of(file);
    let dockerfile = Dockerfile::from_bytes(&name, &bytes_of(file)?)?;
    let request = settings.request();
    dockerfile.plan(&request)?;
    let context: &Path = &settings.context;
    let ignore = Ignore::load(context, file.path())?;
    let around = Surroundings { request: &request, configs: None, context: Some((context, &ignore)) };
    Ok(dockerfile.check(around)?)
}

fn text(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return "no findings\n".to_owned();
    }
    let mut text: String = findings.iter().map(|finding| format!("{}\n", finding.render())).collect();
    let count = findings.len();
    text.push_str(&format!("{count} {}\n", if count == 1 { "finding" } else { "findings" }));
    text
}
