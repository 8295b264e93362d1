//! `imgbuild cache`.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant, SystemTime},
};

use clap::{Args, Subcommand, builder::PossibleValuesParser};
use serde::Serialize;

use super::{
    ExitStatus,
    cache_key::{KeygenArgs, keygen},
    cache_text as text,
    printer::Printer,
};
use crate::{
    error::Failure,
    event::Sink,
    image::pinned,
    report::bytes,
    settings::{Environment, EvictionSettings, GlobalSettings},
    solve::remove_folders,
    store::{Evicted, Limits, Reason, Store, StoreEntry, StoreKind},
};

const EXAMPLES: &str = "\
All that can be made again is cache: blobs, records, tars, trees, mounts, contexts, git, stat, logs.
Images with a name are not: they stay until `imgbuild cache clear images`.
Nothing goes that a running build uses. Builds collect by themselves, once an hour at the most.

Examples:
  imgbuild cache du                     how much there is of what
  imgbuild cache ls mounts trees        what there is, largest first
  imgbuild cache gc --max-size 10GB     what was used least recently goes
  imgbuild cache clear mounts           cache mounts alone
  imgbuild cache clear                  all but images
  imgbuild cache keygen ci.key          a key that signs shared caches";

/// Show and limit what is kept for later builds
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CacheArgs {
    #[command(subcommand)]
    command: CacheCommand,
}

#[derive(Debug, Subcommand)]
enum CacheCommand {
    #[command(visible_alias = "list")]
    Ls(LsArgs),
    #[command(visible_alias = "df")]
    Du(DuArgs),
    #[command(visible_alias = "prune")]
    Gc(GcArgs),
    Clear(ClearArgs),
    Keygen(KeygenArgs),
}

/// List what is kept
#[derive(Debug, Args)]
struct LsArgs {
    /// Only these kinds
    #[arg(value_name = "KIND", value_parser = kinds(StoreKind::ALL))]
    kinds: Vec<String>,
    /// The last used first, in place of the largest
    #[arg(long)]
    latest: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Show how much disk each kind takes
#[derive(Debug, Args)]
struct DuArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Remove what was used least recently, down to the size that the store may have
#[derive(Debug, Args)]
pub(super) struct GcArgs {
    /// The most that may be left, as in 20GB or 15% (of the disk) [default: a fifth of the disk, or less where a tenth
    /// of it would not be free] [env: IMGBUILD_CACHE_MAX_SIZE]
    #[arg(long, value_name = "SIZE")]
    max_size: Option<String>,
    /// Remove what was not used for so long, too, as in 30d [env: IMGBUILD_CACHE_MAX_AGE]
    #[arg(long, value_name = "TIME")]
    max_age: Option<String>,
    #[command(flatten)]
    how: HowArgs,
}

/// Remove cache, however recently it was used
#[derive(Debug, Args)]
struct ClearArgs {
    /// Only these kinds [default: all but images]
    #[arg(value_name = "KIND", value_parser = kinds(StoreKind::ALL.into_iter().filter(|kind| clearable(*kind))))]
    kinds: Vec<String>,
    #[command(flatten)]
    how: HowArgs,
}

#[derive(Debug, Args)]
struct HowArgs {
    /// Remove nothing; tell what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn kinds(kinds: impl IntoIterator<Item = StoreKind>) -> PossibleValuesParser {
    PossibleValuesParser::new(kinds.into_iter().map(StoreKind::name))
}

fn clearable(kind: StoreKind) -> bool {
    kind.is_cache() || kind == StoreKind::Images
}

fn chosen(names: &[String]) -> BTreeSet<StoreKind> {
    StoreKind::ALL.into_iter().filter(|kind| names.iter().any(|name| name == kind.name())).collect()
}

pub(super) async fn run(
    args: CacheArgs,
    global: GlobalSettings,
    environment: Environment,
) -> Result<ExitStatus, Failure> {
    match args.command {
        CacheCommand::Ls(args) => ls(&args, &global),
        CacheCommand::Du(args) => du(&args, &global, &environment),
        CacheCommand::Gc(args) => gc(args, global, environment).await,
        CacheCommand::Clear(args) => clear(&args, &global).await,
        CacheCommand::Keygen(args) => keygen(&args),
    }
}

fn ls(args: &LsArgs, global: &GlobalSettings) -> Result<ExitStatus, Failure> {
    let store = Store::open(&global.home)?;
    let usage = store.usage(&pinned(&store)?)?;
    let chosen = chosen(&args.kinds);
    let mut entries: Vec<&StoreEntry> =
        usage.entries.iter().filter(|entry| chosen.is_empty() || chosen.contains(&entry.kind)).collect();
    match args.latest {
        true => entries.sort_by_key(|entry| std::cmp::Reverse(entry.used)),
        false => entries.sort_by_key(|entry| std::cmp::Reverse(entry.size)),
    }
    let listed: Vec<Listed> = entries.into_iter().map(Listed::new).collect();
    show(args.json, &*listed, text::list)?;
    tell_unread(usage.unread);
    Ok(ExitStatus::Success)
}

/// Something that is kept, as `--json` prints it. New fields may come; none changes its meaning.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listed {
    /// The kind's name.
    pub(super) kind: &'static str,
    /// Its name among those of its kind.
    pub(super) id: String,
    /// What people call it: an image's name, the id of a cache mount.
    pub(super) name: Option<String>,
    /// Allocated bytes.
    pub(super) size: u64,
    /// When it was used last, RFC 3339.
    pub(super) last_used: String,
    #[serde(skip)]
    pub(super) used: SystemTime,
}

