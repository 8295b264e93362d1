//! What the commands that push and move tags have in common.

use futures_util::future::BoxFuture;

use super::{
    ExitStatus,
    build::style,
    engine::{client, open_store},
    open::{Opened, locate},
    outputs::told,
    printer::{HostError, Printer},
};
use crate::{
    error::Failure,
    image::BlobOrigin,
    oci::{Reference, Repository},
    output::{Contents, Pusher},
    release::{Goal, Published, Publisher, ReleaseError, Terms, gather},
    report::Reporter,
    settings::{
        Environment, GlobalSettings, Progress, RegistryFlags, RegistrySettings, SettingsError, parse_name,
        parse_target, releases,
    },
};

/// What a command works with.
pub(super) struct Work {
    pub(super) global: GlobalSettings,
    pub(super) registry: RegistrySettings,
    pub(super) environment: Environment,
    pub(super) publisher: Publisher,
    reporter: Reporter,
}

impl Work {
    pub(super) fn begin(
        global: GlobalSettings,
        registry: &RegistryFlags,
        terms: Terms,
        environment: Environment,
    ) -> Result<Self, Failure> {
        let registry = RegistrySettings::resolve(registry, &global.config, &environment)?;
        let reporter = Reporter::new(style(&global, &environment));
        let sink = reporter.sink();
        let publisher = Publisher {
            store: open_store(&global.home)?,
            registry: client(&registry, &sink)?,
            sink,
            releases: releases(&global),
            terms,
        };
        Ok(Self { global, registry, environment, publisher, reporter })
    }

    /// Runs the command; its progress is shown until it ends, and what it says after that.
    pub(super) async fn run(
        self,
        command: impl for<'a> FnOnce(&'a Self) -> BoxFuture<'a, Result<Said, Failure>>,
    ) -> Result<ExitStatus, Failure> {
        let ended = command(&self).await;
        let Self { global, reporter, .. } = self;
        reporter.finish();
        let Said { digest, lines, failure } = ended?;
        if global.quiet {
            if let Some(digest) = digest {
                Printer::stdout(&format!("{digest}\n"))?;
            }
        } else if global.progress != Progress::Json {
            lines.iter().for_each(|line| Printer::stderr(&format!("{line}\n")));
        }
        failure.map_or(Ok(ExitStatus::Success), Err)
    }

    /// The image that an argument names: its documents in the store, its blobs where they are.
    pub(super) async fn source(&self, text: &str, anywhere: bool) -> Result<Source, Failure> {
        let image = parse_target(text, &self.environment)?;
        let (global, registry) = (self.global.clone(), self.registry.clone());
        let found = tokio::task::spawn_blocking(move || locate(&image, &global, &registry, anywhere)).await;
        let found = found.map_err(|error| HostError::new("look for the image", std::io::Error::other(error)))?;
        let (Opened { name, root, .. }, origin) = found?;
        let Publisher { store, registry, .. } = &self.publisher;
        let contents = gather(store, registry, &origin, &root).await?;
        Ok(Source { name, origin, contents })
    }

    /// Publishes an image under names.
    pub(super) async fn publish(
        &self,
        contents: &Contents,
        names: &[Reference],
    ) -> Result<(Published, Pusher), Failure> {
        if names.is_empty() {
            return Err(ReleaseError::NoName.into());
        }
        let Publisher { store, registry, .. } = &self.publisher;
        let pusher = Pusher::new(store.clone(), registry.clone(), names);
        let published = self.publisher.publish(&Goal::of_names(names), contents, &pusher).await?;
        Ok((published, pusher))
    }
}

/// An image that was found.
pub(super) struct Source {
    pub(super) name: String,
    pub(super) origin: BlobOrigin,
    pub(super) contents: Contents,
}

impl Source {
    /// The repository it is in.
    pub(super) fn repository(&self) -> Option<&Repository> {
        match &self.origin {
            BlobOrigin::Registry(repository) => Some(repository),
            BlobOrigin::Store | BlobOrigin::Layout(_) => None,
        }
    }
}

/// What a command has to say.
#[derive(Default)]
pub(super) struct Said {
    /// For scripts, on standard output.
    pub(super) digest: Option<String>,
    /// For people.
    pub(super) lines: Vec<String>,
    /// What was left undone.
    pub(super) failure: Option<Failure>,
}

impl Said {
    /// What became of an image.
    pub(super) fn of(contents: &Contents, published: &Published) -> Self {
        let digest = contents.root.digest.to_string();
        let mut lines = vec![digest.clone()];
        lines.extend(told(published));
        Self { digest: Some(digest), lines, failure: None }
    }
}

/// The names that an image is to get.
pub(super) fn names(texts: &[String]) -> Result<Vec<Reference>, SettingsError> {
    texts.iter().map(|text| parse_name(text)).collect()
}
