//! What the service that runs a build is told: annotations and a summary.

use std::{fs::OpenOptions, io::Write, path::PathBuf, time::Duration};

use super::{
    outputs::Delivered,
    printer::{HostError, Printer},
};
use crate::{
    error::Failure,
    image::BuiltImage,
    oci::Reference,
    report::{Annotations, Reporter, Style, Summary, SummaryImage, SummaryPlatform},
    settings::{CiFlags, Environment, GlobalSettings, Progress, actions_workspace},
};

/// What errors and warnings are shown on their lines with, if the program runs in GitHub Actions.
pub(super) fn annotations(environment: &Environment) -> Option<Annotations> {
    let workspace = actions_workspace(environment)?;
    Some(Annotations::new(workspace, environment.current_dir()))
}

/// Watches a build, to tell of it when it has ended.
#[derive(Debug)]
pub(super) struct Watch {
    summary: Option<(Summary, PathBuf)>,
}

/// Begins to show a build and to watch it.
pub(super) fn begin(
    style: Style,
    flags: &CiFlags,
    global: &GlobalSettings,
    environment: &Environment,
) -> (Reporter, Watch) {
    let reporter = match annotations(environment) {
        None => Reporter::new(style),
        Some(annotations) => {
            let reporter = Reporter::in_actions(style);
            // Lines of JSON are for another program, which would have to know them.
            if global.progress != Progress::Json {
                reporter.also(annotations.warnings(anstream::stderr()));
            }
            reporter
        }
    };
    let summary = flags.summary(environment).map(|path| (Summary::new(), path));
    if let Some((summary, _)) = &summary {
        reporter.also(summary.clone());
    }
    (reporter, Watch { summary })
}

impl Watch {
    /// Writes the summary. That this fails is told, and is no reason for a build to fail.
    pub(super) fn end(&self, built: &Result<Vec<Delivered>, Failure>, took: Duration) {
        let Some((summary, path)) = &self.summary else { return };
        let page = match built {
            Ok(built) => summary.built(&built.iter().map(image).collect::<Vec<_>>(), took),
            Err(failure) => summary.failed(failure.as_ref(), took),
        };
        let file = OpenOptions::new().append(true).create(true).open(path);
        // In one piece: jobs of one service may share the file.
        if let Err(error) = file.and_then(|mut file| file.write_all(page.as_bytes())) {
            let error = HostError::new(format!("write the summary to {}", path.display()), error);
            Printer::stderr(&format!("warning: {error}\n"));
        }
    }
}

fn image(delivered: &Delivered) -> SummaryImage {
    SummaryImage {
        names: delivered.names.iter().map(Reference::familiar).collect(),
        digest: delivered.built.root().digest,
        platforms: delivered.built.images.iter().map(platform).collect(),
        went: delivered.went.clone(),
    }
}

fn platform(image: &BuiltImage) -> SummaryPlatform {
    SummaryPlatform {
        platform: image.platform.to_string(),
        digest: image.manifest.digest,
        layers: image.layers.len(),
        size: image.layers.iter().map(|layer| layer.size).sum(),
    }
}
