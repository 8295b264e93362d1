//! `imgbuild validate`.

use clap::Args;

use super::{
    ExitStatus,
    open::open,
    printer::{HostError, Printer},
};
use crate::{
    error::Failure,
    image::{Layout, Validation, Validator, validate_store},
    recipe::ImageSource,
    settings::{Environment, GlobalSettings, RegistryFlags, RegistrySettings, parse_target},
    store::Store,
};

const EXAMPLES: &str = "\
Prints what is wrong, a line each, and then ends with status 1.

Examples:
  imgbuild validate                 the whole local store
  imgbuild validate oci:out         every image of an OCI layout
  imgbuild validate app:1.0";

/// Check every digest, size, media type and diffID
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ValidateArgs {
    /// Names, digests of the local store, or oci:PATH[:NAME] for OCI layouts; the whole local store if none is given
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
    #[command(flatten, next_help_heading = "Registries")]
    registry: RegistryFlags,
}

pub(super) async fn run(
    args: ValidateArgs,
    global: GlobalSettings,
    environment: Environment,
) -> Result<ExitStatus, Failure> {
    let images =
        args.images.iter().map(|text| parse_target(text, &environment)).collect::<Result<Vec<_>, _>>()?;
    let registry = RegistrySettings::resolve(&args.registry, &global.config, &environment)?;
    let task = tokio::task::spawn_blocking(move || validate(&images, &global, &registry));
    let validation = task.await.map_err(|error| HostError::new("check", std::io::Error::other(error)))??;
    let mut text: String = validation.findings.iter().map(|finding| format!("{finding}\n")).collect();
    if validation.findings.is_empty() {
        text = format!("ok: {} blobs, {} images", validation.blobs, validation.images);
        if validation.absent_layers > 0 {
            text.push_str(&format!(", {} layers of bases not fetched yet", validation.absent_layers));
        }
        text.push('\n');
    }
    Printer::stdout(&text)?;
    Ok(if validation.findings.is_empty() { ExitStatus::Success } else { ExitStatus::Findings })
}

fn validate(
    images: &[ImageSource],
    global: &GlobalSettings,
    registry: &RegistrySettings,
) -> Result<Validation, Failure> {
    if images.is_empty() {
        return validate_store(&Store::open(&global.home)?);
    }
    let mut all = Validation::default();
    for image in images {
        let one = match image {
            ImageSource::Layout { path, name: None } => {
                let layout = Layout::open(path)?;
                let mut validator = Validator::new(&layout);
                for root in &layout.index().manifests {
                    validator.image(&format!("{image} {}", root.digest.short()), root)?;
                }
                validator.finish()
            }
            image => {
                let opened = open(image, global, registry)?;
                let mut validator = Validator::new(opened.source.as_ref());
                validator.image(&opened.name, &opened.root)?;
                validator.finish()
            }
        };
        all.blobs += one.blobs;
        all.images += one.images;
        all.absent_layers += one.absent_layers;
        all.findings.extend(one.findings);
    }
    Ok(all)
}
