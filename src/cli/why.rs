//! `imgbuild why`.

use clap::Args;

use super::{
    ExitStatus,
    cache_key::keys,
    engine::client,
    printer::Printer,
    why_text::{comparison_text, list_text},
};
use crate::{
    cache::{Cache, CacheOptions, SharedBuild},
    error::Failure,
    event::{Event, Sink},
    oci::canonical,
    settings::{
        Environment, GlobalSettings, RegistryFlags, RegistrySettings, SettingsError, SharedBuildFlags,
    },
    solve::{
        Comparison, KeptBuild, builds, compare, earlier_of, export, like, open_build, open_shared_build,
        shared_builds,
    },
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
  imgbuild why --from ci.json    the last build here against another machine's
  imgbuild why --from cache --cache-from REF    against a cache's last build";

/// Explain why steps were not in the cache
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct WhyArgs {
    /// A step: its number in the last stage, STAGE:NUMBER, a stage, or a part of its text
    #[arg(value_name = "STEP")]
    step: Option<String>,
    /// The build to compare with: an id, a file that --export wrote, or one of --cache-from: `cache:ID`, or `cache` for the
    /// last one of this file and target [default: the one before]
    #[arg(long, value_name = "BUILD")]
    from: Option<String>,
    /// The build to explain, in the same words [default: the last one here]
    #[arg(long, value_name = "BUILD")]
    to: Option<String>,
    /// List the builds that are remembered, here and in --cache-from
    #[arg(long, conflicts_with_all = ["step", "from", "to", "export"])]
    list: bool,
    /// Print the record of a build, to compare it on another machine
    #[arg(long, value_name = "BUILD", conflicts_with_all = ["step", "from", "to", "json"])]
    export: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    shared: SharedBuildFlags,
    #[command(flatten, next_help_heading = "Registries")]
    registry: RegistryFlags,
}

pub(super) async fn run(
    args: WhyArgs,
    global: GlobalSettings,
    environment: Environment,
) -> Result<ExitStatus, Failure> {
    let store = Store::open(&global.home)?;
    let known = Known { elsewhere: elsewhere(&args, &store, &global, &environment).await?, store };
    if let Some(asked) = &args.export {
        let mut exported = export(&known.store, &known.named(asked, None).await?);
        exported.push(b'\n');
        Printer::stdout(&String::from_utf8_lossy(&exported))?;
        return Ok(ExitStatus::Success);
    }
    if args.list {
        let shared = known.elsewhere.as_ref().map(|(_, builds)| &builds[..]).unwrap_or_default();
        Printer::stdout(&list_text(&builds(&known.store)?, shared, args.json))?;
        return Ok(ExitStatus::Success);
    }
    let last = builds(&known.store)?.into_iter().next();
    let build = match &args.to {
        Some(asked) => known.named(asked, last.as_ref()).await?,
        None => last.ok_or_else(none)?,
    };
    let against = match &args.from {
        Some(asked) => Some(known.named(asked, Some(&build)).await?),
        None => earlier_of(&known.store, &build.record)?,
    };
    let step = args.step.as_deref();
    let comparison = compare(&known.store, &build, against.as_ref(), step);
    if let (Some(asked), []) = (step, &comparison.steps[..]) {
        return Err(SettingsError::not_found(format!("the build {} has no step {asked:?}", build.record.id))
            .hint("`imgbuild why` tells of all steps; those that make no layer never miss")
            .into());
    }
    Printer::stdout(&shown(&comparison, &build, against.as_ref(), &args))?;
    Ok(ExitStatus::Success)
}

/// The builds that are known: here, and in the caches that are asked.
struct Known {
    store: Store,
    elsewhere: Option<(Cache, Vec<SharedBuild>)>,
}

async fn elsewhere(
    args: &WhyArgs,
    store: &Store,
    global: &GlobalSettings,
    environment: &Environment,
) -> Result<Option<(Cache, Vec<SharedBuild>)>, Failure> {
    let settings = args.shared.resolve(global, environment)?;
    if settings.from.is_empty() {
        return Ok(None);
    }
    let (_, trusted) = keys(&settings)?;
    let sink = Sink::new(|event| {
        if let Event::Warning { message, .. } = event {
            Printer::stderr(&format!("warning: {message}\n"));
        }
    });
    let registry = RegistrySettings::resolve(&args.registry, &global.config, environment)?;
    let registry = client(&registry, &Sink::silent())?;
    let options = CacheOptions { from: settings.from, trusted, ..CacheOptions::default() };
    let cache = Cache::new(options, store.clone(), &registry, sink);
    let builds = shared_builds(&cache).await;
    Ok(Some((cache, builds)))
}

/// What stands for the builds of caches.
const CACHE: &str = "cache";

impl Known {
    /// The build that a user names; `other` is the one that it is compared with.
    async fn named(&self, asked: &str, other: Option<&KeptBuild>) -> Result<KeptBuild, Failure> {
        let id = match asked.strip_prefix(CACHE) {
            Some("") => None,
            Some(rest) if rest.starts_with(':') => Some(&rest[1..]),
            _ => match open_build(&self.store, asked)? {
                Some(build) => return Ok(build),
                None => Some(asked),
            },
        };
        let Some((cache, builds)) = &self.elsewhere else {
            let error = SettingsError::not_found(format!(
                "{asked:?} is neither the id of a build that is remembered nor a record in a file"
            ));
            let hint = "`imgbuild why --list` lists the builds; those of a cache are known with --cache-from";
            return Err(error.hint(hint).into());
        };
        let found = match id {
            Some(id) => builds.iter().find(|build| !id.is_empty() && build.id.starts_with(id)),
            None => other.and_then(|other| like(builds, &other.record)).or(builds.first()),
        };
        let found = found.ok_or_else(|| {
            SettingsError::not_found(format!("no build {asked:?} is known, here or in the cache")).hint(
                "`imgbuild why --list --cache-from …` lists them; a cache has room for the last 64 or so",
            )
        })?;
        open_shared_build(&self.store, cache, found).await
    }
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

fn none() -> SettingsError {
    SettingsError::not_found("no build has been done with this store")
}
