//! `imgbuild inspect`.

use clap::Args;
use serde::Serialize;

use super::{
    ExitStatus,
    inspect_text::text,
    open::{Opened, open},
    printer::{HostError, Printer},
};
use crate::{
    error::Failure,
    image::{ImageDocuments, read_tree},
    oci::{Config, Descriptor, Digest, History, Platform},
    settings::{Environment, GlobalSettings, RegistryFlags, RegistrySettings, SettingsError, parse_target},
};

const EXAMPLES: &str = "\
Examples:
  imgbuild inspect app:1.0
  imgbuild inspect 0eb355ee3a11    by the beginning of its digest
  imgbuild inspect oci:out --platform linux/arm64
  imgbuild inspect --json oci:image.tar:1.0 | jq '.platforms[].config.Env'";

/// Show an image's config, layers and history
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct InspectArgs {
    /// A name or digest in the local store, a name in a registry, or oci:PATH[:NAME] for an OCI layout (directory or tar)
    image: String,
    /// Show only this platform
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten, next_help_heading = "Registries")]
    registry: RegistryFlags,
}

/// What `--json` prints. New fields may come; none changes its meaning.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Inspected {
    /// The image as it was asked for.
    pub(super) name: String,
    /// The digest of its index or manifest.
    pub(super) digest: Digest,
    /// The media type of that document.
    pub(super) media_type: String,
    /// One entry for each platform, in the index's order.
    pub(super) platforms: Vec<InspectedPlatform>,
}

/// An image for one platform.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InspectedPlatform {
    /// `os/architecture[/variant]`.
    pub(super) platform: String,
    /// The digest of the manifest.
    pub(super) digest: Digest,
    /// The digest of the config.
    pub(super) config_digest: Digest,
    /// When it was made, RFC 3339.
    pub(super) created: Option<String>,
    /// The bytes of all layers, compressed.
    pub(super) size: u64,
    /// The annotations of the manifest.
    pub(super) annotations: std::collections::BTreeMap<String, String>,
    /// What a container of it runs: as in the image's own config (`Env`, `Cmd`, …).
    pub(super) config: Config,
    /// The layers, lowest first.
    pub(super) layers: Vec<InspectedLayer>,
    /// How it came to be.
    pub(super) history: Vec<History>,
}

/// A layer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InspectedLayer {
    /// What it is.
    pub(super) media_type: String,
    /// The digest of the blob.
    pub(super) digest: Digest,
    /// The blob's bytes.
    pub(super) size: u64,
    /// The digest of the uncompressed tar, if the config tells it.
    pub(super) diff_id: Option<Digest>,
}

pub(super) async fn run(
    args: InspectArgs,
    global: GlobalSettings,
    environment: Environment,
) -> Result<ExitStatus, Failure> {
    let image = parse_target(&args.image, &environment)?;
    let registry = RegistrySettings::resolve(&args.registry, &global.config, &environment)?;
    let wanted = args.platform.as_deref().map(str::parse::<Platform>).transpose();
    let wanted = wanted.map_err(|error| SettingsError::new(format!("--platform: {error}")))?;
    let task = tokio::task::spawn_blocking(move || inspect(&open(&image, &global, &registry)?, wanted));
    let inspected =
        task.await.map_err(|error| HostError::new("read the image", std::io::Error::other(error)))??;
    let text = match args.json {
        // The types above serialise: their maps have string keys, and no value refuses.
        true => serde_json::to_string_pretty(&inspected).expect("inspected images serialise") + "\n",
        false => text(&inspected),
    };
    Printer::stdout(&text)?;
    Ok(ExitStatus::Success)
}

fn inspect(opened: &Opened, wanted: Option<Platform>) -> Result<Inspected, Failure> {
    let tree = read_tree(opened.source.as_ref(), &opened.root)?;
    let has = |image: &&ImageDocuments| match &wanted {
        None => true,
        Some(wanted) => image.config.platform.normalised() == *wanted,
    };
    let platforms: Vec<_> = tree.images.iter().filter(has).map(platform).collect();
    if let (Some(wanted), true) = (&wanted, platforms.is_empty()) {
        let there: Vec<_> = tree.images.iter().map(|image| image.config.platform.to_string()).collect();
        let error = SettingsError::not_found(format!("{} has no image for {wanted}", opened.name));
        return Err(error.hint(format!("it has {}", there.join(", "))).into());
    }
    let Descriptor { digest, media_type, .. } = tree.root;
    Ok(Inspected { name: opened.name.clone(), digest, media_type, platforms })
}

fn platform(image: &ImageDocuments) -> InspectedPlatform {
    let ImageDocuments { descriptor, manifest, config } = image;
    let layers = manifest.layers.iter().enumerate().map(|(number, layer)| InspectedLayer {
        media_type: layer.media_type.clone(),
        digest: layer.digest,
        size: layer.size,
        diff_id: config.rootfs.diff_ids.get(number).copied(),
    });
    InspectedPlatform {
        platform: config.platform.to_string(),
        digest: descriptor.digest,
        config_digest: manifest.config.digest,
        created: config.created.clone(),
        // Sizes are claims of the document: they may add up to anything.
        size: manifest.layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.size)),
        annotations: manifest.annotations.clone(),
        config: config.config.clone(),
        layers: layers.collect(),
        history: config.history.clone(),
    }
}
