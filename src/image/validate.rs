//! Checking images: every digest, size, media type and diffID, and what documents say of each other.

use std::{
    collections::HashMap,
    io::{self, Read},
};

use super::{
    BlobSource, Finding, Problem, Validation,
    read::{is_attestation, is_image_config},
};
use crate::{
    error::Failure,
    layer::{Decoder, Encoding},
    oci::{Descriptor, Digest, Hasher, ImageConfig, Index, Manifest, media_type},
};

/// Documents are read whole up to this size; a larger one is not a document.
const DOCUMENT_LIMIT: u64 = 16 << 20;

/// Checks images of one source. A blob that several images share is read once.
pub struct Validator<'a> {
    source: &'a dyn BlobSource,
    layers: HashMap<Digest, Option<Layer>>,
    documents: HashMap<Digest, Option<Vec<u8>>>,
    validation: Validation,
}

/// What a layer was found to be.
#[derive(Debug, Clone)]
struct Layer {
    diff_id: Result<Digest, String>,
    encoding: Encoding,
}

impl std::fmt::Debug for Validator<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Validator({:?})", self.validation)
    }
}

impl<'a> Validator<'a> {
    /// A validator for images of this source.
    pub fn new(source: &'a dyn BlobSource) -> Self {
        Self { source, layers: HashMap::new(), documents: HashMap::new(), validation: Validation::default() }
    }

    /// What was found.
    pub fn finish(self) -> Validation {
        self.validation
    }

    /// Whether the blob has been read.
    pub(super) fn has_read(&self, digest: &Digest) -> bool {
        self.layers.get(digest).is_some_and(Option::is_some)
            || self.documents.get(digest).is_some_and(Option::is_some)
    }

    pub(super) fn validation(&mut self) -> &mut Validation {
        &mut self.validation
    }

    /// Checks the image that a descriptor points to; `name` is what it is called in findings. Fails only if the
    /// source does.
    pub fn image(&mut self, name: &str, root: &Descriptor) -> Result<(), Failure> {
        if media_type::is_index(&root.media_type) {
            self.index(name, root, 0)
        } else if media_type::is_manifest(&root.media_type) {
            self.manifest(name, root)
        } else {
            self.found(name, wrong_type(root, media_type::MANIFEST));
            Ok(())
        }
    }

    fn index(&mut self, place: &str, descriptor: &Descriptor, depth: usize) -> Result<(), Failure> {
        let Some(bytes) = self.document(place, descriptor)? else { return Ok(()) };
        let index = match Index::parse(&bytes) {
            Ok(index) => index,
            Err(error) => {
                self.found(place, Problem::Malformed { reason: error.to_string() });
                return Ok(());
            }
        };
        self.own_words(place, descriptor, index.schema_version, index.media_type.as_deref());
        let mut platforms = Vec::new();
        for child in &index.manifests {
            let attestation = is_attestation(child);
            let place = match (&child.platform, attestation) {
                (Some(platform), false) => format!("{place} {platform}"),
                _ => format!("{place} {}", child.digest.short()),
            };
            if let (Some(platform), false) = (&child.platform, attestation) {
                if platforms.contains(platform) {
                    let platform = platform.to_string();
                    self.found(&place, Problem::DuplicatePlatform { platform });
                }
                platforms.push(platform.clone());
            }
            if media_type::is_manifest(&child.media_type) {
                self.manifest(&place, child)?;
            } else if media_type::is_index(&child.media_type) && depth < 4 {
                self.index(&place, child, depth + 1)?;
            } else {
                self.found(&place, wrong_type(child, media_type::MANIFEST));
            }
        }
        Ok(())
    }

