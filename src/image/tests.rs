//! Checks and readers, on layouts made by hand, each broken in one way.

use std::{fs, io::Write, path::Path};

use super::*;
use crate::oci::{
    Descriptor, Digest, History, ImageConfig, Index, Manifest, Platform, canonical, media_type,
};

/// A layout with one image of one gzip layer; fields are changed before it is written.
struct Sample {
    folder: tempfile::TempDir,
    tar: Vec<u8>,
    config: ImageConfig,
    layer_type: &'static str,
    platform: Option<Platform>,
}

impl Sample {
    fn new() -> Self {
        let tar = b"not really a tar, but hashing does not mind".to_vec();
        let mut config = ImageConfig::scratch(Platform::new("linux", "amd64", None));
        config.rootfs.diff_ids.push(Digest::of(&tar));
        config.history.push(History { created_by: Some("copy".into()), ..History::default() });
        config.history.push(History { empty_layer: true, ..History::default() });
        let platform = Some(config.platform.clone());
        let folder = tempfile::tempdir().unwrap();
        Self { folder, tar, config, layer_type: media_type::LAYER_GZIP, platform }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn blob(&self, media_type: &str, bytes: &[u8]) -> Descriptor {
        let descriptor = Descriptor::of(media_type, bytes);
        let folder = self.path().join("blobs/sha256");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(descriptor.digest.hex()), bytes).unwrap();
        descriptor
    }

    fn layer(&self) -> Descriptor {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&self.tar).unwrap();
        self.blob(self.layer_type, &gzip.finish().unwrap())
    }

    fn manifest(&self) -> Manifest {
        let config = self.blob(media_type::CONFIG, &self.config.to_bytes());
        Manifest::new(config, vec![self.layer()])
    }

    fn write(&self, manifest: &Manifest) -> Descriptor {
        let descriptor = self.blob(media_type::MANIFEST, &manifest.to_bytes());
        self.write_index(vec![Descriptor { platform: self.platform.clone(), ..descriptor }])
    }

    fn write_index(&self, manifests: Vec<Descriptor>) -> Descriptor {
        let mut index = self.blob(media_type::INDEX, &Index::new(manifests).to_bytes());
        index.annotations.insert(REF_NAME.into(), "v1".into());
        self.write_layout(vec![index.clone()]);
        index
    }

    fn write_layout(&self, manifests: Vec<Descriptor>) {
        fs::write(self.path().join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        fs::write(self.path().join("index.json"), Index::new(manifests).to_bytes()).unwrap();
    }

    fn remove(&self, blob: &Descriptor) {
        fs::remove_file(self.path().join("blobs/sha256").join(blob.digest.hex())).unwrap();
    }

    fn overwrite(&self, blob: &Descriptor, bytes: &[u8]) {
        fs::write(self.path().join("blobs/sha256").join(blob.digest.hex()), bytes).unwrap();
    }

    fn check(&self) -> Validation {
        let layout = Layout::open(self.path()).expect("layout");
        let mut validator = Validator::new(&layout);
        validator.image("v1", layout.find(None).expect("one image")).expect("readable");
        validator.finish()
    }

    /// The findings in words, with digests left out.
    fn findings(&self) -> Vec<String> {
        let without_digests = |text: String| {
            let words = text.split(' ').map(|word| if word.starts_with("sha256:") { "DIGEST" } else { word });
            words.collect::<Vec<_>>().join(" ")
        };
        self.check().findings.iter().map(|finding| without_digests(finding.to_string())).collect()
    }
}

#[test]
fn a_good_image_has_no_findings() {
    let sample = Sample::new();
    sample.write(&sample.manifest());
    let expected = Validation { blobs: 4, images: 1, absent_layers: 0, findings: Vec::new() };
    assert_eq!(sample.check(), expected);
}

