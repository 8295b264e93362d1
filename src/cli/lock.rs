//! `imgbuild lock`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::{Args, ValueHint};

use super::{
    ExitStatus,
    build::{options, read, shown, style},
    engine::engine,
    lock_text::{changes_text, summary},
    printer::Printer,
};
use crate::{
    error::Failure,
    event::Sink,
    lock::{Lock, LockError, Pins, beside},
    report::Reporter,
    settings::{
        BuildFile, BuildFlags, BuildSettings, Environment, GlobalSettings, InputFlags, LockUse,
        RegistryFlags, SettingsError, closest,
    },
    solve::{Engine, Inputs, Locking, lock_inputs},
};

const EXAMPLES: &str = "\
Writes imgbuild.lock beside the spec or Dockerfile: what each image, URL and Git reference in it means. Builds \
then look up nothing. What is locked is kept; what is missing is added, and what is not used any more is removed.

Examples:
  imgbuild lock                       of all stages
  imgbuild lock --update              look up everything anew
  imgbuild lock --update python:3.12  look up this alone
  imgbuild lock --check               fail if it is not up to date
  imgbuild lock --fetch && imgbuild build --locked";

/// Write down what images, URLs and Git references mean
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct LockArgs {
    /// The directory that files are copied from
    #[arg(value_name = "CONTEXT", default_value = ".", hide_default_value = true, value_hint = ValueHint::DirPath)]
    context: PathBuf,
    /// Look up anew what is locked: all of it, or these images, URLs and Git repositories
    #[arg(long, value_name = "NAME", num_args = 0..)]
    update: Option<Vec<String>>,
    /// Write nothing, look up nothing, and fail if the lock is not up to date
    #[arg(long, conflicts_with_all = ["update", "fetch"])]
    check: bool,
    /// Download too what is locked, so that a build needs no network for it
    #[arg(long)]
    fetch: bool,
    #[command(flatten, next_help_heading = "What is locked")]
    input: InputFlags,
    #[command(flatten, next_help_heading = "Registries")]
    registry: RegistryFlags,
}

/// What is done, besides adding what is missing.
struct Work {
    update: Option<Vec<String>>,
    check: bool,
    fetch: bool,
}

pub(super) async fn run(
    args: LockArgs,
    global: GlobalSettings,
    environment: Environment,
) -> Result<ExitStatus, Failure> {
    let LockArgs { context, update, check, fetch, input, registry } = args;
    let flags = BuildFlags { context, input, registry, ..BuildFlags::default() };
    let settings = BuildSettings::resolve(&flags, &global, &environment)?;
    let work = Work { update, check, fetch };
    let reporter = Reporter::new(style(&global, &environment));
    let locked = lock_all(&settings, &work, &reporter.sink()).await;
    reporter.finish();
    for Locked { shown, before, after } in locked? {
        Printer::stdout(&changes_text(&before, &after, work.update.is_some()))?;
        if !global.quiet {
            Printer::stderr(&summary(&shown, &before, &after));
        }
    }
    Ok(ExitStatus::Success)
}

/// A lock that was written.
struct Locked {
    shown: String,
    before: Lock,
    after: Lock,
}

async fn lock_all(settings: &BuildSettings, work: &Work, sink: &Sink) -> Result<Vec<Locked>, Failure> {
    let mut by_lock: BTreeMap<PathBuf, Vec<&BuildFile>> = BTreeMap::new();
    for file in &settings.files {
        let path = file.path().ok_or_else(not_a_file)?;
        by_lock.entry(beside(path)).or_default().push(file);
    }
    if by_lock.is_empty() {
        return Err(not_a_file().into());
    }
    let engine = engine(settings, sink)?;
    let mut open = Vec::new();
    for (path, files) in by_lock {
        let shown = shown(&path);
        open.push((Lock::open(&path, &shown)?, path, shown, files));
    }
    let renewed = renewed(work, open.iter().filter_map(|(lock, ..)| lock.as_ref()))?;
    let mut all = Vec::new();
    for (before, path, shown, files) in open {
        let is_new = before.is_none();
        let before = before.unwrap_or_default();
        let (after, missing) = locked(&engine, settings, work, &before, &renewed, &files).await?;
        let same = !is_new && before == after;
        if work.check && !(same && missing.is_empty()) {
            return Err(stale(shown, &before, &after, missing).into());
        }
        if !same {
            after.save(&path)?;
        }
        all.push(Locked { shown, before, after });
    }
    Ok(all)
}