    fn manifest(&mut self, place: &str, descriptor: &Descriptor) -> Result<(), Failure> {
        let Some(bytes) = self.document(place, descriptor)? else { return Ok(()) };
        let manifest = match Manifest::parse(&bytes) {
            Ok(manifest) => manifest,
            Err(error) => {
                self.found(place, Problem::Malformed { reason: error.to_string() });
                return Ok(());
            }
        };
        self.own_words(place, descriptor, manifest.schema_version, manifest.media_type.as_deref());
        let config_place = format!("{place} config");
        let Some(bytes) = self.document(&config_place, &manifest.config)? else {
            return self.layers(place, &manifest, None);
        };
        // An artifact: its config and its layers are whatever it likes.
        if !is_image_config(&manifest.config.media_type) || is_attestation(descriptor) {
            return self.layers(place, &manifest, None);
        }
        self.validation.images += 1;
        let config = match ImageConfig::parse(&bytes) {
            Ok(config) => config,
            Err(error) => {
                self.found(&config_place, Problem::Malformed { reason: error.to_string() });
                return self.layers(place, &manifest, None);
            }
        };
        self.config(&config_place, descriptor, &manifest, &config);
        self.layers(place, &manifest, Some(&config))
    }

    /// What a config says, against its manifest and its index.
    fn config(&mut self, place: &str, descriptor: &Descriptor, manifest: &Manifest, config: &ImageConfig) {
        let diff_ids = config.rootfs.diff_ids.len();
        if diff_ids != manifest.layers.len() {
            self.found(place, Problem::LayerCount { config: diff_ids, manifest: manifest.layers.len() });
        }
        let entries = config.history.iter().filter(|entry| !entry.empty_layer).count();
        // The history may be left out altogether (image-spec `config.md`: optional).
        if !config.history.is_empty() && entries != diff_ids {
            self.found(place, Problem::History { entries, layers: diff_ids });
        }
        if let Some(platform) = &descriptor.platform {
            let (index, config) = (platform.normalised(), config.platform.normalised());
            // Many builders leave the variant out of one of the two.
            let variants = index.variant == config.variant
                || index.variant.is_none()
                || config.variant.is_none()
                || platform.variant.is_none();
            if index.os != config.os || index.architecture != config.architecture || !variants {
                let (index, config) = (index.to_string(), config.to_string());
                self.found(place, Problem::Platform { index, config });
            }
        }
    }