#[test]
fn each_thing_that_is_wrong_is_found() {
    type Break = fn(&mut Sample) -> Manifest;
    let cases: [(Break, &[&str]); 10] = [
        (
            |sample| {
                sample.config.rootfs.diff_ids[0] = Digest::of(b"other");
                sample.manifest()
            },
            &["v1 linux/amd64 layer 1: uncompressed, should have the digest DIGEST but has DIGEST"],
        ),
        (
            |sample| {
                sample.config.rootfs.diff_ids.clear();
                sample.manifest()
            },
            &[
                "v1 linux/amd64 config: has 0 diff_ids for 1 layers of the manifest",
                "v1 linux/amd64 config: tells of 1 layers in its history but has 0",
            ],
        ),
        (
            |sample| {
                sample.config.history[1].empty_layer = false;
                sample.manifest()
            },
            &["v1 linux/amd64 config: tells of 2 layers in its history but has 1"],
        ),
        (
            |sample| {
                sample.config.platform = Platform::new("linux", "arm64", None);
                sample.manifest()
            },
            &["v1 linux/amd64 config: is for linux/arm64, but the index says linux/amd64"],
        ),
        (
            |sample| {
                sample.layer_type = media_type::LAYER_ZSTD;
                sample.manifest()
            },
            &[
                "v1 linux/amd64 layer 1: has the media type \"application/vnd.oci.image.layer.v1.tar+zstd\" but should have \"gzip\"",
            ],
        ),
        (
            |sample| {
                let mut manifest = sample.manifest();
                manifest.layers[0].size += 1;
                manifest.schema_version = 1;
                manifest
            },
            &[
                "v1 linux/amd64: has the schema version 1 instead of 2",
                "v1 linux/amd64 layer 1: should have 62 bytes but has 61",
            ],
        ),
        (
            |sample| {
                let manifest = sample.manifest();
                sample.remove(&manifest.layers[0]);
                manifest
            },
            &["v1 linux/amd64 layer 1: DIGEST is missing"],
        ),
        (
            |sample| {
                let manifest = sample.manifest();
                sample.remove(&manifest.config);
                manifest
            },
            &["v1 linux/amd64 config: DIGEST is missing"],
        ),
        (
            |sample| {
                let mut manifest = sample.manifest();
                manifest.config = sample.blob(media_type::CONFIG, b"{\"os\":");
                manifest
            },
            &[
                "v1 linux/amd64 config: image config is not valid: EOF while parsing a value at line 1 column 6",
            ],
        ),
        (
            |sample| {
                let mut manifest = sample.manifest();
                manifest.media_type = Some(media_type::DOCKER_MANIFEST.into());
                manifest
            },
            &[
                "v1 linux/amd64: has the media type \"application/vnd.oci.image.manifest.v1+json\" but should have \"application/vnd.docker.distribution.manifest.v2+json\"",
            ],
        ),
    ];
    for (number, (spoil, expected)) in cases.into_iter().enumerate() {
        let mut sample = Sample::new();
        let manifest = spoil(&mut sample);
        sample.write(&manifest);
        assert_eq!(sample.findings(), expected, "case {number}");
    }
}

#[test]
fn damaged_layers_are_found_wherever_the_damage_is() {
    let sample = Sample::new();
    let manifest = sample.manifest();
    sample.write(&manifest);
    let layer = &manifest.layers[0];
    let good = fs::read(sample.path().join("blobs/sha256").join(layer.digest.hex())).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x41;
        sample.overwrite(layer, &bad);
        let findings = sample.check().findings;
        let digest = |finding: &Finding| matches!(finding.problem, Problem::Digest { .. });
        assert!(findings.iter().any(digest), "byte {at}: {findings:?}");
        sample.overwrite(layer, &good[..at]);
        let findings = sample.check().findings;
        let size = |finding: &Finding| matches!(finding.problem, Problem::Size { .. });
        assert!(findings.iter().any(size), "cut at {at}: {findings:?}");
    }
}

#[test]
fn an_index_is_checked_too() {
    let sample = Sample::new();
    let manifest = sample.blob(media_type::MANIFEST, &sample.manifest().to_bytes());
    let platform =
        |platform: &Option<Platform>| Descriptor { platform: platform.clone(), ..manifest.clone() };
    sample.write_index(vec![platform(&sample.platform), platform(&sample.platform)]);
    assert_eq!(sample.findings(), ["v1 linux/amd64: is the second manifest for linux/amd64"]);

    let odd = Descriptor { media_type: "text/plain".into(), ..manifest.clone() };
    sample.write_index(vec![odd]);
    assert!(sample.findings()[0].contains("has the media type \"text/plain\""));

    sample.write_layout(vec![sample.blob(media_type::INDEX, b"[]")]);
    assert!(sample.findings()[0].starts_with("v1: image index is not valid"));
}

