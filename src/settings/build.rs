//! Settings of `imgbuild build`.

use std::{collections::BTreeMap, num::NonZeroUsize, path::PathBuf};

use super::{
    BuildFlags, Environment, GlobalSettings, ResolvedNames, SettingsError, Tagging,
    awaited::{Awaited, MainContext},
    cache_settings::{CacheSettings, shared_mounts},
    command,
    compression::{Compression, compression},
    discover::{BuildFile, discover, of_files},
    env,
    flags::{ImageFlags, InputFlags, OutputFlags, WorkFlags},
    lock::LockUse,
    output_flag::{OutputFlag, parse_output},
    pairs::Form,
    registry::RegistrySettings,
    target::layout,
};
use crate::{
    error::public_text,
    oci::{Platform, Reference},
    output::Output,
    recipe::{ContextSource, Defaults, ImageSource},
    release::{Terms, rendezvous},
    remote::{Place, PlaceError},
    solve::CommandOptions,
};

/// Settings of `imgbuild build`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildSettings {
    /// The directory of the local store.
    pub home: PathBuf,
    /// The files that say what to build, each a build of its own; at least one.
    pub files: Vec<BuildFile>,
    /// The main context that has to be fetched before it is known what to build: then there are no files yet.
    pub awaited: Option<Awaited>,
    /// What is asked of each build.
    pub request: RequestSettings,
    /// What the image says of itself.
    pub image: ImageSettings,
    /// How it is named by rules.
    pub tagging: Tagging,
    /// Where it goes besides the store.
    pub outputs: Vec<Output>,
    /// How tags are moved.
    pub terms: Terms,
    /// The set that the build is a part of.
    pub set: Option<rendezvous::Set>,
    /// Where digests and names are written as JSON.
    pub metadata_file: Option<PathBuf>,
    /// Where the digest is written.
    pub iidfile: Option<PathBuf>,
    /// What is done again although it was done before.
    pub cache: CacheSettings,
    /// How layers are compressed.
    pub compression: Compression,
    /// How many layers a copy makes at the most.
    pub split_copy: u8,
    /// How many threads to use.
    pub jobs: NonZeroUsize,
    /// What commands are given.
    pub commands: CommandOptions,
    /// How registries are reached.
    pub registry: RegistrySettings,
    /// What a lock means for the build.
    pub lock: LockUse,
}

const CONTEXT: Form =
    Form { flag: "--build-context", form: "NAME=CONTEXT", example: "base=docker-image://alpine:3" };
const LABEL: Form = Form { flag: "--label", form: "KEY=VALUE", example: "maintainer=me@example.com" };
const ANNOTATION: Form = Form {
    flag: "--annotation",
    form: "[LEVEL:]KEY=VALUE",
    example: "org.opencontainers.image.licenses=MIT",
};
const ARGUMENT: Form = Form { flag: "--build-arg", form: "NAME[=VALUE]", example: "VERSION=1.0" };

/// What is asked of a build: the part of [`crate::recipe::Request`] that is the same for every platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestSettings {
    /// The platforms asked for; the spec's, else this machine's, if empty.
    pub platforms: Vec<Platform>,
    /// The stage wanted.
    pub target: Option<String>,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// Named contexts; the main one has the name `""`.
    pub contexts: BTreeMap<String, ContextSource>,
    /// `SOURCE_DATE_EPOCH`.
    pub source_date_epoch: Option<i64>,
}

/// What the image says of itself, on top of what the spec says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageSettings {
    /// Names from flags.
    pub tags: Vec<Reference>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: Annotations,
}

/// Annotations, by the document that they are put on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Annotations {
    /// On each manifest.
    pub manifest: BTreeMap<String, String>,
    /// On the index.
    pub index: BTreeMap<String, String>,
}

