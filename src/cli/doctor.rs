//! `imgbuild doctor`.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use serde::Serialize;

use super::{ExitStatus, printer::Printer};
use crate::{
    error::Failure,
    oci::Platform,
    sandbox::{Architecture, Examined, Mode, Sandbox, Settings},
    settings::{Environment, GlobalSettings, emulators},
    solve::{EmulatorOptions, Runs, how},
};

const EXAMPLES: &str = "\
Example:
  imgbuild doctor";

/// Tell how RUN steps run here, for which platforms, and how to improve
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
    platforms: Vec<Target>,
}

/// A platform, and what runs its programs.
#[derive(Debug, Serialize)]
struct Target {
    platform: String,
    usable: bool,
    /// Whether that was seen to run a program: not if it is still to be fetched.
    tried: bool,
    how: String,
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

pub(super) async fn run(
    args: DoctorArgs,
    global: GlobalSettings,
    environment: Environment,
) -> Result<ExitStatus, Failure> {
    // On the file system where builds have their trees, which decides on how they can be stacked.
    let settings = Settings { mode: None, scratch: global.home.join("sandbox"), program: None };
    let options = emulators(&[], &global.config, &environment)?;
    let missing = missing(&settings.scratch);
    let examined = Sandbox::examine(&settings).await;
    for directory in missing {
        // Others may have put something there meanwhile: then it stays.
        let _ = fs::remove_dir(directory);
    }
    let diagnosis = Diagnosis::new(&examined?, &options);
    let text = match args.json {
        // A list of texts always has a JSON form.
        true => serde_json::to_string_pretty(&diagnosis).unwrap_or_default() + "\n",
        false => diagnosis.text(),
    };
    Printer::stdout(&text)?;
    Ok(if diagnosis.mode.is_some() { ExitStatus::Success } else { ExitStatus::Findings })
}

/// Which directories of a path there are not, innermost first.
fn missing(path: &Path) -> Vec<PathBuf> {
    path.ancestors().take_while(|path| !path.exists()).map(Path::to_owned).collect()
}

impl Diagnosis {
    fn new(examined: &[Examined], options: &EmulatorOptions) -> Self {
        let rung = |rung: &Examined| Rung {
            mode: rung.mode.name(),
            meaning: meaning(rung.mode),
            usable: rung.fault.is_none(),
            reason: rung.fault.as_ref().map(ToString::to_string),
            notes: rung.notes.clone(),
            remedies: rung.remedies(),
        };
        let used = examined.iter().find(|rung| rung.fault.is_none());
        let platforms = used.map(|used| targets(used, options)).unwrap_or_default();
        Self {
            mode: used.map(|used| used.mode.name()),
            rungs: examined.iter().map(rung).collect(),
            platforms,
        }
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
        if !self.platforms.is_empty() {
            text.push_str("\nPrograms of RUN steps for\n\n");
        }
        for Target { platform, usable, tried, how } in &self.platforms {
            let answer = match (usable, tried) {
                (true, true) => "yes",
                (true, false) => "?",
                (false, _) => "no",
            };
            let _ = writeln!(text, "  {platform:<14} {answer:<4} {how}");
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

/// What runs the programs of each platform on a rung.
fn targets(used: &Examined, options: &EmulatorOptions) -> Vec<Target> {
    let no_emulation = used.no_emulation.as_ref().map(ToString::to_string);
    let target = |architecture: Architecture| {
        let platform = Platform::new("linux", architecture.name(), None);
        let runs = how(&platform, options, no_emulation.as_deref());
        let how = match &runs {
            Ok(Runs::Natively) => "natively".to_owned(),
            Ok(Runs::ByHost) => "by what the kernel was told of (binfmt_misc)".to_owned(),
            Ok(Runs::By(emulator)) => match emulator.version() {
                Some(version) => format!("by {} ({version})", emulator.path.display()),
                None => format!("by {}", emulator.path.display()),
            },
            Ok(Runs::From(reference)) => {
                format!("by an emulator that is fetched from {reference} when it is first needed; not tried")
            }
            Err(error) => error.to_string(),
        };
        let tried = !matches!(runs, Ok(Runs::From(_)));
        Target { platform: platform.to_string(), usable: runs.is_ok(), tried, how }
    };
    Architecture::ALL.into_iter().map(target).collect()
}

fn meaning(mode: Mode) -> &'static str {
    match mode {
        Mode::Root => "root with namespaces of its own and overlayfs",
        Mode::UserNamespace => "a user namespace with a range of ids and overlayfs",
        Mode::SingleId => "a user namespace with one id; owners are kept as attributes",
        Mode::Chroot => "chroot alone, in a container that isolates already",
    }
}
