//! The same against a real registry, with an independent client as a second reader.

use imgbuild::{
    error::{Explain, Kind},
    event::Outcome,
    registry::HostSettings,
};
use oci_client::{
    client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol},
    secrets::RegistryAuth,
};

use super::*;
use crate::support::real_registry::{Options, Registry};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A client for the registry, with what it needs.
fn bench(registry: &Registry, options: Options) -> Bench {
    Bench::with(|settings| {
        if options.basic {
            let (user, password) = Registry::user();
            settings.credentials = logged_in(&registry.host(), user, password);
        }
        if let Some(ca) = registry.ca() {
            let host = HostSettings { ca: vec![ca], ..HostSettings::default() };
            settings.hosts.insert(registry.host(), host);
        }
    })
}

/// An image of two blobs, pushed; its manifest and its layer.
async fn push_image(bench: &Bench, registry: &Registry, path: &str) -> (Digest, Vec<u8>) {
    let to = repository(&registry.host(), path);
    let layer = noise(5 << 20, 11);
    let blobs = [bench.blob(b"{}"), bench.blob(&layer)];
    for blob in &blobs {
        assert_eq!(bench.client.push_blob(&to, blob, &[]).await.unwrap(), Outcome::Done);
    }
    let [config, layer_blob] = blobs.map(|blob| blob.descriptor);
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config.digest, "size": 2},
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": layer_blob.digest,
            "size": layer_blob.size,
        }],
    })
    .to_string();
    let digest = Digest::of(manifest.as_bytes());
    for reference in [to.at(digest), to.tagged("v1"), to.tagged("v2")] {
        let published = bench.client.push_manifest(&reference, MANIFEST, manifest.clone().into()).await;
        assert_eq!(published.unwrap().digest, digest);
    }
    (digest, layer)
}

async fn round_trip(options: Options) {
    let registry = Registry::start(options);
    let bench = bench(&registry, options);
    let (digest, layer) = push_image(&bench, &registry, "me/app").await;
    let from = repository(&registry.host(), "me/app");

    // Read back by another process's worth of state.
    let reader = self::bench(&registry, options);
    let found = reader.client.resolve(&from.tagged("v1")).await.unwrap().unwrap();
    assert_eq!((found.digest, found.media_type.as_str()), (digest, MANIFEST));
    assert_eq!(reader.client.resolve(&from.tagged("none")).await.unwrap(), None);
    assert_eq!(reader.client.manifest(&from.at(digest)).await.unwrap().descriptor, found);
    assert_eq!(reader.client.tags(&from).await.unwrap(), ["v1", "v2"]);
    let blob = descriptor(Digest::of(&layer), layer.len());
    assert!(reader.client.has_blob(&from, &blob).await.unwrap());
    reader.client.fetch_blob(&from, &blob, &reader.store).await.unwrap();
    assert_eq!(reader.store.read_blob(&blob.digest).unwrap().unwrap(), layer);

    // Pushed again, it is there; pushed beside, it is mounted.
    let again = self::bench(&registry, options);
    let same = again.blob(&layer);
    assert_eq!(again.client.push_blob(&from, &same, &[]).await.unwrap(), Outcome::Exists);
    let beside = repository(&registry.host(), "me/other");
    let outcome = again.client.push_blob(&beside, &same, std::slice::from_ref(&from)).await.unwrap();
    assert_eq!(outcome, Outcome::Mounted);
    assert!(!again.client.has_blob(&beside, &descriptor(Digest::of(b"none"), 4)).await.unwrap());

    independent_reader(&registry, options, &layer).await;
}

async fn independent_reader(registry: &Registry, options: Options, layer: &[u8]) {
    let config = ClientConfig {
        protocol: if options.tls { ClientProtocol::Https } else { ClientProtocol::Http },
        extra_root_certificates: registry
            .ca()
            .map(|data| Certificate { encoding: CertificateEncoding::Pem, data })
            .into_iter()
            .collect(),
        no_proxy: Some("localhost,127.0.0.1".to_owned()),
        ..ClientConfig::default()
    };
    let client = oci_client::Client::new(config);
    let (user, password) = Registry::user();
    let auth = if options.basic {
        RegistryAuth::Basic(user.into(), password.into())
    } else {
        RegistryAuth::Anonymous
    };
    let reference: oci_client::Reference = format!("{}/me/app:v1", registry.host()).parse().unwrap();
    let types = vec!["application/vnd.oci.image.layer.v1.tar"];
    let image = client.pull(&reference, &auth, types).await.unwrap();
    assert_eq!(image.layers.len(), 1);
    assert!(image.layers[0].data == layer);
}

#[tokio::test]
async fn in_chunks() {
    let registry = Registry::start(Options::default());
    let bench = Bench::with(|settings| {
        let host = HostSettings { chunk: Some(1 << 20), ..HostSettings::default() };
        settings.hosts.insert(registry.host(), host);
    });
    let (_, layer) = push_image(&bench, &registry, "me/app").await;
    independent_reader(&registry, Options::default(), &layer).await;
}

#[tokio::test]
async fn plain() {
    round_trip(Options::default()).await;
}

#[tokio::test]
async fn with_a_password() {
    let options = Options { basic: true, ..Options::default() };
    round_trip(options).await;
}

#[tokio::test]
async fn with_tls_and_a_password() {
    round_trip(Options { basic: true, tls: true, ..Options::default() }).await;
}

#[tokio::test]
async fn a_password_is_asked_for() {
    let registry = Registry::start(Options { basic: true, ..Options::default() });
    let bench = Bench::new();
    let blob = bench.blob(b"content");
    let error = bench.client.push_blob(&repository(&registry.host(), "a"), &blob, &[]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied);
}

#[tokio::test]
async fn an_unknown_authority_is_refused() {
    let registry = Registry::start(Options { tls: true, ..Options::default() });
    let other = Registry::start(Options { tls: true, ..Options::default() });
    let bench = Bench::with(|settings| {
        let host = HostSettings { ca: vec![other.ca().unwrap()], ..HostSettings::default() };
        settings.hosts.insert(registry.host(), host);
    });
    let error = bench.client.resolve(&repository(&registry.host(), "a").tagged("1")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Network);
    assert!(error.to_string().contains("certificate"), "{error}");
    assert_eq!(bench.retries(), [], "a certificate does not get better");
    assert!(error.hints()[0].contains("--ca FILE"), "{:?}", error.hints());
    assert!(error.hints()[1].contains("--insecure-registry"), "{:?}", error.hints());

    // Plain HTTP where TLS is asked for.
    let plain = Registry::start(Options::default());
    let bench = Bench::with(|settings| {
        let host = HostSettings { ca: vec![other.ca().unwrap()], ..HostSettings::default() };
        settings.hosts.insert(plain.host(), host);
    });
    let error = bench.client.resolve(&repository(&plain.host(), "a").tagged("1")).await.unwrap_err();
    assert!(error.hints()[0].contains("--insecure-registry"), "{error} {:?}", error.hints());
}
