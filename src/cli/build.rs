//! `imgbuild build`.

use std::{
    io::{IsTerminal, Read},
    path::Path,
    sync::Arc,
    time::Duration,
};

use clap::Args;

use super::{
    ExitStatus, cache,
    cache_key::keys,
    check,
    engine::engine,
    lock,
    outputs::{Delivered, Naming, deliver},
    printer::{HostError, Printer},
    step_output,
    tags::{described, tell},
    watch,
};
use crate::{
    cache::{Cache, CacheOptions},
    dockerfile::Dockerfile,
    error::{Failure, public_text},
    event::Sink,
    image::BlobOrigin,
    lock::Pins,
    oci::{Descriptor, Platform, Reference},
    output::{Output, Pusher},
    recipe::{ContextSource, Frontend},
    report::{Style, seconds},
    settings::{
        BuildFile, BuildFlags, BuildSettings, Call, Environment, EvictionSettings, GlobalSettings,
        MainContext, Progress, closest, env,
    },
    solve::{self, Engine, FetchedContext},
    spec::Spec,
};

const EXAMPLES: &str = "\
Builds what it finds in CONTEXT: imgbuild.yaml, else every spec in build-specs/, else Dockerfile.
The result is in the local store; --push, --load and --output send it elsewhere.

Examples:
  imgbuild build                  what is in this directory
  imgbuild build --platform linux/amd64,linux/arm64 -t ghcr.io/me/app:1.0 --push
  imgbuild build -f build-specs/web.yaml -o type=oci,dest=web.tar
  imgbuild build -t app --load    for the local Docker or podman
  imgbuild build -q               print the digest alone";

/// Build images
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct BuildArgs {
    #[command(flatten)]
    flags: BuildFlags,
}

pub(super) async fn run(
    args: BuildArgs,
    global: GlobalSettings,
    environment: Environment,
) -> Result<ExitStatus, Failure> {
    if let Call::Check { json } = args.flags.foreign.resolve()? {
        return check::of_build(&args.flags, json, &environment);
    }
    let settings = BuildSettings::resolve(&args.flags, &global, &environment)?;
    let eviction = EvictionSettings::resolve(None, None, &global, &environment)?;
    let (reporter, watch) = watch::begin(style(&global, &environment), &args.flags.ci, &global, &environment);
    let built = build_all(&settings, &eviction, &reporter.sink()).await;
    let took = reporter.elapsed();
    reporter.finish();
    watch.end(&built, took);
    let built = built?;
    step_output::write(&args.flags.ci, &built, &environment)?;
    for image in &built {
        if global.quiet {
            Printer::stdout(&format!("{}\n", image.built.root().digest))?;
        } else if global.progress != Progress::Json {
            Printer::stderr(&image.summary());
        }
    }
    if !global.quiet && global.progress != Progress::Json {
        Printer::stderr(&format!("done in {}\n", seconds(took)));
    }
    Ok(ExitStatus::Success)
}

/// How events are shown: bars on a terminal that can draw them, else lines.
pub(super) fn style(global: &GlobalSettings, environment: &Environment) -> Style {
    let stderr = std::io::stderr();
    let terminal = stderr.is_terminal() && environment.text(env::TERM) != Some("dumb");
    let colors = anstream::AutoStream::choice(&stderr) != anstream::ColorChoice::Never;
    match global.progress {
        Progress::Auto if terminal => Style::Terminal { colors },
        Progress::Tty => Style::Terminal { colors },
        Progress::Auto | Progress::Plain => Style::Plain,
        Progress::Json => Style::Json,
        Progress::Quiet => Style::Quiet,
    }
}

async fn build_all(
    settings: &BuildSettings,
    eviction: &EvictionSettings,
    sink: &Sink,
) -> Result<Vec<Delivered>, Failure> {
    let engine = engine(settings, sink)?;
    let built = build_with(&engine, settings, sink).await;
    // Also after a failure: it may have been for want of space.
    cache::after_build(&engine.store, eviction, sink).await;
    built
}

async fn build_with(
    engine: &Engine,
    settings: &BuildSettings,
    sink: &Sink,
) -> Result<Vec<Delivered>, Failure> {
    let context = settings.awaited.as_ref().map(|awaited| &awaited.context);
    let (settings, committed) = &arrive(engine, settings).await?;
    // All before the first is built: a mistake in the last one should not take that long to be told.
    let fetched = match settings.request.contexts.get("") {
        Some(ContextSource::Directory(root)) if committed.is_some() => Some(root.as_path()),
        _ => None,
    };
    let pins = settings.files.iter().map(|file| lock::pins(settings, file, fetched, sink));
    let pins = pins.collect::<Result<Vec<_>, _>>()?;
    let name = |file: &BuildFile| match (context, fetched) {
        (Some(context), Some(root)) => name_in_context(file, context, root),
        _ => name_of(file),
    };
    let frontends =
        settings.files.iter().map(|file| read(file, &name(file), sink)).collect::<Result<Vec<_>, _>>()?;
    warn_of_unknown_arguments(settings, &frontends, sink)?;
    let mut built = Vec::new();
    for ((file, frontend), pins) in settings.files.iter().zip(&frontends).zip(pins) {
        built.push(build_one(engine, settings, file, frontend.as_ref(), *committed, pins).await?);
    }
    Ok(built)
}

