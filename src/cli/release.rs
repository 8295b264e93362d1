//! `imgbuild release`.

use clap::{Args, Subcommand};

use super::{
    ExitStatus,
    outputs::told,
    printer::Printer,
    publishing::{Said, Work},
};
use crate::{
    error::Failure,
    oci::Reference,
    release::{Kept, ReleaseError, Stage, Terms, Undone, releases as kept_releases},
    settings::{Environment, GlobalSettings, RegistryFlags, SettingsError, TagFlags, releases},
};

const EXAMPLES: &str = "\
Of each push, imgbuild keeps what its tags pointed to before.

Examples:
  imgbuild release status
  imgbuild release resume         the last one that was not finished
  imgbuild release rollback 20260301-174210-5e1f00";

/// Finish or undo what was pushed
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ReleaseArgs {
    #[command(subcommand)]
    command: ReleaseCommand,
}

#[derive(Debug, Subcommand)]
enum ReleaseCommand {
    Status(StatusArgs),
    Resume(ResumeArgs),
    Rollback(RollbackArgs),
}

/// List the pushes that are known
#[derive(Debug, Args)]
struct StatusArgs {
    /// Only this one
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Finish a push that was killed, or failed: send what is missing, move the tags that are left
#[derive(Debug, Args)]
struct ResumeArgs {
    /// Which one [default: the last that was not finished]
    #[arg(value_name = "ID")]
    id: Option<String>,
    #[command(flatten)]
    tags: TagFlags,
    #[command(flatten, next_help_heading = "Registries")]
    registry: RegistryFlags,
}

/// Point the tags of a push to what they pointed to before; those that were new are deleted
#[derive(Debug, Args)]
struct RollbackArgs {
    /// Which one [default: the last]
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// Also point back tags that were moved since
    #[arg(long)]
    force: bool,
    #[command(flatten, next_help_heading = "Registries")]
    registry: RegistryFlags,
}

pub(super) async fn run(
    args: ReleaseArgs,
    global: GlobalSettings,
    environment: Environment,
) -> Result<ExitStatus, Failure> {
    match args.command {
        ReleaseCommand::Status(args) => status(&args, &global),
        ReleaseCommand::Resume(args) => {
            let work = Work::begin(global, &args.registry, args.tags.terms(), environment)?;
            let ended = resume(&work, args.id.as_deref()).await;
            work.end(ended)
        }
        ReleaseCommand::Rollback(args) => {
            let terms = Terms { force: args.force, ..Terms::default() };
            let work = Work::begin(global, &args.registry, terms, environment)?;
            let ended = rollback(&work, args.id.as_deref()).await;
            work.end(ended)
        }
    }
}

async fn resume(work: &Work, id: Option<&str>) -> Result<Said, Failure> {
    let Some((kept, published)) = work.publisher.resume(id).await? else {
        return Ok(Said { lines: vec!["there is nothing to finish".into()], ..Said::default() });
    };
    let mut lines = told(&published);
    lines.push(match kept.stage {
        Stage::Done => format!("the release {} was finished before", kept.id),
        _ => format!("finished the release {}", kept.id),
    });
    Ok(Said { digest: Some(kept.digest().to_string()), lines, failure: None })
}

async fn rollback(work: &Work, id: Option<&str>) -> Result<Said, Failure> {
    let Undone { id, restored, deleted, undeleted, moved_on } = work.publisher.rollback(id).await?;
    let restored =
        restored.iter().map(|(name, digest)| format!("{} points to {digest} again", name.familiar()));
    let deleted = deleted.iter().map(|name| format!("{} was new and is deleted", name.familiar()));
    let mut lines: Vec<String> = restored.chain(deleted).collect();
    if lines.is_empty() {
        lines.push(format!("there was nothing to undo of the release {id}"));
    }
    let familiar = |names: &[Reference]| names.iter().map(Reference::familiar).collect::<Vec<_>>();
    let failure: Option<Failure> = if !moved_on.is_empty() {
        Some(ReleaseError::MovedOn { id, tags: familiar(&moved_on) }.into())
    } else if !undeleted.is_empty() {
        Some(ReleaseError::NotDeleted(familiar(&undeleted)).into())
    } else {
        None
    };
    Ok(Said { digest: None, lines, failure })
}

fn status(args: &StatusArgs, global: &GlobalSettings) -> Result<ExitStatus, Failure> {
    let folder = releases(global);
    let mut known = kept_releases(&folder)?;
    if let Some(id) = &args.id {
        known.retain(|kept| kept.id == *id);
        if known.is_empty() {
            return Err(ReleaseError::NoRelease { id: id.clone(), folder }.into());
        }
    }
    if args.json {
        let json = serde_json::to_string_pretty(&known)
            .map_err(|error| SettingsError::new(format!("failed to write JSON: {error}")))?;
        Printer::stdout(&(json + "\n"))?;
        return Ok(ExitStatus::Success);
    }
    for kept in &known {
        let running = kept.is_running(&folder);
        Printer::stdout(&described(kept, running))?;
    }
    Ok(ExitStatus::Success)
}

fn described(kept: &Kept, running: bool) -> String {
    let stage = match kept.stage {
        Stage::Begun if running => "running",
        Stage::Begun => "not finished",
        Stage::Done => "done",
        Stage::RolledBack => "rolled back",
        Stage::Superseded => "superseded",
    };
    let mut text = format!("{}  {stage}  {}\n", kept.id, kept.digest());
    for target in &kept.targets {
        for tag in &target.tags {
            let before = tag
                .before
                .as_ref()
                .map_or("new".to_owned(), |before| format!("before: {}", before.digest.short()));
            let moved = if tag.moved { "" } else { ", not moved" };
            text.push_str(&format!("  {}:{} ({before}{moved})\n", target.repository, tag.tag));
        }
    }
    text
}