impl BuildSettings {
    /// Resolves the settings, and finds what to build.
    pub fn resolve(
        flags: &BuildFlags,
        global: &GlobalSettings,
        environment: &Environment,
    ) -> Result<Self, SettingsError> {
        let context = context(flags, environment)?;
        // Wrong flags are told before missing specs: they are what was just typed.
        let request = request(&flags.input, &context, environment)?;
        let parsed = parsed_outputs(&flags.output, environment)?;
        let outputs = outputs(&flags.output, &parsed, global.quiet)?;
        let (jobs, registry) = (
            jobs(&flags.work, global)?,
            RegistrySettings::resolve(&flags.registry, &global.config, environment)?,
        );
        let commands = command::resolve(&flags.command, &request.args, &registry, global, environment)?;
        let mut tagging = Tagging::of_build(&flags.tag_rules, &context, environment)?;
        let (image, compression) =
            (image(&flags.image, &parsed, &mut tagging)?, compression(&flags.work, &parsed, global)?);
        let (files, awaited) = match context {
            MainContext::Source(ContextSource::Directory(path)) => {
                let files = files(&flags.input, &path, environment)?;
                if files.len() > 1 {
                    let (output, tagged) = (&flags.output, !flags.image.tag.is_empty());
                    let (iidfile, metadata) = (output.iidfile.is_some(), output.metadata_file.is_some());
                    for_one_image(&outputs, tagged, iidfile, metadata, files.len())?;
                }
                (files, None)
            }
            context => (Vec::new(), Some(Awaited::new(context, &flags.input.file)?)),
        };
        Ok(Self {
            home: global.home.clone(),
            files,
            awaited,
            terms: flags.tags.terms(),
            set: flags.set.resolve(&request.platforms)?,
            request,
            image,
            tagging,
            outputs,
            metadata_file: flags
                .output
                .metadata_file
                .as_ref()
                .map(|path| environment.current_dir().join(path)),
            iidfile: flags.output.iidfile.as_ref().map(|path| environment.current_dir().join(path)),
            cache: CacheSettings::resolve(&flags.work, &flags.shared, global, environment)?,
            compression,
            split_copy: flags.work.split_copy.unwrap_or(1),
            jobs,
            commands: CommandOptions {
                jobs: commands_at_once(&flags.work, global, jobs),
                shared_mounts: shared_mounts(&flags.shared, global, environment)?,
                ..commands
            },
            registry,
            lock: flags.lock.resolve(),
        })
    }

    /// The platforms to build for: those asked for, else the spec's, else this machine's.
    pub fn platforms(&self, defaults: &Defaults) -> Vec<Platform> {
        match (&self.request.platforms[..], &defaults.platforms[..]) {
            ([], []) => vec![Platform::host()],
            ([], platforms) | (platforms, _) => platforms.to_vec(),
        }
    }

    /// The names that the image gets.
    pub fn names(&self, defaults: &Defaults) -> Result<ResolvedNames, SettingsError> {
        self.tagging.names(&self.image.tags, defaults)
    }
}

/// The context that is named first: a directory, or else something that has to be fetched.
fn context(flags: &BuildFlags, environment: &Environment) -> Result<MainContext, SettingsError> {
    let context = &flags.context;
    if context.to_str() == Some("-") {
        return Ok(MainContext::StandardInput);
    }
    // `.` is not appended: paths in messages stay as the user knows them.
    let path = match context.to_str() {
        Some("." | "") => environment.current_dir().to_owned(),
        _ => environment.current_dir().join(context),
    };
    // A directory of this machine goes first: `github.com/me/app` could be one.
    if path.is_dir() {
        return Ok(MainContext::Source(ContextSource::Directory(path)));
    }
    if let Some(place) = context.to_str().and_then(Place::parse) {
        return place_source(place).map(MainContext::Source);
    }
    let shown = context.display();
    if context.to_string_lossy().contains("://") {
        return Err(SettingsError::new(format!(
            "the context must be a directory, a Git repository, an http or https URL or `-`, not {}",
            public_text(&shown.to_string())
        )));
    }
    if path.exists() {
        let error = SettingsError::new(format!("the context {shown} is not a directory"));
        return Err(error.hint(format!("to build it, write -f {shown}")));
    }
    Err(SettingsError::not_found(format!("the context {shown} does not exist")))
}

