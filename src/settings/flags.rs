//! Flags as they are written on the command line; their comments are the help.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::{
    CiFlags, ColorChoice, ForeignFlags, LockFlags, Progress, SetFlags, TagFlags, TagRuleFlags,
    cache_settings::SharedCacheFlags, compression::CompressionKind,
};

/// Flags of every command.
#[derive(Debug, Clone, Default, Args)]
pub struct GlobalFlags {
    /// Local store [env: IMGBUILD_HOME]
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub home: Option<PathBuf>,
    /// Configuration file [default: the user's imgbuild.toml]
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// How progress is shown: auto, tty, plain, json, quiet
    #[arg(long, global = true, value_name = "HOW", hide_possible_values = true)]
    pub progress: Option<Progress>,
    /// Show no progress; print just the digest
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// When to use colours: auto, always, never
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        hide_possible_values = true,
        default_value = "auto",
        hide_default_value = true
    )]
    pub color: ColorChoice,
}

/// Flags of `imgbuild build`.
#[derive(Debug, Clone, Default, Args)]
pub struct BuildFlags {
    /// The directory that files are copied from, a Git repository, the URL of a tar, or `-` for a tar or a Dockerfile
    /// on standard input
    #[arg(value_name = "CONTEXT", default_value = ".", hide_default_value = true, value_hint = ValueHint::DirPath)]
    pub context: PathBuf,

    /// What is built.
    #[command(flatten, next_help_heading = "What is built")]
    pub input: InputFlags,
    /// What the image says of itself.
    #[command(flatten, next_help_heading = "The image")]
    pub image: ImageFlags,
    /// Rules that name it.
    #[command(flatten, next_help_heading = "The image")]
    pub tag_rules: TagRuleFlags,
    /// Where it goes.
    #[command(flatten, next_help_heading = "Where it goes")]
    pub output: OutputFlags,
    /// How tags are moved.
    #[command(flatten, next_help_heading = "Releases")]
    pub tags: TagFlags,
    /// Parts of an image.
    #[command(flatten, next_help_heading = "Releases")]
    pub set: SetFlags,
    /// What the service is told that runs the build.
    #[command(flatten)]
    pub ci: CiFlags,
    /// How it is built.
    #[command(flatten, next_help_heading = "How it is built")]
    pub work: WorkFlags,
    /// What its inputs are.
    #[command(flatten, next_help_heading = "How it is built")]
    pub lock: LockFlags,
    /// What machines share.
    #[command(flatten, next_help_heading = "Shared caches")]
    pub shared: SharedCacheFlags,
    /// Commands.
    #[command(flatten, next_help_heading = "RUN steps")]
    pub command: CommandFlags,
    /// Registries.
    #[command(flatten, next_help_heading = "Registries")]
    pub registry: RegistryFlags,
    /// Flags of other builders.
    #[command(flatten)]
    pub foreign: ForeignFlags,
}

/// What is built.
#[derive(Debug, Clone, Default, Args)]
pub struct InputFlags {
    /// Spec (.yaml) or Dockerfile, `-` is standard input; may be outside of the context [default: imgbuild.yaml, else
    /// build-specs/*.yaml, else Dockerfile]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: Vec<PathBuf>,
    /// Build for this platform, such as linux/arm64, or `local`; several: repeat, or separate by commas
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',')]
    pub platform: Vec<String>,
    /// The stage to build, by name or number
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// Set a build argument; without a value, the environment variable of that name
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub build_arg: Vec<String>,
    /// A named context: a directory, docker-image://REF, oci-layout://DIR[:NAME], a Git repository or the URL of a tar
    #[arg(long, value_name = "NAME=CONTEXT")]
    pub build_context: Vec<String>,
}

/// What the image says of itself.
#[derive(Debug, Clone, Default, Args)]
pub struct ImageFlags {
    /// A name of the image, in place of the spec's tags
    #[arg(short, long, value_name = "REF")]
    pub tag: Vec<String>,
    /// Add a label to the config
    #[arg(long, value_name = "KEY=VALUE")]
    pub label: Vec<String>,
    /// Add an annotation to the manifests; `index:KEY=VALUE` to the index, `manifest,index:…` to both
    #[arg(long, value_name = "KEY=VALUE")]
    pub annotation: Vec<String>,
}

/// Where the image goes.
#[derive(Debug, Clone, Default, Args)]
pub struct OutputFlags {
    /// Write the result: DIR, `-`, or type=oci|docker|local|tar|registry|image with dest=PATH
    #[arg(short, long, value_name = "OUTPUT")]
    pub output: Vec<String>,
    /// Push to the registry of each tag: as `-o type=registry`
    #[arg(long)]
    pub push: bool,
    /// Give the image to the local Docker or podman
    #[arg(long)]
    pub load: bool,
    /// Write digests and names of the result as JSON
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub metadata_file: Option<PathBuf>,
    /// Write the image ID to a file: the digest of the config; for several platforms, of the index
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub iidfile: Option<PathBuf>,
}