/// The settings once the main context is on this machine, and when its commit was made, if it is one that was fetched:
/// otherwise it is not known yet.
async fn arrive(engine: &Engine, settings: &BuildSettings) -> Result<(BuildSettings, Option<i64>), Failure> {
    let mut settings = settings.clone();
    let fetched = match settings.awaited.as_ref().map(|awaited| &awaited.context) {
        None => return Ok((settings, None)),
        Some(MainContext::Source(source)) => solve::fetch_context(engine, source).await?,
        Some(MainContext::StandardInput) => {
            let engine = engine.clone();
            let read = move || solve::context_of_stream(&engine, std::io::stdin().lock(), "standard input");
            let read = tokio::task::spawn_blocking(read).await;
            Some(read.map_err(|error| {
                HostError::new(
                    "read the context from standard input".to_owned(),
                    std::io::Error::other(error),
                )
            })??)
        }
    };
    let mut committed = Some(0);
    if let Some(fetched) = &fetched {
        settings.arrived(fetched)?;
        if let FetchedContext::Directory { committed: Some(time), .. } = fetched {
            committed = Some(*time);
        }
    }
    Ok((settings, committed))
}

/// The largest file that says what to build.
const LARGEST: u64 = (16 << 20) + 1;

/// What people call a file of a context that was fetched: where the store has it says nothing to them.
fn name_in_context(file: &BuildFile, context: &MainContext, root: &Path) -> String {
    match (file.path().map(|path| path.strip_prefix(root)), context) {
        (Some(Ok(inside)), _) => inside.display().to_string(),
        // The context is a single file, which is this one.
        (Some(Err(_)), MainContext::Source(ContextSource::Url(url))) => public_text(url),
        _ => STANDARD_INPUT.to_owned(),
    }
}

/// What people call a file.
pub(super) fn name_of(file: &BuildFile) -> String {
    file.path().map_or_else(|| STANDARD_INPUT.to_owned(), shown)
}

const STANDARD_INPUT: &str = "standard input";

/// Reads a file that says what to build.
pub(super) fn read(file: &BuildFile, name: &str, sink: &Sink) -> Result<Box<dyn Frontend>, Failure> {
    let bytes = bytes_of(file)?;
    Ok(match file {
        BuildFile::Spec(_) => Box::new(Spec::from_bytes(name, &bytes)?),
        BuildFile::Dockerfile(_) | BuildFile::StandardInput => {
            Box::new(Dockerfile::from_bytes(name, &bytes)?.with_sink(sink.clone()))
        }
    })
}

pub(super) fn bytes_of(file: &BuildFile) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = match file.path() {
        Some(path) => std::fs::File::open(path).and_then(|file| file.take(LARGEST).read_to_end(&mut bytes)),
        None => std::io::stdin().take(LARGEST).read_to_end(&mut bytes),
    };
    read.map_err(|error| HostError::new(format!("read {}", name_of(file)), error))?;
    Ok(bytes)
}

/// Tells of `--build-arg`s that no file declares. A warning and not an error, as in BuildKit: scripts give the same
/// arguments to many builds.
fn warn_of_unknown_arguments(
    settings: &BuildSettings,
    frontends: &[Box<dyn Frontend>],
    sink: &Sink,
) -> Result<(), Failure> {
    let mut declared = Vec::new();
    for frontend in frontends {
        declared.extend(frontend.defaults(&settings.request.args)?.args);
    }
    for name in settings.request.args.keys() {
        if is_predefined(name) || declared.contains(name) {
            continue;
        }
        let hint = match closest(name, declared.iter().map(String::as_str)) {
            Some(meant) => format!("did you mean {meant}?"),
            None if declared.is_empty() => "no arguments are declared".to_owned(),
            None => format!("declared are {}", declared.join(", ")),
        };
        sink.warn(format!("the build argument {name} is not declared and has no effect; {hint}"));
    }
    Ok(())
}

