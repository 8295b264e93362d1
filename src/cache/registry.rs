//! A repository of a registry as a cache: each entry is a small image under a tag of its own.
//!
//! What is written is an image like any other, since registries refuse or forget what is not (ECR takes no types but an
//! image's, GCR no index of layers): a manifest whose layers are the entry's, and a config that fits them. So the
//! registry keeps the blobs as long as the tag, and scanners and garbage collectors know what they see. The entry itself
//! is an annotation of the manifest: asking for it is one request.

use std::io::Write;

use serde::Serialize;

use super::{
    CacheError, Result,
    backend::{Answer, New, little, name_of},
    document,
};
use crate::{
    error::{Explain, Kind},
    event::Sink,
    layer::Layer,
    oci::{Descriptor, Digest, Manifest, Repository, RootFs, canonical, media_type},
    registry::{Blob, Client, RegistryError},
    store::{Store, StoreError},
};

/// The annotation that holds an entry's document.
const ENTRY: &str = "dev.imgbuild.cache.entry";

/// The layer of entries that have none: not every registry takes an image without layers. It is an empty tar, gzip, the
/// same bytes that Docker wrote for steps without changes: most registries have it.
const EMPTY: [u8; 32] = [
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x09, 0x6e, 0x88, 0x00, 0xff, 0x62, 0x18, 0x05, 0xa3, 0x60, 0x14, 0x8c,
    0x58, 0x00, 0x08, 0x00, 0x00, 0xff, 0xff, 0x2e, 0xaf, 0xb5, 0xef, 0x00, 0x04, 0x00, 0x00,
];

#[derive(Debug, Clone)]
pub(super) struct Repo {
    repository: Repository,
    prefix: String,
    /// For what moves layers: it tells of them.
    client: Client,
    /// For questions: a build waits for the answers, and can do without.
    asking: Client,
    /// For documents, of which nobody wants to hear one by one.
    quiet: Client,
}

impl Repo {
    pub(super) fn new(client: &Client, repository: Repository, prefix: String) -> Self {
        let patience = client.patience();
        Self {
            repository,
            prefix,
            client: client.clone(),
            asking: client.with(Sink::silent(), little(patience)),
            quiet: client.with(Sink::silent(), patience),
        }
    }

    pub(super) fn host(&self) -> &str {
        self.repository.registry()
    }

    fn tag(&self, key: &Digest) -> String {
        format!("{}-{}", self.prefix, name_of(key))
    }

    pub(super) async fn get(&self, key: &Digest) -> Result<Option<Answer>> {
        let reference = self.repository.tagged(self.tag(key));
        let found = match self.asking.manifest(&reference).await {
            Ok(found) => found,
            Err(error) if error.kind() == Kind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let damaged = |problem: &str| CacheError::Damaged { key: Box::new(*key), problem: problem.into() };
        // The document once more, escaped, and the rest of a manifest.
        if found.bytes.len() > 2 * document::LARGEST {
            return Err(damaged("its manifest is too large"));
        }
        let mut manifest = Manifest::parse(&found.bytes).map_err(|error| damaged(&error.to_string()))?;
        let Some(document) = manifest.annotations.remove(ENTRY) else {
            return Err(damaged("its manifest is of something else"));
        };
        let blobs = manifest.layers.into_iter().map(|layer| layer.digest).collect();
        Ok(Some(Answer { document: document.into_bytes(), blobs: Some(blobs) }))
    }

    pub(super) async fn has_blob(&self, blob: &Descriptor) -> Result<bool> {
        Ok(self.asking.has_blob(&self.repository, blob).await?)
    }

    pub(super) async fn fetch(&self, blob: &Descriptor, store: &Store) -> Result<()> {
        Ok(self.client.fetch_blob(&self.repository, blob, store).await?)
    }

    pub(super) async fn put(&self, new: New<'_>, store: &Store) -> Result<()> {
        let mut layers = new.layers.to_vec();
        for layer in &layers {
            let path = store.blob_path(&layer.descriptor.digest);
            let blob = Blob { descriptor: layer.descriptor.clone(), path };
            self.client.push_blob(&self.repository, &blob, new.mount_from).await?;
        }
        if layers.is_empty() {
            layers.push(empty_layer());
            self.send(&layers[0].descriptor, &EMPTY, store).await?;
        }
        let config = config(&layers);
        let described = Descriptor::of(media_type::CONFIG, &config);
        self.send(&described, &config, store).await?;

        let blobs = layers.into_iter().map(|layer| layer.descriptor).collect();
        let mut manifest = Manifest::new(described, blobs);
        let document = String::from_utf8_lossy(new.document).into_owned();
        manifest.annotations.insert(ENTRY.to_owned(), document);
        let reference = self.repository.tagged(self.tag(new.key));
        let pushed =
            self.quiet.push_manifest(&reference, media_type::MANIFEST, manifest.to_bytes().into()).await;
        match pushed {
            // Somebody else was first, where tags are immutable.
            Ok(_) | Err(RegistryError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends a small blob that has no place in the store.
    async fn send(&self, descriptor: &Descriptor, bytes: &[u8], store: &Store) -> Result<()> {
        let mut file = store.temporary()?;
        if let Err(error) = file.file().write_all(bytes) {
            return Err(StoreError::io("write", file.path())(error).into());
        }
        let blob = Blob { descriptor: descriptor.clone(), path: file.path().to_owned() };
        self.quiet.push_blob(&self.repository, &blob, &[]).await?;
        Ok(())
    }
}

/// An image config that fits the layers, and no platform: nobody is to run it. It says nothing of the entry, so that
/// entries with one layer have one config.
fn config(layers: &[Layer]) -> Vec<u8> {
    #[derive(Serialize)]
    struct Config {
        architecture: &'static str,
        os: &'static str,
        config: Nothing,
        rootfs: RootFs,
    }
    #[derive(Serialize)]
    struct Nothing {}
    let rootfs = RootFs { diff_ids: layers.iter().map(|layer| layer.diff_id).collect(), ..RootFs::default() };
    canonical(&Config { architecture: "unknown", os: "unknown", config: Nothing {}, rootfs })
}

fn empty_layer() -> Layer {
    let tar = [0; 1024];
    Layer {
        descriptor: Descriptor::of(media_type::LAYER_GZIP, &EMPTY),
        diff_id: Digest::of(&tar),
        size: tar.len() as u64,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::layer::Decoder;

    #[test]
    fn the_empty_layer_is_an_empty_tar() {
        let mut tar = Vec::new();
        Decoder::new(&EMPTY[..]).unwrap().read_to_end(&mut tar).unwrap();
        assert_eq!(tar, [0; 1024]);
        assert!(empty_layer().descriptor.digest.hex().starts_with("a3ed95caeb02ffe68cdd9fd84406680a"));
    }

    #[test]
    fn the_config_is_an_image_config() {
        let config = config(&[empty_layer()]);
        let parsed = crate::oci::ImageConfig::parse(&config).unwrap();
        assert_eq!(parsed.rootfs.diff_ids, [empty_layer().diff_id]);
        assert_eq!(parsed.platform.to_string(), "unknown/unknown");
    }
}