    fn layers(
        &mut self,
        place: &str,
        manifest: &Manifest,
        config: Option<&ImageConfig>,
    ) -> Result<(), Failure> {
        for (number, descriptor) in manifest.layers.iter().enumerate() {
            let place = format!("{place} layer {}", number + 1);
            let Some(layer) = self.layer(&place, descriptor)? else { continue };
            let Some(config) = config else { continue };
            let Some(declared) = encoding_of(&descriptor.media_type) else {
                self.found(&place, wrong_type(descriptor, media_type::LAYER_GZIP));
                continue;
            };
            if declared != layer.encoding {
                let (declared, found) = (descriptor.media_type.clone(), layer.encoding.to_string());
                self.found(&place, Problem::MediaType { declared, found });
            }
            match (layer.diff_id, config.rootfs.diff_ids.get(number)) {
                (Err(reason), _) => self.found(&place, Problem::Decompress { reason }),
                (Ok(found), Some(expected)) if found != *expected => {
                    self.found(&place, Problem::DiffId { expected: *expected, found });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What a document says of itself, against what its descriptor says.
    fn own_words(&mut self, place: &str, descriptor: &Descriptor, version: u32, own: Option<&str>) {
        if version != 2 {
            self.found(place, Problem::SchemaVersion { found: version });
        }
        if let Some(own) = own.filter(|own| *own != descriptor.media_type) {
            let (declared, found) = (descriptor.media_type.clone(), own.to_owned());
            self.found(place, Problem::MediaType { declared, found });
        }
    }

    fn document(&mut self, place: &str, descriptor: &Descriptor) -> Result<Option<Vec<u8>>, Failure> {
        if let Some(known) = self.documents.get(&descriptor.digest) {
            return Ok(known.clone());
        }
        let Some(reader) = self.source.open(descriptor)? else {
            self.found(place, Problem::Missing { digest: descriptor.digest });
            self.documents.insert(descriptor.digest, None);
            return Ok(None);
        };
        let mut bytes = Vec::new();
        let bytes = match reader.take(DOCUMENT_LIMIT).read_to_end(&mut bytes) {
            Ok(_) => Some(bytes),
            Err(error) => {
                self.unreadable(place, descriptor, &error);
                None
            }
        };
        if let Some(bytes) = &bytes {
            self.validation.blobs += 1;
            let mut hasher = descriptor.digest.hasher();
            hasher.update(bytes);
            self.compare(place, descriptor, bytes.len() as u64, hasher.finish());
        }
        self.documents.insert(descriptor.digest, bytes.clone());
        Ok(bytes)
    }

    fn layer(&mut self, place: &str, descriptor: &Descriptor) -> Result<Option<Layer>, Failure> {
        if let Some(known) = self.layers.get(&descriptor.digest) {
            return Ok(known.clone());
        }
        let layer = match self.source.open(descriptor)? {
            Some(reader) => {
                self.validation.blobs += 1;
                match inspect_layer(reader, &descriptor.digest) {
                    Ok((layer, size, found)) => {
                        self.compare(place, descriptor, size, found);
                        Some(layer)
                    }
                    Err(error) => {
                        self.unreadable(place, descriptor, &error);
                        None
                    }
                }
            }
            None if self.source.is_lazy() => {
                self.validation.absent_layers += 1;
                None
            }
            // Foreign layers are elsewhere by design (image-spec `descriptor.md`, "urls").
            None if !descriptor.urls.is_empty() => None,
            None => {
                self.found(place, Problem::Missing { digest: descriptor.digest });
                None
            }
        };
        self.layers.insert(descriptor.digest, layer.clone());
        Ok(layer)
    }

    fn compare(&mut self, place: &str, descriptor: &Descriptor, size: u64, found: Digest) {
        if size != descriptor.size {
            self.found(place, Problem::Size { expected: descriptor.size, found: size });
        }
        if found != descriptor.digest {
            self.found(place, Problem::Digest { expected: descriptor.digest, found });
        }
    }

    fn unreadable(&mut self, place: &str, descriptor: &Descriptor, error: &io::Error) {
        self.found(place, Problem::Unreadable { digest: descriptor.digest, reason: error.to_string() });
    }

    pub(super) fn found(&mut self, place: &str, problem: Problem) {
        self.validation.findings.push(Finding { place: place.to_owned(), problem });
    }
}

fn wrong_type(descriptor: &Descriptor, wanted: &str) -> Problem {
    Problem::MediaType { declared: descriptor.media_type.clone(), found: wanted.to_owned() }
}

/// How a layer of this media type is compressed; `None` if it is no layer's type. Foreign layers count too.
fn encoding_of(media_type: &str) -> Option<Encoding> {
    let plain = media_type.replace(".nondistributable", "").replace(".foreign", "");
    match plain.as_str() {
        media_type::LAYER | media_type::DOCKER_LAYER => Some(Encoding::None),
        media_type::LAYER_GZIP | media_type::DOCKER_LAYER_GZIP => Some(Encoding::Gzip),
        media_type::LAYER_ZSTD | media_type::DOCKER_LAYER_ZSTD => Some(Encoding::Zstd),
        _ => None,
    }
}

/// Reads a layer once: what it is uncompressed, how long the blob is, and its digest.
fn inspect_layer(reader: impl Read, digest: &Digest) -> io::Result<(Layer, u64, Digest)> {
    let mut blob = Hashing { reader, hasher: digest.hasher(), size: 0, failure: None };
    let mut encoding = Encoding::None;
    let diff_id = Decoder::new(&mut blob).and_then(|decoder| {
        encoding = decoder.encoding();
        digest_of(decoder)
    });
    // What a decoder left, or would not read: the blob's digest is over all of it.
    io::copy(&mut blob, &mut io::sink())?;
    if let Some(error) = blob.failure {
        return Err(error);
    }
    let diff_id = diff_id.map_err(|error| error.to_string());
    Ok((Layer { diff_id, encoding }, blob.size, blob.hasher.finish()))
}

fn digest_of(mut reader: impl Read) -> io::Result<Digest> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 128 << 10];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            read => hasher.update(&buffer[..read]),
        }
    }
}

/// Hashes what passes, and remembers whether reading failed: a decoder's error does not tell.
struct Hashing<R> {
    reader: R,
    hasher: Hasher,
    size: u64,
    failure: Option<io::Error>,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.reader.read(buffer) {
            Ok(read) => {
                self.hasher.update(&buffer[..read]);
                self.size += read as u64;
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let copy = io::Error::new(error.kind(), error.to_string());
                self.failure = Some(error);
                Err(copy)
            }
        }
    }
}
