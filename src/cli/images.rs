//! `imgbuild images`.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;

use super::{ExitStatus, printer::Printer};
use crate::{
    error::Failure,
    image::read_tree,
    oci::{Digest, Reference},
    report::bytes,
    settings::GlobalSettings,
    store::{NamedImage, Store},
};

const EXAMPLES: &str = "\
CREATED is SOURCE_DATE_EPOCH, else the context's last commit, in UTC; - if neither.
SIZE is that of all layers, compressed, each counted once.

Examples:
  imgbuild images
  imgbuild images -q          digests alone
  imgbuild images --json | jq -r '.[].name'";

/// List the images in the local store
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ImagesArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// An element of what `--json` prints. New fields may come; none changes its meaning.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    /// The full reference.
    name: String,
    /// The digest of its index or manifest.
    digest: Digest,
    /// The media type of that document.
    media_type: String,
    /// `os/architecture[/variant]`, in the index's order.
    platforms: Vec<String>,
    /// When it says that it was made, RFC 3339: the latest of its platforms.
    created: Option<String>,
    /// The bytes of all layers, compressed, each counted once.
    size: u64,
}

pub(super) async fn run(args: ImagesArgs, global: GlobalSettings) -> Result<ExitStatus, Failure> {
    let store = Store::open(&global.home)?;
    let images = store.named_images()?;
    if global.quiet {
        let digests: String = images.iter().map(|image| format!("{}\n", image.image.digest)).collect();
        Printer::stdout(&digests)?;
        return Ok(ExitStatus::Success);
    }
    let listed: Vec<_> = images.into_iter().map(|image| listed(&store, image)).collect();
    Printer::stdout(&match args.json {
        true => {
            let json = serde_json::to_string_pretty(&listed);
            json.expect("no map, and no value refuses to serialise") + "\n"
        }
        false => table(&listed),
    })?;
    Ok(ExitStatus::Success)
}

fn listed(store: &Store, image: NamedImage) -> Listed {
    let NamedImage { reference: name, image: root } = image;
    let images = match read_tree(store, &root) {
        Ok(tree) => tree.images,
        // One that is damaged hides no other.
        Err(error) => {
            Printer::stderr(&format!("warning: {name}: {error}\n"));
            Vec::new()
        }
    };
    // Sizes are claims of the documents: they may add up to anything.
    let layers: BTreeMap<_, _> = images
        .iter()
        .flat_map(|image| &image.manifest.layers)
        .map(|layer| (layer.digest, layer.size))
        .collect();
    Listed {
        name,
        digest: root.digest,
        media_type: root.media_type,
        platforms: images.iter().map(|image| image.config.platform.to_string()).collect(),
        created: images.iter().filter_map(|image| image.config.created.clone()).max(),
        size: layers.values().fold(0, |sum, size| sum.saturating_add(*size)),
    }
}

fn table(images: &[Listed]) -> String {
    let head = ["NAME", "DIGEST", "PLATFORMS", "CREATED", "SIZE"].map(str::to_owned);
    let rows = images.iter().map(|image| {
        let name = image.name.parse::<Reference>().map_or(image.name.clone(), |name| name.familiar());
        let platforms = match image.platforms.is_empty() {
            true => "-".to_owned(),
            false => image.platforms.join(","),
        };
        [
            name,
            image.digest.short().to_string(),
            platforms,
            created(image.created.as_deref()),
            bytes(image.size),
        ]
    });
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    let widths =
        [0, 1, 2, 3].map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let line = |[name, digest, platforms, created, size]: &[String; 5]| {
        let [a, b, c, d] = widths;
        format!("{name:a$}  {digest:b$}  {platforms:c$}  {created:d$}  {size}\n")
    };
    rows.iter().map(line).collect()
}

/// A time for people. That of images that say nothing of it is the epoch.
fn created(time: Option<&str>) -> String {
    let known = time.and_then(|time| time.parse::<jiff::Timestamp>().ok());
    match known.filter(|time| time.as_second() != 0) {
        Some(time) => time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        None => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short_and_the_epoch_is_none() {
        for (time, expected) in [
            (Some("2023-11-14T22:13:20Z"), "2023-11-14 22:13:20"),
            (Some("2023-11-14T23:13:20.5+01:00"), "2023-11-14 22:13:20"),
            (Some("1970-01-01T00:00:00Z"), "-"),
            (Some("yesterday"), "-"),
            (None, "-"),
        ] {
            assert_eq!(created(time), expected, "{time:?}");
        }
    }
}