impl Listed {
    fn new(entry: &StoreEntry) -> Self {
        let used = jiff::Timestamp::try_from(entry.used).unwrap_or_default();
        Self {
            kind: entry.kind.name(),
            id: entry.id.clone(),
            name: entry.label.clone(),
            size: entry.size,
            last_used: used.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            used: entry.used,
        }
    }
}

/// What `du --json` prints.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    /// The store's directory.
    pub(super) home: String,
    /// Each kind in turn.
    pub(super) kinds: Vec<KindSummary>,
    /// Bytes of all.
    pub(super) total: u64,
    /// The most bytes that eviction leaves.
    pub(super) max_size: u64,
    /// The size of the disk, and how much of it is free.
    pub(super) disk_size: u64,
    pub(super) disk_available: u64,
}

/// What there is of a kind.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KindSummary {
    pub(super) kind: &'static str,
    pub(super) entries: usize,
    pub(super) size: u64,
    /// Whether eviction may take it.
    pub(super) cache: bool,
}

fn du(args: &DuArgs, global: &GlobalSettings, environment: &Environment) -> Result<ExitStatus, Failure> {
    let settings = EvictionSettings::resolve(None, None, global, environment)?;
    let store = Store::open(&global.home)?;
    let usage = store.usage(&pinned(&store)?)?;
    let mut of_kind: BTreeMap<StoreKind, (usize, u64)> = BTreeMap::new();
    for entry in &usage.entries {
        let (entries, size) = of_kind.entry(entry.kind).or_default();
        *entries += 1;
        *size += entry.size;
    }
    let kinds = StoreKind::ALL.into_iter().map(|kind| {
        let (entries, size) = of_kind.get(&kind).copied().unwrap_or_default();
        KindSummary { kind: kind.name(), entries, size, cache: kind.is_cache() }
    });
    let disk = store.disk()?;
    let summary = Summary {
        home: global.home.display().to_string(),
        kinds: kinds.collect(),
        total: usage.total(),
        max_size: settings.max_size.bytes(disk, usage.total()),
        disk_size: disk.size,
        disk_available: disk.available,
    };
    show(args.json, &summary, text::summary)?;
    tell_unread(usage.unread);
    Ok(ExitStatus::Success)
}

pub(super) async fn gc(
    args: GcArgs,
    global: GlobalSettings,
    environment: Environment,
) -> Result<ExitStatus, Failure> {
    let (size, age) = (args.max_size.as_deref(), args.max_age.as_deref());
    let settings = EvictionSettings::resolve(size, age, &global, &environment)?;
    let limits = Limits {
        max_size: Some(settings.max_size),
        max_age: settings.max_age,
        dry_run: args.how.dry_run,
        ..Limits::default()
    };
    evict(&global, limits, &args.how).await
}

async fn clear(args: &ClearArgs, global: &GlobalSettings) -> Result<ExitStatus, Failure> {
    let mut clear = chosen(&args.kinds);
    if clear.is_empty() {
        clear.extend(StoreKind::ALL.into_iter().filter(|kind| kind.is_cache()));
    }
    evict(global, Limits { clear, dry_run: args.how.dry_run, ..Limits::default() }, &args.how).await
}

async fn evict(global: &GlobalSettings, limits: Limits, how: &HowArgs) -> Result<ExitStatus, Failure> {
    let store = Store::open(&global.home)?;
    let mut evicted = collect(&store, limits).await?;
    let folders = std::mem::take(&mut evicted.folders);
    evicted.failures.extend(remove_folders(&store, folders).await?);
    let report = Report::new(&evicted, how.dry_run);
    if !global.quiet {
        show(how.json, &report, text::report)?;
    }
    tell_unread(evicted.unread);
    for failure in &evicted.failures {
        Printer::stderr(&format!("warning: {failure}\n"));
    }
    Ok(if evicted.failures.is_empty() { ExitStatus::Success } else { ExitStatus::Findings })
}

