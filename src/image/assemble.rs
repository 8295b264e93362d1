//! The documents of a built image.

use std::collections::BTreeMap;

use super::Base;
use crate::{
    oci::{Descriptor, Digest, History, ImageConfig, Index, Manifest, Platform, media_type},
    recipe::{ConfigChange, ConfigChanges},
};

/// What an image is put together from.
#[derive(Debug)]
pub struct Parts<'a> {
    /// What it runs on.
    pub platform: &'a Platform,
    /// The image below.
    pub base: Option<&'a Base>,
    /// The steps on top, lowest first.
    pub steps: Vec<ImageStep>,
    /// Labels from the command line: they go before all others.
    pub labels: &'a BTreeMap<String, String>,
    /// Annotations of the manifest.
    pub annotations: BTreeMap<String, String>,
    /// When the image was made, RFC 3339.
    pub created: &'a str,
}

/// A step of an image.
#[derive(Debug)]
pub struct ImageStep {
    /// The step as the history tells it; a change of the config alone may be left out of it: then it is empty.
    pub created_by: String,
    /// What it changes in the config.
    pub changes: Vec<ConfigChange>,
    /// The layers it adds, lowest first: each the blob, and the digest of its uncompressed tar.
    pub layers: Vec<(Descriptor, Digest)>,
}

/// The config and the manifest of an image.
pub fn assemble(parts: Parts<'_>) -> (ImageConfig, Manifest) {
    let (mut config, mut layers) = match parts.base {
        Some(base) => (base.config.clone(), base.manifest.layers.iter().map(as_oci_layer).collect()),
        None => (ImageConfig::scratch(parts.platform.clone()), Vec::new()),
    };
    config.platform.architecture = parts.platform.architecture.clone();
    config.platform.os = parts.platform.os.clone();
    config.platform.variant = parts.platform.variant.clone();
    config.created = Some(parts.created.to_owned());
    // Triggers are for the image that is built on the base, not for those built on that one.
    config.config.on_build.clear();
    let mut changes = ConfigChanges::of(&mut config.config);
    for step in parts.steps {
        for change in &step.changes {
            match change {
                ConfigChange::Author(author) => config.author = Some(author.clone()),
                change => changes.apply(change),
            }
        }
        let (of, created_by) = (step.layers.len(), step.created_by);
        // Readers count the entries that are not empty: one for each layer.
        let history = |created_by, comment, empty_layer| History {
            created: Some(parts.created.to_owned()),
            author: None,
            created_by: Some(created_by),
            comment: Some(comment),
            empty_layer,
        };
        if of == 0 && !created_by.is_empty() {
            config.history.push(history(created_by, "imgbuild".to_owned(), true));
            continue;
        }
        for (number, (descriptor, diff_id)) in (1..).zip(step.layers) {
            let comment =
                if of == 1 { "imgbuild".to_owned() } else { format!("imgbuild, part {number} of {of}") };
            config.history.push(history(created_by.clone(), comment, false));
            layers.push(descriptor);
            config.rootfs.diff_ids.push(diff_id);
        }
    }
    config.config.labels.extend(parts.labels.clone());
    let mut manifest = Manifest::new(Descriptor::of(media_type::CONFIG, &config.to_bytes()), layers);
    manifest.annotations = parts.annotations;
    (config, manifest)
}

/// The index of manifests, each with its platform.
pub fn index(manifests: Vec<(Descriptor, Platform)>, annotations: BTreeMap<String, String>) -> Index {
    let with_platform = |(mut descriptor, platform): (Descriptor, Platform)| {
        descriptor.platform = Some(platform);
        descriptor
    };
    let mut index = Index::new(manifests.into_iter().map(with_platform).collect());
    index.annotations = annotations;
    index
}

/// An OCI manifest names OCI layers: Docker's types mean the same bytes.
fn as_oci_layer(layer: &Descriptor) -> Descriptor {
    let media_type = match layer.media_type.as_str() {
        media_type::DOCKER_LAYER_GZIP => media_type::LAYER_GZIP,
        media_type::DOCKER_LAYER_ZSTD => media_type::LAYER_ZSTD,
        media_type::DOCKER_LAYER => media_type::LAYER,
        other => other,
    };
    Descriptor { media_type: media_type.to_owned(), ..layer.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::BlobOrigin;

    fn parts<'a>(
        platform: &'a Platform,
        base: Option<&'a Base>,
        labels: &'a BTreeMap<String, String>,
    ) -> Parts<'a> {
        let layer = (Descriptor::of(media_type::LAYER_GZIP, b"blob"), Digest::of(b"tar"));
        let steps = vec![
            ImageStep { created_by: "copy".into(), changes: Vec::new(), layers: vec![layer] },
            ImageStep {
                created_by: "env".into(),
                changes: vec![ConfigChange::Env("A".into(), "2".into())],
                layers: Vec::new(),
            },
        ];
        Parts { platform, base, steps, labels, annotations: BTreeMap::new(), created: "1970-01-01T00:00:00Z" }
    }

    #[test]
    fn history_has_one_entry_a_step_and_matches_the_layers() {
        let (platform, labels) = (Platform::host(), BTreeMap::from([("l".to_owned(), "1".to_owned())]));
        let (config, manifest) = assemble(parts(&platform, None, &labels));
        let filled = config.history.iter().filter(|entry| !entry.empty_layer).count();
        assert_eq!(
            (config.history.len(), filled, config.rootfs.diff_ids.len()),
            (2, 1, manifest.layers.len())
        );
        assert_eq!(config.config.env, ["A=2"]);
        assert_eq!(config.config.labels, labels);
        assert_eq!(manifest.config, Descriptor::of(media_type::CONFIG, &config.to_bytes()));
    }

    #[test]
    fn a_base_keeps_its_layers_and_what_the_steps_leave_alone() {
        let platform: Platform = "linux/arm64".parse().unwrap();
        let mut config = ImageConfig::scratch(platform.clone());
        config.config.env = vec!["PATH=/bin".into(), "A=1".into()];
        config.config.on_build = vec!["RUN x".into()];
        config.rootfs.diff_ids = vec![Digest::of(b"base")];
        config.extra.insert("zed".into(), "[1]".into());
        let layer = Descriptor::of(media_type::DOCKER_LAYER_GZIP, b"base blob");
        let base = Base {
            name: "base".into(),
            digest: Digest::of(b"manifest"),
            manifest: Manifest::new(Descriptor::of(media_type::DOCKER_CONFIG, b""), vec![layer]),
            config,
            origin: BlobOrigin::Store,
        };
        let labels = BTreeMap::new();
        let (config, manifest) = assemble(parts(&platform, Some(&base), &labels));
        assert_eq!(config.config.env, ["PATH=/bin", "A=2"]);
        assert!(config.config.on_build.is_empty());
        assert_eq!(config.extra["zed"], "[1]");
        assert_eq!(config.rootfs.diff_ids, [Digest::of(b"base"), Digest::of(b"tar")]);
        assert_eq!(manifest.layers[0].media_type, media_type::LAYER_GZIP);
        assert_eq!(manifest.layers[0].digest, Digest::of(b"base blob"));
    }
}
