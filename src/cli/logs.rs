//! `imgbuild logs`.

use clap::Args;

use super::{ExitStatus, printer::Printer};
use crate::{
    error::Failure,
    oci::Digest,
    settings::{GlobalSettings, SettingsError},
    solve::{BuildRecord, KeptBuild, StepEnd, StepRecord, builds, log_lines},
    store::Store,
};

const EXAMPLES: &str = "\
Examples:
  imgbuild logs             all commands of the last build that had any
  imgbuild logs app:3       step 3 of the stage `app`
  imgbuild logs 0eb355ee    the step with this key, of any of the last builds
  imgbuild logs --list      the steps and their keys, without their output";

/// Show what RUN steps wrote, also cached ones
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct LogsArgs {
    /// A stage, a step as STAGE:NUMBER, or the beginning of a key
    #[arg(value_name = "STEP")]
    step: Option<String>,
    /// List the steps alone
    #[arg(short, long)]
    list: bool,
}

pub(super) async fn run(args: LogsArgs, global: GlobalSettings) -> Result<ExitStatus, Failure> {
    let store = Store::open(&global.home)?;
    let builds = builds(&store)?;
    let steps = chosen(&builds, args.step.as_deref())?;
    if let (Some(last), None) = (builds.first(), &args.step)
        && !ran_commands(last)
        && let Some(ran) = builds.iter().find(|build| ran_commands(build))
    {
        let ended = time(&ran.record);
        Printer::stderr(&format!("note: the last build ran no commands; the last that did ended {ended}\n"));
    }
    for (step, key) in steps {
        let StepRecord { stage, number, of, name, end, platform, .. } = step;
        let key_text = &key.hex()[..12];
        let outcome = match end {
            StepEnd::Done => "done",
            StepEnd::Cached => "cached",
            StepEnd::Failed => "failed",
            StepEnd::NotReached => "not ended",
        };
        Printer::stdout(&format!("[{platform} {stage} {number}/{of}] {name}\n  {key_text} {outcome}\n"))?;
        if args.list {
            continue;
        }
        match log_lines(&store, key)? {
            Some(lines) => {
                for (at, _, text) in lines {
                    Printer::stdout(&format!("  {at} {}\n", printable(&text)))?;
                }
            }
            None => Printer::stdout("  it printed nothing\n")?,
        }
    }
    Ok(ExitStatus::Success)
}

/// A command that came as far as to have a key.
type Command<'a> = (&'a StepRecord, &'a Digest);

fn commands(build: &KeptBuild) -> impl Iterator<Item = Command<'_>> {
    build.record.steps.iter().filter(|step| step.command).filter_map(|step| Some((step, step.key.as_ref()?)))
}

fn ran_commands(build: &KeptBuild) -> bool {
    commands(build).next().is_some()
}

/// When a build ended, in UTC.
fn time(record: &BuildRecord) -> String {
    let milliseconds = i64::try_from(record.ended).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(milliseconds).unwrap_or_default();
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// The steps asked for, of builds that had some.
fn chosen<'a>(builds: &'a [KeptBuild], asked: Option<&str>) -> Result<Vec<Command<'a>>, SettingsError> {
    let Some(last) = builds.iter().find(|build| ran_commands(build)) else {
        return Err(SettingsError::not_found(
            "no build that ran commands (RUN) has been done with this store",
        ));
    };
    let Some(asked) = asked else { return Ok(commands(last).collect()) };
    let named = |(step, _): &Command<'_>| step.stage == asked || step.place() == asked;
    let found: Vec<_> = commands(last).filter(named).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let is_key = asked.len() >= 4 && asked.bytes().all(|b| b.is_ascii_hexdigit());
    let mut steps = builds.iter().flat_map(commands);
    let by_key = steps.find(|(_, key)| is_key && key.hex().starts_with(&asked.to_ascii_lowercase()));
    by_key.map(|step| vec![step]).ok_or_else(|| {
        SettingsError::not_found(format!(
            "the last build that ran commands has no step {asked:?}, and none of the last builds such a key"
        ))
        .hint("`imgbuild logs --list` lists the steps of that build")
    })
}

/// Without what would drive a terminal, whatever wrote it.
fn printable(text: &str) -> String {
    let plain = anstream::adapter::strip_str(text).to_string();
    plain.chars().filter(|c| *c == '\t' || !c.is_control()).collect()
}
