//! `imgbuild why`.

use clap::Args;

use super::{
    ExitStatus,
    printer::Printer,
    why_text::{comparison_text, list_text},
};
use crate::{
    error::Failure,
    oci::canonical,
    settings::{GlobalSettings, SettingsError},
    solve::{Comparison, KeptBuild, builds, compare, earlier_of, export, open_build},
    store::Store,
};

const EXAMPLES: &str = "\
Compares the last build with the one before it of the same file, target and context.

Examples:
  imgbuild why                   of each step: a hit, or what differed first
  imgbuild why 3                 all that differed for step 3 of the last stage
  imgbuild why deps:2            the same for step 2 of the stage `deps`
  imgbuild why 'pip install'     the same for the steps with this text
  imgbuild why --list            the builds that can be compared, and their ids
  imgbuild why --export 3f2a91c0 > ci.json
  imgbuild why --from ci.json    the last build here against another machine's";

/// Explain why steps were not in the cache
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct WhyArgs {
    /// A step: its number in the last stage, STAGE:NUMBER, a stage, or a part of its text
    #[arg(value_name = "STEP")]
    step: Option<String>,
    /// The build to compare with: an id, or a file that --export wrote [default: the one before]
    #[arg(long, value_name = "BUILD")]
    from: Option<String>,
    /// The build to explain: an id, or a file that --export wrote [default: the last one]
    #[arg(long, value_name = "BUILD")]
    to: Option<String>,
    /// List the builds that are remembered
    #[arg(long, conflicts_with_all = ["step", "from", "to", "export"])]
    list: bool,
    /// Print the record of a build, to compare it on another machine
    #[arg(long, value_name = "BUILD", conflicts_with_all = ["step", "from", "to", "json"])]
    export: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: WhyArgs, global: GlobalSettings) -> Result<ExitStatus, Failure> {
    let store = Store::open(&global.home)?;
    if let Some(asked) = &args.export {
        let mut exported = export(&store, &named(&store, asked)?);
        exported.push(b'\n');
        Printer::stdout(&String::from_utf8_lossy(&exported))?;
        return Ok(ExitStatus::Success);
    }
    if args.list {
        let builds = builds(&store)?;
        Printer::stdout(&list_text(&builds, args.json))?;
        return Ok(ExitStatus::Success);
    }
    let build = match &args.to {
        Some(asked) => named(&store, asked)?,
        None => builds(&store)?.into_iter().next().ok_or_else(none)?,
    };
    let against = match &args.from {
        Some(asked) => Some(named(&store, asked)?),
        None => earlier_of(&store, &build.record)?,
    };
    let step = args.step.as_deref();
    let comparison = compare(&store, &build, against.as_ref(), step);
    if let (Some(asked), []) = (step, &comparison.steps[..]) {
        return Err(SettingsError::not_found(format!("the build {} has no step {asked:?}", build.record.id))
            .hint("`imgbuild why` tells of all steps; those that make no layer never miss")
            .into());
    }
    Printer::stdout(&shown(&comparison, &build, against.as_ref(), &args))?;
    Ok(ExitStatus::Success)
}

fn shown(comparison: &Comparison, build: &KeptBuild, against: Option<&KeptBuild>, args: &WhyArgs) -> String {
    match args.json {
        true => format!("{}\n", String::from_utf8_lossy(&canonical(comparison))),
        false => comparison_text(
            comparison,
            &build.record,
            against.map(|build| &build.record),
            args.step.is_some(),
        ),
    }
}

fn named(store: &Store, asked: &str) -> Result<KeptBuild, Failure> {
    open_build(store, asked)?.ok_or_else(|| {
        SettingsError::not_found(format!(
            "{asked:?} is neither the id of a build that is remembered nor a record in a file"
        ))
        .hint("`imgbuild why --list` lists the builds")
        .into()
    })
}

fn none() -> SettingsError {
    SettingsError::not_found("no build has been done with this store")
}
