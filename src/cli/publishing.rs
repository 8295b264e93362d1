//! What the commands that push and move tags have in common.

use std::path::PathBuf;

use super::{
    ExitStatus,
    build::style,
    engine::{client, open_store},
    open::stored_root,
    outputs::told,
    printer::Printer,
};
use crate::{
    error::Failure,
    image::{BlobOrigin, Layout},
    oci::{Descriptor, Reference, Repository},
    output::{Contents, Pusher},
    recipe::ImageSource,
    release::{Goal, Published, Publisher, ReleaseError, Terms, gather},
    report::Reporter,
    settings::{
        Environment, GlobalSettings, Progress, RegistryFlags, RegistrySettings, SettingsError, parse_tag,
        parse_target, releases,
    },
};

/// What a command works with.
pub(super) struct Work {
    global: GlobalSettings,
    environment: Environment,
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
        Ok(Self { global, environment, publisher, reporter })
    }

    /// Ends the progress, and tells what the command has to say.
    pub(super) fn end(self, ended: Result<Said, Failure>) -> Result<ExitStatus, Failure> {
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

    /// An image of this machine: a layout's, or the store's.
    pub(super) async fn local(&self, text: &str) -> Result<Source, Failure> {
        let store = &self.publisher.store;
        match parse_target(text, &self.environment)? {
            ImageSource::Layout { path, name } => self.in_layout(path, name.as_deref()).await,
            ImageSource::Reference(reference) => match stored_root(store, &reference)? {
                Some(root) => self.gathered(reference.familiar(), BlobOrigin::Store, &root).await,
                None => Err(SettingsError::not_found(format!("the local store has no image {text}"))
                    .hint("`imgbuild images` lists what it has; for an OCI layout, write oci:DIR")
                    .hint("`imgbuild promote` takes an image from a registry")
                    .into()),
            },
        }
    }

    /// An image of a registry, whatever the store has of that name; or a layout's.
    pub(super) async fn remote(&self, text: &str) -> Result<Source, Failure> {
        match parse_target(text, &self.environment)? {
            ImageSource::Layout { path, name } => self.in_layout(path, name.as_deref()).await,
            ImageSource::Reference(reference) => {
                let found = self.publisher.registry.manifest(&reference).await?;
                self.publisher.store.put_blob(&found.bytes)?;
                let origin = BlobOrigin::Registry(reference.repository.clone());
                self.gathered(reference.familiar(), origin, &found.descriptor).await
            }
        }
    }

    async fn in_layout(&self, path: PathBuf, name: Option<&str>) -> Result<Source, Failure> {
        let root = Layout::open(&path)?.find(name)?.clone();
        self.gathered(path.display().to_string(), BlobOrigin::Layout(path), &root).await
    }

    async fn gathered(&self, name: String, origin: BlobOrigin, root: &Descriptor) -> Result<Source, Failure> {
        let Publisher { store, registry, .. } = &self.publisher;
        // What names it in a layout is no part of it.
        let Descriptor { media_type, digest, size, .. } = root.clone();
        let contents = gather(store, registry, &origin, &Descriptor::new(media_type, digest, size)).await?;
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
    texts.iter().map(|text| parse_tag(text)).collect()
}