/// The source that a place is.
fn place_source(place: Result<Place, PlaceError>) -> Result<ContextSource, SettingsError> {
    match place.map_err(|error| SettingsError::new(error.to_string()))? {
        Place::Git(git) => Ok(ContextSource::Git(git)),
        Place::Web(url) => Ok(ContextSource::Url(url)),
    }
}

fn files(
    flags: &InputFlags,
    context: &std::path::Path,
    environment: &Environment,
) -> Result<Vec<BuildFile>, SettingsError> {
    match &flags.file[..] {
        [] => discover(context),
        files => of_files(files, environment.current_dir()),
    }
}

/// What can only be for one image is refused where there are several: the last would stand in for all.
pub(super) fn for_one_image(
    outputs: &[Output],
    tagged: bool,
    iidfile: bool,
    metadata_file: bool,
    files: usize,
) -> Result<(), SettingsError> {
    let has_dest = |output: &Output| !matches!(output, Output::Registry | Output::Load);
    let flag = match () {
        () if tagged => "--tag",
        () if outputs.iter().any(has_dest) => "--output",
        () if iidfile => "--iidfile",
        () if metadata_file => "--metadata-file",
        () => return Ok(()),
    };
    Err(SettingsError::new(format!("{flag} is for one image, and there are {files} files to build"))
        .hint("choose one of them with -f"))
}

fn request(
    flags: &InputFlags,
    context: &MainContext,
    environment: &Environment,
) -> Result<RequestSettings, SettingsError> {
    let mut platforms = Vec::new();
    for text in flags.platform.iter().map(|text| text.trim()).filter(|text| !text.is_empty()) {
        let platform = platform(text)?;
        if !platforms.contains(&platform) {
            platforms.push(platform);
        }
    }
    let args = build_args(&flags.build_arg, environment)?;
    let mut contexts = BTreeMap::new();
    if let MainContext::Source(source) = context {
        contexts.insert(String::new(), source.clone());
    }
    for text in &flags.build_context {
        let (name, source) = CONTEXT.pair(text)?;
        contexts.insert(name.to_owned(), context_source(name, source, environment)?);
    }
    let source_date_epoch = match environment.text(env::SOURCE_DATE_EPOCH) {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| {
            SettingsError::new(format!(
                "{} is {text:?}, which is no number of seconds",
                env::SOURCE_DATE_EPOCH
            ))
        })?),
    };
    Ok(RequestSettings { platforms, target: flags.target.clone(), args, contexts, source_date_epoch })
}

/// A platform as `--platform` takes it.
pub(super) fn platform(text: &str) -> Result<Platform, SettingsError> {
    match text {
        "local" => Ok(Platform::host()),
        text => text.parse().map_err(|error| {
            let error = SettingsError::new(format!("--platform: {error}"));
            match format!("linux/{text}").parse::<Platform>() {
                Ok(platform) => error.hint(format!("did you mean `{platform}`?")),
                Err(_) => error,
            }
        }),
    }
}

/// Build arguments as `--build-arg` takes them.
pub(super) fn build_args(
    texts: &[String],
    environment: &Environment,
) -> Result<BTreeMap<String, String>, SettingsError> {
    let mut args = BTreeMap::new();
    for text in texts {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            // Not set in the environment: as if the flag were not there, as in buildx.
            None => {
                (text.as_str(), environment.get_even_empty(text).map(|v| v.to_string_lossy().into_owned()))
            }
        };
        if name.is_empty() {
            return Err(ARGUMENT.wrong(text));
        }
        args.extend(value.map(|value| (name.to_owned(), value)));
    }
    Ok(args)
}

