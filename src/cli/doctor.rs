//! `imgbuild doctor`.

use std::fmt::Write;

use clap::Args;
use serde::Serialize;

use super::{ExitStatus, printer::Printer};
use crate::{
    error::Failure,
    sandbox::{Examined, Mode, Sandbox, Settings},
    settings::GlobalSettings,
};

const EXAMPLES: &str = "\
Example:
  imgbuild doctor";

/// Tell how RUN steps are isolated here, and how to do better
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is told.
#[derive(Debug, Serialize)]
struct Diagnosis {
    /// The rung that builds use; none if RUN cannot be used.
    mode: Option<&'static str>,
    rungs: Vec<Rung>,
}

#[derive(Debug, Serialize)]
struct Rung {
    mode: &'static str,
    meaning: &'static str,
    usable: bool,
    reason: Option<String>,
    notes: Vec<String>,
    remedies: Vec<String>,
}

pub(super) async fn run(args: DoctorArgs, global: GlobalSettings) -> Result<ExitStatus, Failure> {
    let settings = Settings { mode: None, scratch: global.home.join("sandbox"), program: None };
    let diagnosis = Diagnosis::new(&Sandbox::examine(&settings).await?);
    let text = match args.json {
        // A list of texts always has a JSON form.
        true => serde_json::to_string_pretty(&diagnosis).unwrap_or_default() + "\n",
        false => diagnosis.text(),
    };
    Printer::stdout(&text)?;
    Ok(if diagnosis.mode.is_some() { ExitStatus::Success } else { ExitStatus::Findings })
}

impl Diagnosis {
    fn new(examined: &[Examined]) -> Self {
        let rung = |rung: &Examined| Rung {
            mode: rung.mode.name(),
            meaning: meaning(rung.mode),
            usable: rung.fault.is_none(),
            reason: rung.fault.as_ref().map(ToString::to_string),
            notes: rung.notes.clone(),
            remedies: rung.remedies(),
        };
        let mode = examined.iter().find(|rung| rung.fault.is_none()).map(|rung| rung.mode.name());
        Self { mode, rungs: examined.iter().map(rung).collect() }
    }

    fn text(&self) -> String {
        let mut text = match self.mode {
            Some(mode) => {
                let rung = self.rungs.iter().find(|rung| rung.mode == mode);
                let meaning = rung.map_or("", |rung| rung.meaning);
                format!("RUN steps use the sandbox mode {mode}: {meaning}\n\n")
            }
            None => "RUN steps cannot be used on this host; builds without them can\n\n".to_owned(),
        };
        // Writing to a string does not fail.
        for rung in &self.rungs {
            let name = rung.mode;
            let _ = match &rung.reason {
                None => writeln!(text, "  {name:<10} yes  {}", rung.meaning),
                Some(reason) => writeln!(text, "  {name:<10} no   {reason}"),
            };
            for note in &rung.notes {
                let _ = writeln!(text, "  {:<10}      {note}", "");
            }
        }
        let better = self.rungs.iter().take_while(|rung| !rung.usable);
        let mut remedies: Vec<&String> = Vec::new();
        for remedy in better.flat_map(|rung| &rung.remedies) {
            if !remedies.contains(&remedy) {
                remedies.push(remedy);
            }
        }
        if !remedies.is_empty() {
            text.push_str(if self.mode.is_some() { "\nFor a better one:\n" } else { "\nDo one of:\n" });
        }
        for remedy in remedies {
            let _ = writeln!(text, "  - {remedy}");
        }
        text
    }
}

fn meaning(mode: Mode) -> &'static str {
    match mode {
        Mode::Root => "root with namespaces of its own and overlayfs",
        Mode::UserNamespace => "a user namespace with a range of ids and overlayfs",
        Mode::SingleId => "a user namespace with one id; owners are kept as attributes",
        Mode::Chroot => "chroot alone, in a container that isolates already",
    }
}