#[test]
fn layouts_are_read_from_directories_and_tars() {
    let sample = Sample::new();
    let root = sample.write(&sample.manifest());
    let other = tempfile::tempdir().unwrap();
    let tar = other.path().join("layout.tar");
    let mut builder = tar::Builder::new(fs::File::create(&tar).unwrap());
    builder.append_dir_all(".", sample.path()).unwrap();
    builder.finish().unwrap();
    for path in [sample.path(), &tar] {
        let layout = Layout::open(path).expect("layout");
        assert_eq!(layout.find(Some("v1")).expect("named"), &root);
        assert_eq!(layout.find(Some(&root.digest.to_string())).expect("by digest"), &root);
        assert!(matches!(layout.find(Some("v2")), Err(LayoutError::NoImage { .. })));
        let tree = read_tree(&layout, &root).expect("image");
        assert_eq!(tree.images.len(), 1);
        assert_eq!(tree.images[0].config, sample.config);
        let mut validator = Validator::new(&layout);
        validator.image("v1", &root).expect("readable");
        assert_eq!(validator.finish().findings, []);
    }
}

#[test]
fn what_is_no_layout_is_refused() {
    let sample = Sample::new();
    let open = || Layout::open(sample.path()).map(|_| ()).expect_err("no layout");
    assert!(matches!(open(), LayoutError::NoLayout { file: "oci-layout", .. }));
    fs::write(sample.path().join("oci-layout"), b"{").unwrap();
    assert!(matches!(open(), LayoutError::Json { .. }));
    fs::write(sample.path().join("oci-layout"), br#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
    assert!(matches!(open(), LayoutError::Version { .. }));
    sample.write_layout(Vec::new());
    let layout = Layout::open(sample.path()).expect("layout");
    assert!(matches!(layout.find(None), Err(LayoutError::Empty { .. })));
    let root = sample.write(&sample.manifest());
    sample.write_layout(vec![root.clone(), root.clone()]);
    let layout = Layout::open(sample.path()).expect("layout");
    assert_eq!(layout.find(None).expect("one image under two names"), &root);
    sample.write_layout(vec![root, Descriptor::of(media_type::MANIFEST, b"another")]);
    let layout = Layout::open(sample.path()).expect("layout");
    assert!(matches!(layout.find(None), Err(LayoutError::Ambiguous { .. })));
    fs::write(sample.path().join("file"), b"no tar").unwrap();
    assert!(Layout::open(&sample.path().join("file")).is_err());
}

#[test]
fn the_store_is_checked_as_a_whole() {
    let home = tempfile::tempdir().unwrap();
    let store = crate::store::Store::open(home.path()).unwrap();
    let tar = b"layer".as_slice();
    let layer = Descriptor::of(media_type::LAYER, tar);
    let mut config = ImageConfig::scratch(Platform::new("linux", "amd64", None));
    config.rootfs.diff_ids.push(Digest::of(tar));
    let put = |media_type: &str, bytes: &[u8]| {
        store.put_blob(bytes).unwrap();
        Descriptor::of(media_type, bytes)
    };
    let manifest = Manifest::new(put(media_type::CONFIG, &config.to_bytes()), vec![layer.clone()]);
    let root = put(media_type::MANIFEST, &manifest.to_bytes());
    store.name_image(&"app:1".parse().unwrap(), &root).unwrap();

    // A base's layer that nothing has read yet.
    let validation = validate_store(&store).unwrap();
    assert_eq!((validation.blobs, validation.images, validation.absent_layers), (2, 1, 1));
    assert_eq!(validation.findings, []);

    // A record of a layer that is not there is another thing.
    let key = Digest::of(b"key");
    store.put_record(crate::store::Bucket::Layers, &key, &[Some(&layer)]).unwrap();
    let missing = Problem::Missing { digest: layer.digest };
    let place = format!("record {}", key.short());
    assert_eq!(validate_store(&store).unwrap().findings, [Finding { place, problem: missing }]);

    put(media_type::LAYER, tar);
    let stray = put("text/plain", b"stray");
    assert_eq!(validate_store(&store).unwrap().findings, []);
    fs::write(store.blob_path(&stray.digest), b"strai").unwrap();
    let findings = validate_store(&store).unwrap().findings;
    let problem = Problem::Digest { expected: stray.digest, found: Digest::of(b"strai") };
    assert_eq!(findings, [Finding { place: format!("blob {}", stray.digest.short()), problem }]);
}

#[test]
fn documents_that_hold_nothing_do_not_panic() {
    let sample = Sample::new();
    for bytes in [&b""[..], b"null", b"{}", b"[]", b"\xff\xfe", b"{\"schemaVersion\":2,\"manifests\":[{}]}"] {
        for kind in [media_type::INDEX, media_type::MANIFEST, media_type::CONFIG] {
            sample.write_layout(vec![sample.blob(kind, bytes)]);
            assert_ne!(sample.check().findings, [], "{kind}");
        }
    }
    assert_eq!(canonical(&Index::new(Vec::new())).first(), Some(&b'{'));
}