fn context_source(name: &str, text: &str, environment: &Environment) -> Result<ContextSource, SettingsError> {
    if let Some(reference) = text.strip_prefix("docker-image://") {
        let reference = reference
            .parse()
            .map_err(|error| SettingsError::new(format!("--build-context {name}: {error}")))?;
        return Ok(ContextSource::Image(ImageSource::Reference(reference)));
    }
    if let Some(path) = text.strip_prefix("oci-layout://") {
        return layout(path, environment.current_dir()).map(ContextSource::Image);
    }
    let path = environment.current_dir().join(text);
    if path.is_dir() {
        return Ok(ContextSource::Directory(path));
    }
    if let Some(place) = Place::parse(text) {
        return place_source(place);
    }
    Err(SettingsError::not_found(format!(
        "--build-context {name}: {} is not a directory, docker-image://REF, oci-layout://DIR[:NAME], \
         a Git repository or an http or https URL",
        public_text(text)
    )))
}

fn image(
    flags: &ImageFlags,
    outputs: &[OutputFlag],
    tagging: &mut Tagging,
) -> Result<ImageSettings, SettingsError> {
    let names = flags.tag.iter().chain(outputs.iter().flat_map(|output| &output.names));
    let tags = tagging.names_of_flags(&names.map(String::as_str).collect::<Vec<_>>())?;
    let mut annotations = Annotations::default();
    for text in &flags.annotation {
        let (key, value) = ANNOTATION.pair(text)?;
        let (levels, key) = match key.split_once(':') {
            Some((levels, key)) => (levels, key),
            None => ("manifest", key),
        };
        for level in levels.split(',') {
            let map = match level {
                "manifest" => &mut annotations.manifest,
                "index" => &mut annotations.index,
                _ => {
                    return Err(SettingsError::new(format!(
                        "--annotation {text:?}: {level:?} is neither `manifest` nor `index`"
                    ))
                    .did_you_mean(level, ["manifest", "index"]));
                }
            };
            map.insert(key.to_owned(), value.to_owned());
        }
    }
    Ok(ImageSettings { tags, labels: LABEL.map(&flags.label)?, annotations })
}

fn parsed_outputs(flags: &OutputFlags, environment: &Environment) -> Result<Vec<OutputFlag>, SettingsError> {
    flags.output.iter().map(|text| parse_output(text, environment.current_dir())).collect()
}

fn outputs(flags: &OutputFlags, parsed: &[OutputFlag], quiet: bool) -> Result<Vec<Output>, SettingsError> {
    let mut outputs: Vec<Output> = Vec::new();
    let flagged = [flags.push.then_some(Output::Registry), flags.load.then_some(Output::Load)];
    for output in parsed.iter().filter_map(|flag| flag.output.clone()).chain(flagged.into_iter().flatten()) {
        if !outputs.contains(&output) {
            outputs.push(output);
        } else if !matches!(output, Output::Registry | Output::Load) {
            return Err(SettingsError::new("two outputs go to one place"));
        }
    }
    if quiet && outputs.contains(&Output::Tar { dest: None }) {
        return Err(SettingsError::new("`-o -` and --quiet both write to standard output")
            .hint("use --progress plain, or write the tar to a file"));
    }
    Ok(outputs)
}

/// As many as threads, if the user said how many. Else at least a few: commands wait for the network more than they
/// compute, and two that only wait are not to wait for each other.
fn commands_at_once(flags: &WorkFlags, global: &GlobalSettings, jobs: NonZeroUsize) -> NonZeroUsize {
    const FEW: NonZeroUsize = NonZeroUsize::MIN.saturating_add(3);
    match flags.jobs.or(global.config.build.jobs) {
        Some(_) => jobs,
        None => jobs.max(FEW),
    }
}

fn jobs(flags: &WorkFlags, global: &GlobalSettings) -> Result<NonZeroUsize, SettingsError> {
    match flags.jobs.or(global.config.build.jobs) {
        Some(jobs) => NonZeroUsize::new(jobs).ok_or_else(|| SettingsError::new("--jobs must be at least 1")),
        // A host that does not tell how many cores it has gets one thread.
        None => Ok(std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)),
    }
}