async fn collect(store: &Store, limits: Limits) -> Result<Evicted, Failure> {
    let store = store.clone();
    let evicted = tokio::task::spawn_blocking(move || {
        let evictor = store.evictor()?;
        // Whoever gives an image a name now has marked its blobs.
        evictor.evict(&pinned(&store)?, &limits)
    });
    match evicted.await {
        Ok(evicted) => Ok(evicted?),
        Err(error) => Err(super::printer::HostError::new("evict", std::io::Error::other(error)).into()),
    }
}

/// What eviction did, as `--json` prints it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    pub(super) dry_run: bool,
    /// Bytes before, those that went, and the most that there should be.
    pub(super) before: u64,
    pub(super) freed: u64,
    pub(super) after: u64,
    pub(super) max_size: Option<u64>,
    /// What went, in the order in which it did.
    pub(super) removed: Vec<Gone>,
    /// What was to go, but is in use by a running build.
    pub(super) in_use: Vec<Listed>,
}

/// Something that went.
#[derive(Debug, Serialize)]
pub(super) struct Gone {
    #[serde(flatten)]
    pub(super) entry: Listed,
    /// Why.
    pub(super) reason: &'static str,
}

impl Report {
    fn new(evicted: &Evicted, dry_run: bool) -> Self {
        let removed = evicted.removed.iter();
        Self {
            dry_run,
            before: evicted.before,
            freed: evicted.freed(),
            after: evicted.after(),
            max_size: evicted.max_size,
            removed: removed
                .map(|(entry, reason)| Gone { entry: Listed::new(entry), reason: words(*reason) })
                .collect(),
            in_use: evicted.in_use.iter().map(Listed::new).collect(),
        }
    }
}

fn words(reason: Reason) -> &'static str {
    match reason {
        Reason::Cleared => "cleared",
        Reason::Age => "too old",
        Reason::Size => "least recently used",
        Reason::Orphan => "of something removed",
        Reason::LeftBehind => "left behind",
    }
}

fn show<T: Serialize + ?Sized>(json: bool, data: &T, text: impl Fn(&T) -> String) -> Result<(), Failure> {
    Printer::stdout(&match json {
        // No value here refuses to be JSON.
        true => serde_json::to_string_pretty(data).unwrap_or_default() + "\n",
        false => text(data),
    })?;
    Ok(())
}

fn tell_unread(unread: usize) {
    if unread > 0 {
        let some = if unread == 1 { "a directory" } else { "some directories" };
        Printer::stderr(&format!(
            "warning: {some} of unpacked layers ({unread}) could not be read, and may hold more than is counted\n"
        ));
    }
}

/// How often a build looks at the size of the store.
const EVERY: Duration = Duration::from_secs(3600);
/// How long it may take over it.
const BUDGET: Duration = Duration::from_secs(2);

/// Keeps the store within its limits after a build, once in a while. What went is told in one line; what fails is a
/// warning, since the build is done.
pub(super) async fn after_build(store: &Store, settings: &EvictionSettings, sink: &Sink) {
    let settings = *settings;
    match store.is_eviction_due(EVERY) {
        Ok(true) if !settings.manual => {}
        Ok(_) => return,
        Err(error) => return sink.warn(error.to_string()),
    }
    let limits = Limits {
        max_size: Some(settings.max_size),
        max_age: settings.max_age,
        deadline: Some(Instant::now() + BUDGET),
        ..Limits::default()
    };
    match tokio::time::timeout(BUDGET * 2, collect(store, limits)).await {
        Ok(Ok(mut evicted)) => {
            if evicted.freed() > 0 {
                sink.note(format!(
                    "removed {} of cache, least recently used first; {} are left (`imgbuild cache du`)",
                    bytes(evicted.freed()),
                    bytes(evicted.after())
                ));
            }
            let folders = std::mem::take(&mut evicted.folders);
            // What is not done in time is left behind, for a later build.
            let removed = tokio::time::timeout(BUDGET, remove_folders(store, folders)).await;
            if let Ok(Err(error)) = removed {
                sink.warn(error.to_string());
            }
            evicted.failures.into_iter().for_each(|failure| sink.warn(failure));
        }
        Ok(Err(error)) => sink.warn(error.to_string()),
        // A disk so slow is no place for it.
        Err(_) => sink.note("the store was not measured in time; run `imgbuild cache gc`"),
    }
}
