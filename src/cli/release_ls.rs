//! `imgbuild release ls`.

use std::collections::BTreeSet;

use clap::Args;

use super::{
    ExitStatus,
    engine::{client, open_store},
    printer::Printer,
};
use crate::{
    error::Failure,
    event::Sink,
    oci::Reference,
    release::notes::{Row, matrix},
    settings::{Environment, GlobalSettings, RegistryFlags, RegistrySettings, SettingsError},
};

const EXAMPLES: &str = "\
Newest version first, then images without one. Of each platform, the digest of its image is shown.

Examples:
  imgbuild release ls ghcr.io/me/app
  imgbuild release ls ghcr.io/me/app --json | jq -r '.[0].version'";

/// List a repository's versions, with their platforms, digests and tags
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct LsArgs {
    /// The repository
    #[arg(value_name = "REPOSITORY")]
    repository: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten, next_help_heading = "Registries")]
    registry: RegistryFlags,
}

pub(super) async fn run(
    args: LsArgs,
    global: GlobalSettings,
    environment: Environment,
) -> Result<ExitStatus, Failure> {
    let named: Reference = args.repository.parse().map_err(|error| SettingsError::new(format!("{error}")))?;
    if named.tag.is_some() || named.digest.is_some() {
        return Err(SettingsError::new(format!("{} is an image, not a repository", args.repository))
            .hint(format!("write {} for all of its tags", named.repository.familiar()))
            .into());
    }
    let registry = RegistrySettings::resolve(&args.registry, &global.config, &environment)?;
    let (store, registry) = (open_store(&global.home)?, client(&registry, &Sink::silent())?);
    let rows = matrix(&store, &registry, &named.repository).await?;
    Printer::stdout(&match args.json {
        // Maps have string keys, and no value refuses.
        true => serde_json::to_string_pretty(&rows).expect("rows serialise") + "\n",
        false => table(&rows),
    })?;
    Ok(ExitStatus::Success)
}

/// A column for each platform.
fn table(rows: &[Row]) -> String {
    let platforms: BTreeSet<&String> = rows.iter().flat_map(|row| row.platforms.keys()).collect();
    let or_none = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let mut lines = vec![vec!["VERSION".to_owned(), "DIGEST".to_owned()]];
    lines[0].extend(platforms.iter().map(|platform| platform.to_uppercase()));
    lines[0].push("OTHER TAGS".to_owned());
    for row in rows {
        let mut line = vec![or_none(row.version.clone().unwrap_or_default()), row.digest.short().to_string()];
        line.extend(platforms.iter().map(|platform| {
            or_none(row.platforms.get(*platform).map(|digest| digest.short().to_string()).unwrap_or_default())
        }));
        line.push(or_none(row.tags.join(", ")));
        lines.push(line);
    }
    let widths: Vec<usize> = (0..lines[0].len())
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}