/// How the image is built.
#[derive(Debug, Clone, Default, Args)]
pub struct WorkFlags {
    /// How layers are compressed: gzip (default), zstd or none
    #[arg(long, value_name = "HOW", hide_possible_values = true)]
    pub compression: Option<CompressionKind>,
    /// How hard: 0 to 12 for gzip, 1 to 22 for zstd
    #[arg(long, value_name = "LEVEL")]
    pub compression_level: Option<u8>,
    /// Split what each copy brings into so many layers at most
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub split_copy: Option<u8>,
    /// Threads to use, and steps to run at once [default: by the cores]
    #[arg(short, long, value_name = "NUMBER")]
    pub jobs: Option<usize>,
    /// Do every step again
    #[arg(long)]
    pub no_cache: bool,
    /// Do every step of this stage again; several: repeat, or separate by commas
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    pub no_cache_filter: Vec<String>,
    /// Fail if this step is not in the cache: its number in the last stage, STAGE:NUMBER, or a part of its text; may be
    /// repeated
    #[arg(long, value_name = "STEP")]
    pub fail_on_miss: Vec<String>,
    /// Always pull bases, even where an image of that name was built here; what other tags mean is asked at each build
    /// anyway
    #[arg(long)]
    pub pull: bool,
    /// Look up steps in a cache that machines share: REF, type=registry,ref=REF, type=local,src=DIR,
    /// type=s3,bucket=NAME,region=REGION or type=gha
    #[arg(long, value_name = "CACHE")]
    pub cache_from: Vec<String>,
    /// Keep what steps give in such a cache: REF, type=registry,ref=REF[,mode=min], type=local,dest=DIR,
    /// type=s3,bucket=NAME,region=REGION or type=gha
    #[arg(long, value_name = "CACHE")]
    pub cache_to: Vec<String>,
}

/// What RUN steps are given.
#[derive(Debug, Clone, Default, Args)]
pub struct CommandFlags {
    /// A secret for `--mount=type=secret`: id=ID with src=FILE or env=NAME; ID alone is the variable of that name, else
    /// the file
    #[arg(long, value_name = "id=ID[,src=FILE|,env=NAME]")]
    pub secret: Vec<String>,
    /// An SSH agent for `--mount=type=ssh`: `default` is that of SSH_AUTH_SOCK
    #[arg(long, value_name = "ID[=SOCKET]")]
    pub ssh: Vec<String>,
    /// How commands are kept apart from the host: root, userns, single-id or chroot [default: the best that works]
    #[arg(long, value_name = "MODE")]
    pub sandbox: Option<String>,
    /// What runs programs of other platforms: a static qemu-user, or an image that has it; `arm64=` before it says whose
    /// [default: one in PATH, else fetched]
    #[arg(long, value_name = "[ARCH=]FILE|docker-image://REF", value_delimiter = ',')]
    pub emulator: Vec<String>,
    /// Allow steps to ask for security.insecure, or for network.host where the build has no network
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    pub allow: Vec<String>,
    /// The network of steps that ask for none in particular: default, none or host
    #[arg(long, value_name = "NETWORK")]
    pub network: Option<String>,
    /// Add a line to /etc/hosts; `host-gateway` is this machine
    #[arg(long, value_name = "NAME:IP")]
    pub add_host: Vec<String>,
    /// The most memory of a step, as in 512m
    #[arg(short, long, value_name = "BYTES")]
    pub memory: Option<String>,
    /// The most memory and swap of a step together, or -1 for no limit of swap [default: no swap beside --memory]
    #[arg(long, value_name = "BYTES", allow_negative_numbers = true)]
    pub memory_swap: Option<String>,
    /// The most cores of a step, as in 1.5
    #[arg(long, value_name = "NUMBER")]
    pub cpus: Option<String>,
    /// A resource limit of a step, as in nofile=1024:2048
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    pub ulimit: Vec<String>,
    /// The size of /dev/shm, as in 64m
    #[arg(long, value_name = "BYTES")]
    pub shm_size: Option<String>,
    /// End a step that takes longer, as in 10m
    #[arg(long, value_name = "DURATION")]
    pub step_timeout: Option<String>,
    /// Do not give this machine's certificates to steps
    #[arg(long)]
    pub no_host_ca: bool,
}

/// How registries are reached.
#[derive(Debug, Clone, Default, Args)]
pub struct RegistryFlags {
    /// Pull from this mirror first, as in docker.io=mirror.example:5000
    #[arg(long, value_name = "HOST=MIRROR")]
    pub registry_mirror: Vec<String>,
    /// Allow plain HTTP, and certificates that cannot be verified, for this registry
    #[arg(long, value_name = "HOST")]
    pub insecure_registry: Vec<String>,
    /// Trust the certificates in this PEM file too, for every registry
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub ca: Vec<PathBuf>,
    /// Make repositories that are not there, in Amazon ECR
    #[arg(long)]
    pub create_repository: bool,
}