/// What a lock becomes, and what it does not have and may not be looked up.
async fn locked(
    engine: &Engine,
    settings: &BuildSettings,
    work: &Work,
    before: &Lock,
    renewed: &BTreeSet<crate::lock::Input>,
    files: &[&BuildFile],
) -> Result<(Lock, BTreeSet<crate::lock::Input>), Failure> {
    let mut kept = before.clone();
    kept.entries.retain(|input, _| !renewed.contains(input));
    let mut found = Inputs::default();
    for file in files {
        let name = file.path().map(file_name).unwrap_or_default();
        // The build tells what its checks find.
        let frontend = read(file, &super::build::name_of(file), &Sink::silent())?;
        let platforms = settings.platforms(&frontend.defaults(&settings.request.args)?);
        let options = options(settings, file, platforms, Some(0), &engine.sink);
        let locking = Locking { kept: &kept, file: &name, look_up: !work.check, fetch: work.fetch };
        let inputs = lock_inputs(engine, frontend.as_ref(), &options, locking).await?;
        // What one file has looked up means the same in the next.
        kept.merge(inputs.lock.clone());
        found.lock.merge(inputs.lock);
        found.missing.extend(inputs.missing);
    }
    let mut after = before.clone();
    let names: Vec<String> = files.iter().filter_map(|file| file.path()).map(file_name).collect();
    let folder = files.first().and_then(|file| file.path()).and_then(Path::parent);
    // Of one target, it is not known what the others use.
    let whole = settings.request.target.is_none() && found.missing.is_empty();
    after.forget(|file| {
        let gone = folder.is_some_and(|folder| !folder.join(file).is_file());
        gone || whole && names.iter().any(|name| name == file)
    });
    after.merge(found.lock.clone());
    let named = work.update.as_ref().is_some_and(|names| !names.is_empty());
    for (input, entry) in &before.entries {
        let untouched = renewed.contains(input) && !found.lock.entries.contains_key(input);
        if named && untouched && after.entries.contains_key(input) {
            let files: Vec<&str> = entry.used_by.iter().map(String::as_str).collect();
            engine.sink.warn(format!(
                "{input} was not looked up: it is used by {}, to be named with -f",
                files.join(", ")
            ));
        }
    }
    Ok((after, found.missing))
}

/// The names that are looked up anew.
fn renewed<'a>(
    work: &Work,
    locks: impl Iterator<Item = &'a Lock> + Clone,
) -> Result<BTreeSet<crate::lock::Input>, SettingsError> {
    let Some(names) = &work.update else { return Ok(BTreeSet::new()) };
    if names.is_empty() {
        return Ok(locks.flat_map(|lock| lock.entries.keys().cloned()).collect());
    }
    let mut renewed = BTreeSet::new();
    for name in names {
        let meant: Vec<_> = locks.clone().flat_map(|lock| lock.meant_by(name)).collect();
        if meant.is_empty() {
            let known: Vec<String> =
                locks.flat_map(|lock| lock.entries.keys()).map(ToString::to_string).collect();
            let error = SettingsError::not_found(format!("{name} is not locked, and cannot be updated"));
            if Path::new(name).is_dir() {
                return Err(error.hint("the context goes before --update, which takes names"));
            }
            return Err(match (closest(name, known.iter().map(String::as_str)), &known[..]) {
                (Some(near), _) => error.hint(format!("did you mean `{near}`?")),
                (None, []) => error.hint("run `imgbuild lock` first"),
                (None, known) => error.hint(format!("locked are {}", known.join(", "))),
            });
        }
        renewed.extend(meant);
    }
    Ok(renewed)
}

fn stale(lock: String, before: &Lock, after: &Lock, missing: BTreeSet<crate::lock::Input>) -> LockError {
    let names = |inputs: Vec<&crate::lock::Input>| inputs.into_iter().map(ToString::to_string).collect();
    let unused = before.entries.keys().filter(|input| !after.entries.contains_key(input)).collect();
    let others = missing.is_empty() && before.entries.keys().eq(after.entries.keys());
    LockError::Stale { lock, missing: names(missing.iter().collect()), unused: names(unused), others }
}

/// A file as locks name it.
fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn not_a_file() -> SettingsError {
    SettingsError::new("only what files of this machine name can be locked")
        .hint("run `imgbuild lock` in a directory with a Dockerfile or a spec")
}

/// What a build goes by for a file; `fetched` is the root of its context, if that was fetched.
pub(super) fn pins(
    settings: &BuildSettings,
    file: &BuildFile,
    fetched: Option<&Path>,
    sink: &Sink,
) -> Result<Option<Arc<Pins>>, Failure> {
    let strict = settings.lock == LockUse::Required;
    let Some(path) = file.path().map(beside) else {
        return if strict { Err(LockError::NoFile.into()) } else { Ok(None) };
    };
    let shown = match fetched.and_then(|root| path.strip_prefix(root).ok()) {
        Some(inside) => inside.display().to_string(),
        None => shown(&path),
    };
    if settings.lock == LockUse::Ignored {
        if path.exists() {
            sink.note(format!("{shown} is ignored: all inputs are looked up (--no-lock)"));
        }
        return Ok(None);
    }
    // A link of somebody else's repository leads to nothing of this machine: messages quote the file.
    let leaves = |root: &Path| match (root.canonicalize(), path.canonicalize()) {
        (Ok(root), Ok(path)) => !path.starts_with(root),
        _ => false,
    };
    if fetched.is_some_and(leaves) {
        return Err(SettingsError::new(format!("{shown} is a link that leads out of the context")).into());
    }
    match Lock::open(&path, &shown)? {
        None if strict => Err(LockError::None { lock: shown }.into()),
        None => Ok(None),
        Some(lock) => {
            if settings.cache.pull {
                sink.warn(format!(
                    "{shown} says what the inputs are: --pull looks up only those that it does not have; \
                     `imgbuild lock --update` renews it, --no-lock ignores it"
                ));
            }
            Ok(Some(Arc::new(Pins::new(lock, shown, strict, sink.clone()))))
        }
    }
}
