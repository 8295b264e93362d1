//! From the name of a base to its documents.

use std::collections::BTreeMap;

use super::{Base, BlobOrigin, ImageError, Layout, read_document};
use crate::{
    error::{Explain, Kind},
    event::{Outcome, Running, Sink, Task},
    lock::{ImagePin, Pins},
    oci::{Descriptor, Digest, ImageConfig, Index, JsonError, Manifest, Platform, Reference, media_type},
    recipe::{BaseImage, ImageSource},
    registry::Client,
    store::Store,
};

/// No manifest, index or config that anybody has seen comes near.
const LARGEST_DOCUMENT: u64 = 16 << 20;

/// Where images are looked up.
#[derive(Debug, Clone)]
pub struct Resolver {
    /// The local store.
    pub store: Store,
    /// The registries.
    pub registry: Client,
    /// Where events go.
    pub sink: Sink,
    /// Whether a reference means the registry's image although the store has one of its own.
    pub pull: bool,
}

/// An image that was found, and how to read its documents.
struct Found<'a> {
    resolver: &'a Resolver,
    name: &'a str,
    origin: BlobOrigin,
    root: Descriptor,
}

impl Resolver {
    /// Finds out what a base image is: its manifest and config for one platform. No layer is fetched.
    ///
    /// A reference means what the lock says, else the store's own image of that name, else a registry's.
    pub async fn resolve(&self, wanted: &BaseImage, pins: Option<&Pins>) -> Result<Base, ImageError> {
        let name = wanted.image.to_string();
        let task = self.sink.start(Task::Resolve { reference: name.clone() }, None);
        let base = match &wanted.image {
            ImageSource::Layout { path, name: inner } => {
                let root = Layout::open(path)?.find(inner.as_deref())?.clone();
                let found =
                    Found { resolver: self, name: &name, origin: BlobOrigin::Layout(path.clone()), root };
                found.base(&wanted.platform).await?
            }
            ImageSource::Reference(reference) => {
                let pin = match pins {
                    Some(pins) => pins.image(reference)?.map(|pin| (pins, pin)),
                    None => None,
                };
                if let Some((pins, pin)) = pin {
                    let found = self.locked(&name, reference, pin).await?;
                    let chosen = found.first(&wanted.platform).await?;
                    pins.check_manifest(reference, pin, &wanted.platform, &chosen)?;
                    return Ok(finished(task, found.base(&wanted.platform).await?));
                }
                let remote = async || self.remote(&name, reference).await?.base(&wanted.platform).await;
                match self.local(&name, reference, &wanted.platform).await {
                    Ok(Some(base)) => base,
                    Ok(None) => remote().await?,
                    // An image built for other platforms, or one whose blobs were cleared away: the registry may have
                    // what is wanted. If not, what the user has here is what they mean.
                    Err(error @ (ImageError::Platform { .. } | ImageError::Blob { .. })) => {
                        remote().await.map_err(|cause| {
                            self.sink.warn(format!("the store's {name} does not do: {error}; {cause}"));
                            error
                        })?
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        Ok(finished(task, base))
    }

    /// Looks up what a reference means in its registry, now; where the registry has no such image or shows none, what
    /// the store has under that name, of which a warning tells.
    pub async fn look_up(&self, reference: &Reference) -> Result<ImagePin, ImageError> {
        let name = reference.familiar();
        let task = self.sink.start(Task::Resolve { reference: name.clone() }, None);
        let found = match self.remote(&name, reference).await {
            Ok(found) => found,
            Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Denied) => {
                let Some(root) = self.store.named_image(reference)? else { return Err(error) };
                self.sink.warn(format!(
                    "{name} is an image of this machine alone ({error}): others cannot build with what is locked"
                ));
                Found { resolver: self, name: &name, origin: BlobOrigin::Store, root }
            }
            Err(error) => return Err(error),
        };
        let pin = ImagePin { digest: found.root.digest, platforms: found.platforms().await? };
        task.finish(Outcome::Done, None);
        Ok(pin)
    }

    /// What is locked: the store's own image of that name, if it is the same, else a registry's.
    async fn locked<'a>(
        &'a self,
        name: &'a str,
        reference: &Reference,
        pin: &ImagePin,
    ) -> Result<Found<'a>, ImageError> {
        match self.store.named_image(reference)? {
            Some(root) if root.digest == pin.digest => {
                Ok(Found { resolver: self, name, origin: BlobOrigin::Store, root })
            }
            _ => {
                let exact = Reference { digest: Some(pin.digest), ..reference.clone() };
                self.remote(name, &exact).await.map_err(|error| match error {
                    // What is gone is what was locked, not the name.
                    ImageError::NotFound { .. } => ImageError::NotFound { name: exact.familiar() },
                    error => error,
                })
            }
        }
    }

    /// The store's own image of this name, if it has one for the platform.
    async fn local(
        &self,
        name: &str,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<Option<Base>, ImageError> {
        if self.pull {
            return Ok(None);
        }
        let Some(root) = self.store.named_image(reference)? else { return Ok(None) };
        let found = Found { resolver: self, name, origin: BlobOrigin::Store, root };
        found.base(platform).await.map(Some)
    }

    async fn remote<'a>(&'a self, name: &'a str, reference: &Reference) -> Result<Found<'a>, ImageError> {
        let origin = BlobOrigin::Registry(reference.repository.clone());
        // A digest says it all: what the store has of it is never asked for again.
        if let Some(digest) = reference.digest
            && let Some(bytes) = self.store.read_blob(&digest)?
            && let Some(media_type) = media_type_of(&bytes)
        {
            let root = Descriptor::new(media_type, digest, bytes.len() as u64);
            return Ok(Found { resolver: self, name, origin, root });
        }
        let missing = || ImageError::NotFound { name: name.to_owned() };
        let root = self.registry.resolve(reference).await?.ok_or_else(missing)?;
        Ok(Found { resolver: self, name, origin, root })
    }
}

fn finished(task: Running, base: Base) -> Base {
    let size = base.manifest.layers.iter().map(|layer| layer.size).sum();
    task.finish(Outcome::Done, Some((base.digest, size)));
    base
}

impl Found<'_> {
    /// The manifest for each platform that the image says it is there for.
    async fn platforms(&self) -> Result<BTreeMap<String, Digest>, ImageError> {
        let bytes = self.read(&self.root).await?;
        let mut platforms = BTreeMap::new();
        if media_type::is_index(&self.root.media_type) {
            let index = Index::parse(&bytes).map_err(|source| self.document(source))?;
            for entry in &index.manifests {
                // Of two for one platform, the first is taken.
                if let Some(platform) = entry.platform.as_ref().filter(|platform| is_real(platform)) {
                    platforms.entry(platform.normalised().to_string()).or_insert(entry.digest);
                }
            }
        } else if media_type::is_manifest(&self.root.media_type) {
            let manifest = Manifest::parse(&bytes).map_err(|source| self.document(source))?;
            // An artifact has a config of another kind: that it is no image is told when it is used.
            if let Ok(config) = ImageConfig::parse(&self.read(&manifest.config).await?) {
                platforms.insert(config.platform.normalised().to_string(), self.root.digest);
            }
        }
        Ok(platforms)
    }

    /// What the image's own document names for a platform: itself, if it is no index.
    async fn first(&self, wanted: &Platform) -> Result<Digest, ImageError> {
        if !media_type::is_index(&self.root.media_type) {
            return Ok(self.root.digest);
        }
        let index = Index::parse(&self.read(&self.root).await?).map_err(|source| self.document(source))?;
        Ok(self.choose(&index, wanted)?.digest)
    }

    async fn base(self, wanted: &Platform) -> Result<Base, ImageError> {
        let mut descriptor = self.root.clone();
        let mut bytes = self.read(&descriptor).await?;
        // Layouts and some registries nest indexes; two levels are all that anybody has seen.
        for _ in 0..3 {
            if !media_type::is_index(&descriptor.media_type) {
                break;
            }
            let index = Index::parse(&bytes).map_err(|source| self.document(source))?;
            descriptor = self.choose(&index, wanted)?;
            bytes = self.read(&descriptor).await?;
        }
        if !media_type::is_manifest(&descriptor.media_type) {
            let media_type = descriptor.media_type.clone();
            return Err(ImageError::NotAnImage { name: self.name.to_owned(), media_type });
        }
        let manifest = Manifest::parse(&bytes).map_err(|source| self.document(source))?;
        if !matches!(manifest.config.media_type.as_str(), media_type::CONFIG | media_type::DOCKER_CONFIG) {
            let media_type = manifest.artifact_type.unwrap_or(manifest.config.media_type);
            return Err(ImageError::NotAnImage { name: self.name.to_owned(), media_type });
        }
        let config = self.read(&manifest.config).await?;
        let config = ImageConfig::parse(&config).map_err(|source| self.document(source))?;
        if config.platform.distance(wanted).is_none() {
            let there = vec![config.platform.normalised()];
            return Err(ImageError::Platform {
                name: self.name.to_owned(),
                wanted: Box::new(wanted.clone()),
                there,
            });
        }
        let (layers, diff_ids) = (manifest.layers.len(), config.rootfs.diff_ids.len());
        if layers != diff_ids {
            return Err(ImageError::LayerCount { name: self.name.to_owned(), layers, diff_ids });
        }
        Ok(Base {
            name: self.name.to_owned(),
            digest: descriptor.digest,
            manifest,
            config,
            origin: self.origin,
        })
    }

    fn choose(&self, index: &Index, wanted: &Platform) -> Result<Descriptor, ImageError> {
        let platforms = index.manifests.iter().filter_map(|entry| Some((entry, entry.platform.as_ref()?)));
        let fit = platforms
            .clone()
            .filter_map(|(entry, platform)| Some((platform.distance(wanted)?, entry)))
            .min_by_key(|(distance, _)| *distance);
        match (fit, &index.manifests[..]) {
            (Some((_, entry)), _) => Ok(entry.clone()),
            // An index of one entry without a platform: the image's config will tell.
            (None, [only]) if only.platform.is_none() => Ok(only.clone()),
            _ => Err(ImageError::Platform {
                name: self.name.to_owned(),
                wanted: Box::new(wanted.clone()),
                there: platforms.map(|(_, platform)| platform.normalised()).filter(is_real).collect(),
            }),
        }
    }

    /// A document of the image: from the store, else from where the image is; kept in the store.
    async fn read(&self, descriptor: &Descriptor) -> Result<Vec<u8>, ImageError> {
        let store = &self.resolver.store;
        if descriptor.size > LARGEST_DOCUMENT {
            let (name, digest) = (self.name.to_owned(), Box::new(descriptor.digest));
            return Err(ImageError::TooLarge { name, digest, size: descriptor.size });
        }
        // Its size too: what is small by the descriptor's word may be a layer.
        if store.has_blob(descriptor)
            && let Some(bytes) = store.read_blob(&descriptor.digest)?
        {
            return Ok(bytes);
        }
        let missing = || ImageError::Blob { name: self.name.to_owned(), digest: Box::new(descriptor.digest) };
        match &self.origin {
            BlobOrigin::Store => Err(missing()),
            BlobOrigin::Layout(path) => {
                let failed = |cause| ImageError::Source { name: self.name.to_owned(), cause };
                let bytes = read_document(&Layout::open(path)?, descriptor, "document").map_err(failed)?;
                store.put_blob(&bytes)?;
                Ok(bytes)
            }
            BlobOrigin::Registry(repository) => {
                let kind = descriptor.media_type.as_str();
                if media_type::is_index(kind) || media_type::is_manifest(kind) {
                    let found = self.resolver.registry.manifest(&repository.at(descriptor.digest)).await?;
                    store.put_blob(&found.bytes)?;
                    return Ok(found.bytes.to_vec());
                }
                self.resolver.registry.fetch_blob(repository, descriptor, store).await?;
                store.read_blob(&descriptor.digest)?.ok_or_else(missing)
            }
        }
    }

    fn document(&self, source: JsonError) -> ImageError {
        ImageError::Document { name: self.name.to_owned(), source }
    }
}

/// Whether it is a platform, and not what build tools use for attestations.
fn is_real(platform: &Platform) -> bool {
    platform.os.to_string() != "unknown"
}

/// What a document says it is.
fn media_type_of(bytes: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Document {
        media_type: Option<String>,
        manifests: Option<serde::de::IgnoredAny>,
    }
    let document: Document = serde_json::from_slice(bytes).ok()?;
    Some(document.media_type.unwrap_or_else(|| {
        let kind = if document.manifests.is_some() { media_type::INDEX } else { media_type::MANIFEST };
        kind.to_owned()
    }))
}
