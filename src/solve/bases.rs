//! The images that a build starts from.

use std::{collections::HashMap, sync::Arc};

use futures_util::future::try_join_all;

use super::{Engine, Options};
use crate::{
    error::{Explain, Failure},
    event::Sink,
    image::{Base, ImageError, Resolver},
    lock::{ImagePin, Pins},
    recipe::{BaseConfigs, BaseImage, Frontend, ImageSource},
    source::Diagnostic,
};

/// The images of a build, as they are found.
pub(super) struct Bases<'a> {
    resolver: Resolver,
    frontend: &'a dyn Frontend,
    options: &'a Options,
    /// What names mean, where a lock says it.
    pub(super) pins: Option<Arc<Pins>>,
    known: HashMap<BaseImage, Arc<Base>>,
}

impl<'a> Bases<'a> {
    pub(super) fn new(engine: &Engine, frontend: &'a dyn Frontend, options: &'a Options) -> Self {
        let resolver = Resolver {
            store: engine.store.clone(),
            registry: engine.registry.clone(),
            sink: engine.sink.clone(),
            pull: options.pull,
        };
        Self { resolver, frontend, options, pins: options.pins.clone(), known: HashMap::new() }
    }

    /// Finds all images that stages start from. Their configs.
    pub(super) async fn find(&mut self) -> Result<BaseConfigs, Failure> {
        let mut wanted = self.first()?;
        loop {
            self.resolve(wanted).await?;
            wanted = self.further()?;
            if wanted.is_empty() {
                return Ok(self.configs());
            }
        }
    }

    /// The images that stages start from, as far as that is known without any image.
    pub(super) fn first(&self) -> Result<Vec<BaseImage>, Failure> {
        let mut wanted = Vec::new();
        for platform in &self.options.platforms {
            wanted.extend(self.frontend.bases(&self.options.request(platform))?);
        }
        Ok(wanted)
    }

    /// Those that are known now and were not found yet.
    pub(super) fn further(&self) -> Result<Vec<BaseImage>, Failure> {
        let configs = self.configs();
        let mut wanted = Vec::new();
        for platform in &self.options.platforms {
            wanted.extend(self.frontend.further_bases(&self.options.request(platform), &configs)?);
        }
        wanted.retain(|image| !self.known.contains_key(image));
        Ok(wanted)
    }

    /// Those that were found so far.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Base>> {
        self.known.values()
    }

    /// All of these, in their order: those that were found, and those that are only copied from.
    pub(super) async fn all(mut self, images: &[BaseImage]) -> Result<Vec<Arc<Base>>, Failure> {
        self.resolve(images.to_vec()).await?;
        Ok(images.iter().map(|image| Arc::clone(&self.known[image])).collect())
    }

    /// The configs of those that were found so far.
    pub(super) fn configs(&self) -> BaseConfigs {
        self.known.iter().map(|(image, base)| (image.clone(), base.config.clone())).collect()
    }

    /// Finds images.
    pub(super) async fn resolve(&mut self, mut wanted: Vec<BaseImage>) -> Result<(), Failure> {
        let mut unique: Vec<BaseImage> = Vec::new();
        wanted.retain(|image| !self.known.contains_key(image));
        for image in wanted {
            if !unique.contains(&image) {
                unique.push(image);
            }
        }
        let this = &*self;
        let resolve = async |image| {
            let resolved = this.resolver.resolve(image, this.pins.as_deref()).await;
            resolved.map_err(|error| this.at_its_place(image, error))
        };
        let found = try_join_all(unique.iter().map(resolve)).await?;
        self.known.extend(unique.into_iter().zip(found.into_iter().map(Arc::new)));
        Ok(())
    }

    /// Looks up what the name of an image means now, and tells of that to `sink`.
    pub(super) async fn look_up(&self, image: &BaseImage, sink: &Sink) -> Result<ImagePin, Failure> {
        let ImageSource::Reference(reference) = &image.image else {
            let name = image.image.to_string();
            return Err(ImageError::NotFound { name }.into());
        };
        let resolver = Resolver { sink: sink.clone(), ..self.resolver.clone() };
        resolver.look_up(reference).await.map_err(|error| self.at_its_place(image, error))
    }

    /// The error with the place where the file names the image, if the front end knows it.
    fn at_its_place(&self, image: &BaseImage, error: ImageError) -> Failure {
        let configs = self.configs();
        let mut requests = self.options.platforms.iter().map(|platform| self.options.request(platform));
        let Some(mention) = requests.find_map(|request| self.frontend.mention(&request, &configs, image))
        else {
            return error.into();
        };
        let mut diagnostic = Diagnostic::new(error.to_string()).at(mention.location, "").kind(error.kind());
        if let Some(stage) = mention.similar_stage {
            diagnostic = diagnostic.hint(format!("did you mean the stage `{stage}`?"));
        }
        error.hints().into_iter().fold(diagnostic, Diagnostic::hint).into()
    }
}
