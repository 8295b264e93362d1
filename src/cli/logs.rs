//! `imgbuild logs`.

use clap::Args;

use super::{ExitStatus, printer::Printer};
use crate::{
    error::Failure,
    settings::{GlobalSettings, SettingsError},
    solve::{Journal, JournalStep, journals, log_lines},
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
    let journals = journals(&store)?;
    let (without, journals) =
        journals.split_at(journals.iter().take_while(|one| one.steps.is_empty()).count());
    let steps = chosen(journals, args.step.as_deref())?;
    if let (false, Some(ran), None) = (without.is_empty(), journals.first(), &args.step) {
        let ended = time(ran);
        Printer::stderr(&format!("note: the last build ran no commands; the last that did ended {ended}\n"));
    }
    for step in steps {
        let JournalStep { stage, number, of, name, outcome, key, platform } = step;
        let key_text = &key.hex()[..12];
        let one_line = name.split_whitespace().collect::<Vec<_>>().join(" ");
        Printer::stdout(&format!("[{platform} {stage} {number}/{of}] {one_line}\n  {key_text} {outcome}\n"))?;
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

/// When a build ended, in UTC.
fn time(journal: &Journal) -> String {
    let seconds = i64::try_from(journal.ended).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// The steps asked for, of builds that had some.
fn chosen<'a>(journals: &'a [Journal], asked: Option<&str>) -> Result<Vec<&'a JournalStep>, SettingsError> {
    let Some(last) = journals.first() else {
        return Err(SettingsError::not_found(
            "no build that ran commands (RUN) has been done with this store",
        ));
    };
    let Some(asked) = asked else { return Ok(last.steps.iter().collect()) };
    let named =
        |step: &&JournalStep| step.stage == asked || format!("{}:{}", step.stage, step.number) == asked;
    let found: Vec<_> = last.steps.iter().filter(named).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let is_key = asked.len() >= 4 && asked.bytes().all(|b| b.is_ascii_hexdigit());
    let mut steps = journals.iter().flat_map(|journal| &journal.steps);
    let by_key = steps.find(|step| is_key && step.key.hex().starts_with(&asked.to_ascii_lowercase()));
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
