//! Opening the image that an argument names.

use std::io::{self, Cursor, Read};

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::runtime::Handle;

use super::engine::client;
use crate::{
    error::{Explain, Failure, Kind},
    event::Sink,
    image::{BlobSource, Layout, images_by_digest, read_tree},
    oci::{DOCKER_HUB, Descriptor, Reference, Repository, media_type},
    recipe::ImageSource,
    registry::{BlobStream, Client, RegistryError},
    settings::{GlobalSettings, RegistrySettings, SettingsError},
    store::Store,
};

/// An image, and where its blobs are.
pub(super) struct Opened {
    /// What it is called.
    pub(super) name: String,
    /// Its manifest or index.
    pub(super) root: Descriptor,
    /// Where its blobs are.
    pub(super) source: Box<dyn BlobSource>,
}

/// Opens an image: a layout's, the local store's of that name or digest, else a registry's. Blocks.
pub(super) fn open(
    image: &ImageSource,
    global: &GlobalSettings,
    registry: &RegistrySettings,
) -> Result<Opened, Failure> {
    match image {
        ImageSource::Layout { path, name } => {
            let layout = Layout::open(path)?;
            let root = layout.find(name.as_deref())?.clone();
            Ok(Opened { name: image.to_string(), root, source: Box::new(layout) })
        }
        ImageSource::Reference(reference) => {
            let store = Store::open(&global.home)?;
            match stored_root(&store, reference)? {
                Some(root) => Ok(Opened { name: reference.familiar(), root, source: Box::new(store) }),
                None => open_remote(reference, registry),
            }
        }
    }
}

/// How many hex digits digests are shown with: as many, or more, are no name.
const SHOWN: usize = 12;

/// The image of the store that a reference means; `None`: a registry may have it.
pub(super) fn stored_root(store: &Store, reference: &Reference) -> Result<Option<Descriptor>, Failure> {
    if let Some(digest) = &reference.digest {
        // What has this digest is the image, whatever it is called; but not all of one that was built on is here.
        let found = images_by_digest(store, &digest.hex())?;
        return Ok(found.into_iter().find(|root| root.digest == *digest && read_tree(store, root).is_ok()));
    }
    if let Some(root) = store.named_image(reference)? {
        return Ok(Some(root));
    }
    let Some((hex, surely)) = bare_digest(reference) else { return Ok(None) };
    let found = images_by_digest(store, hex)?;
    match &found[..] {
        [root] => Ok(Some(root.clone())),
        [] if surely => Err(SettingsError::not_found(format!(
            "the local store has no image with the digest {hex}, and no registry is known to ask for it"
        ))
        .hint("`imgbuild images` lists what the store has; a registry's image is NAME@sha256:DIGEST")
        .into()),
        [] => Ok(None),
        several => {
            let digests: Vec<_> = several.iter().map(|root| root.digest.to_string()).collect();
            Err(SettingsError::new(format!("the digests of several images begin with {hex}"))
                .hint(format!("write more of one: {}", digests.join(", ")))
                .into())
        }
    }
}

/// The hex digits that a digest, or the beginning of one, has where a name is expected, and whether they cannot be a
/// name.
fn bare_digest(reference: &Reference) -> Option<(&str, bool)> {
    const ALGORITHM: &str = "sha256";
    const FEWEST: usize = 4;
    let name = reference.repository.path().strip_prefix("library/")?;
    if reference.repository.registry() != DOCKER_HUB {
        return None;
    }
    match &reference.tag {
        Some(tag) if name == ALGORITHM => return Some((tag, true)),
        Some(_) => return None,
        None => {}
    }
    let is_hex = name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (is_hex && name.len() >= FEWEST).then_some((name, name.len() >= SHOWN))
}

/// Opens a registry's image. Its layers are read from there and not kept.
fn open_remote(reference: &Reference, settings: &RegistrySettings) -> Result<Opened, Failure> {
    let runtime = Handle::current();
    let registry = client(settings, &Sink::silent())?;
    let found = runtime
        .block_on(registry.manifest(reference))
        .map_err(|cause| Unreachable { name: reference.familiar(), cause })?;
    let repository = reference.repository.clone();
    Ok(Opened {
        name: reference.familiar(),
        root: found.descriptor,
        source: Box::new(Remote { registry, repository, runtime }),
    })
}

/// A repository of a registry.
struct Remote {
    registry: Client,
    repository: Repository,
    runtime: Handle,
}

impl BlobSource for Remote {
    fn open(&self, blob: &Descriptor) -> Result<Option<Box<dyn Read + Send + '_>>, Failure> {
        let kind = blob.media_type.as_str();
        let opened: Result<Box<dyn Read + Send>, _> = self.runtime.block_on(async {
            if media_type::is_index(kind) || media_type::is_manifest(kind) {
                let found = self.registry.manifest(&self.repository.at(blob.digest)).await?;
                return Ok(Box::new(Cursor::new(found.bytes)) as Box<dyn Read + Send>);
            }
            let stream = self.registry.blob(&self.repository, blob).await?;
            Ok(Box::new(Streamed { stream, runtime: self.runtime.clone(), chunk: Bytes::new() }) as _)
        });
        match opened {
            Ok(reader) => Ok(Some(reader)),
            Err(RegistryError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// A blob as it comes from the network.
struct Streamed {
    stream: BlobStream,
    runtime: Handle,
    chunk: Bytes,
}

impl Read for Streamed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.runtime.block_on(self.stream.next()) {
                Some(Ok(chunk)) => self.chunk = chunk,
                Some(Err(error)) => return Err(io::Error::other(error)),
                None => return Ok(0),
            }
        }
        let read = self.chunk.len().min(buffer.len());
        buffer[..read].copy_from_slice(&self.chunk.split_to(read));
        Ok(read)
    }
}

/// The store does not have the image, and its registry did not give it.
#[derive(Debug, thiserror::Error)]
#[error("the local store has no image {name}, and its registry did not give it: {cause}")]
struct Unreachable {
    name: String,
    cause: RegistryError,
}

impl Explain for Unreachable {
    fn kind(&self) -> Kind {
        self.cause.kind()
    }

    fn hints(&self) -> Vec<String> {
        let mut hints = self.cause.hints();
        hints.push("`imgbuild images` lists what the store has; for an OCI layout, write oci:DIR".to_owned());
        hints
    }
}