/// Arguments that need no declaration, and those that other builders give a meaning to (Dockerfile reference,
/// "Predefined ARGs" and "BuildKit built-in build args").
fn is_predefined(name: &str) -> bool {
    const PROXIES: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];
    const PLATFORM_PARTS: [&str; 4] = ["PLATFORM", "OS", "ARCH", "VARIANT"];
    let part = name.strip_prefix("TARGET").or_else(|| name.strip_prefix("BUILD"));
    PROXIES.contains(&name.to_ascii_uppercase().as_str())
        || name == "SOURCE_DATE_EPOCH"
        || name.starts_with("BUILDKIT_")
        || part.is_some_and(|part| PLATFORM_PARTS.contains(&part))
}

/// Builds what one file says, and does with the image what the settings ask for.
async fn build_one(
    engine: &Engine,
    settings: &BuildSettings,
    file: &BuildFile,
    frontend: &dyn Frontend,
    committed: Option<i64>,
    pins: Option<Arc<Pins>>,
) -> Result<Delivered, Failure> {
    let defaults = frontend.defaults(&settings.request.args)?;
    let resolved = settings.names(&defaults)?;
    let names = resolved.names.clone();
    tell(&resolved, &engine.sink);
    let platforms = settings.platforms(&defaults);
    // What cannot end well should not begin.
    for output in &settings.outputs {
        output.check(names.len(), platforms.len())?;
    }
    let pusher = settings
        .outputs
        .contains(&Output::Registry)
        .then(|| Pusher::new(engine.store.clone(), engine.registry.clone(), &names));
    let early = pusher.clone();
    let ready = Arc::new(move |layer: &Descriptor, origin: Option<&BlobOrigin>| {
        if let Some(pusher) = &early {
            pusher.begin(layer, origin);
        }
    });
    let cache = cache(engine, settings, &names)?;
    let options = solve::Options {
        cache: cache.clone(),
        pins,
        ..described(&resolved, options(settings, file, platforms, committed, &engine.sink))
    };
    let built = solve::build(engine, frontend, &options, ready).await?;
    let naming = Naming::new(&resolved, options.index_annotations.clone());
    let delivered = deliver(engine, settings, built, naming, pusher.as_ref()).await?;
    if let Some(cache) = cache {
        cache.finish(CACHE_BUDGET).await?;
    }
    Ok(Delivered { resolved, ..delivered })
}

/// How long a build waits, when its image is delivered, for caches that are still being told of it.
const CACHE_BUDGET: Duration = Duration::from_secs(30);

/// The caches of other machines, if any are named.
fn cache(engine: &Engine, settings: &BuildSettings, names: &[Reference]) -> Result<Option<Cache>, Failure> {
    let (from, to) = (settings.cache.from.clone(), settings.cache.to.clone());
    if from.is_empty() && to.is_empty() {
        return Ok(None);
    }
    let (sign, trusted) = keys(&settings.cache)?;
    let pushed = settings.outputs.contains(&Output::Registry);
    let pushed_to = names.iter().filter(|_| pushed).map(|name| name.repository.clone()).collect();
    let options = CacheOptions { from, to, sign, trusted, pushed_to };
    Ok(Some(Cache::new(options, engine.store.clone(), &engine.registry, engine.sink.clone())))
}

/// What the engine is asked for.
pub(super) fn options(
    settings: &BuildSettings,
    file: &BuildFile,
    platforms: Vec<Platform>,
    committed: Option<i64>,
    sink: &Sink,
) -> solve::Options {
    let request = &settings.request;
    let created = match request.contexts.get("") {
        Some(ContextSource::Directory(context)) if committed.is_none() => {
            solve::created(request.source_date_epoch, context, sink)
        }
        // What lies around the store says nothing of a context that was fetched into it.
        _ => request.source_date_epoch.or(committed).unwrap_or(0),
    };
    solve::Options {
        platforms,
        target: request.target.clone(),
        args: request.args.clone(),
        contexts: request.contexts.clone(),
        file: file.path().map(Path::to_owned),
        source_date_epoch: request.source_date_epoch,
        created,
        labels: settings.image.labels.clone(),
        annotations: settings.image.annotations.manifest.clone(),
        index_annotations: settings.image.annotations.index.clone(),
        compression: settings.compression.resolve(),
        split_copies: settings.split_copy,
        commands: settings.commands.clone(),
        pins: None,
        pull: settings.cache.pull,
        no_cache: settings.cache.no_cache,
        no_cache_stages: settings.cache.no_cache_filter.clone(),
        cache: None,
        fail_on_miss: settings.cache.fail_on_miss.clone(),
    }
}

/// The path as the user knows it: relative to where they are, if it is below.
pub(super) fn shown(path: &Path) -> String {
    let current = std::env::current_dir().ok();
    let relative = current.as_deref().and_then(|current| path.strip_prefix(current).ok());
    relative.unwrap_or(path).display().to_string()
}
