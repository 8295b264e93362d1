//! Caches in repositories.

use std::net::TcpListener;

use imgbuild::{
    error::{Explain, Kind},
    oci::Manifest,
    registry::Blob,
};

use super::*;
use crate::support::{
    real_registry::{Options, Registry},
    registry::{Auth, Fake, Fault, Mounts, Rule},
};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn tag(name: &str) -> String {
    format!("cache-{}", key(name).hex())
}

#[tokio::test]
async fn a_real_registry_takes_and_gives_entries() {
    let registry = Registry::start(Options::default());
    round_trip(&super::registry(&registry.host(), "me/cache")).await;
}

#[tokio::test]
async fn entries_are_images_that_registries_take() {
    let fake = Fake::start().await;
    let place = super::registry(&fake.host(), "me/cache");
    let machine = Machine::new();
    machine.write(&place, &["a"]).await;
    let manifest = Manifest::parse(&fake.manifest("me/cache", &tag("a")).unwrap()).unwrap();
    assert_eq!(manifest.media_type.as_deref(), Some(MANIFEST));
    assert_eq!(manifest.config.media_type, "application/vnd.oci.image.config.v1+json");
    assert_eq!(manifest.layers, [machine.entry("a").layer.unwrap().descriptor]);
    assert!(manifest.artifact_type.is_none() && manifest.subject.is_none());
    let config = fake.blob("me/cache", &manifest.config.digest).unwrap();
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 1);
    assert_eq!(config["architecture"], "unknown");
}

#[tokio::test]
async fn a_lookup_is_one_request() {
    let fake = Fake::start().await;
    let place = super::registry(&fake.host(), "me/cache");
    Machine::new().write(&place, &["a"]).await;
    let reader = Machine::new();
    let cache = reader.from(&place);
    cache.get(&key("none")).await;
    fake.take_seen();
    assert!(cache.get(&key("a")).await.is_some());
    let seen = fake.take_seen();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0].path, format!("/v2/me/cache/manifests/{}", tag("a")));
}

#[tokio::test]
async fn layers_are_linked_from_the_image_once_it_is_pushed() {
    let registry = Registry::start(Options::default());
    let (machine, host) = (Machine::new(), registry.host());
    let image: imgbuild::oci::Repository = format!("{host}/me/app").parse().unwrap();
    let place = super::registry(&host, "me/cache");
    let options =
        CacheOptions { to: vec![target(&place)], pushed_to: vec![image.clone()], ..CacheOptions::default() };
    let cache = machine.cache(options);
    let entry = machine.entry("a");
    cache.put(entry.clone(), Part::Image);

    let descriptor = entry.layer.unwrap().descriptor;
    let blob = Blob { path: machine.store.blob_path(&descriptor.digest), descriptor: descriptor.clone() };
    machine.client.push_blob(&image, &blob, &[]).await.unwrap();
    assert_eq!(cache.finish(BUDGET).await.unwrap()[0].written, 1);
    assert_eq!(machine.pushes(), [Outcome::Done, Outcome::Mounted]);

    // And the other way: what the cache has is linked to where an image goes, without having been here.
    let fresh = Machine::new();
    let found = fresh.from(&place).get(&key("a")).await.unwrap();
    let other = format!("{host}/me/other").parse().unwrap();
    let blob = Blob { path: fresh.store.blob_path(&descriptor.digest), descriptor };
    let outcome = fresh.client.push_blob(&other, &blob, &[found.repository().unwrap().clone()]).await;
    assert_eq!(outcome.unwrap(), Outcome::Mounted);
}

#[tokio::test]
async fn without_mounts_a_layer_is_sent() {
    let fake = Fake::start().await;
    fake.configure(|options| options.mounts = Mounts::Refused(405));
    let place = super::registry(&fake.host(), "me/cache");
    Machine::new().write(&place, &["a"]).await;
    let other = super::registry(&fake.host(), "me/other");

    // From one cache to the other by way of a machine that never looked into it.
    let machine = Machine::new();
    let options = CacheOptions { from: vec![place], to: vec![target(&other)], ..CacheOptions::default() };
    let cache = machine.cache(options);
    let found = cache.get(&key("a")).await.unwrap();
    cache.put(found.entry, Part::Between);
    assert_eq!(cache.finish(BUDGET).await.unwrap()[0].written, 1);
    assert_eq!(machine.warnings(), [""; 0]);
    assert!(Machine::new().from(&other).get(&key("a")).await.is_some());
}

#[tokio::test]
async fn poison_is_a_miss_that_is_told_once_and_replaced() {
    let fake = Fake::start().await;
    let place = super::registry(&fake.host(), "me/cache");
    let machine = Machine::new();
    machine.write(&place, &["a", "b"]).await;
    let good = fake.manifest("me/cache", &tag("a")).unwrap();
    let with = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut manifest: serde_json::Value = serde_json::from_slice(&good).unwrap();
        change(&mut manifest);
        manifest.to_string()
    };
    let none = serde_json::json!([]);
    let large = "x".repeat(200_000);
    for (name, bytes, words) in [
        ("another key", fake.manifest("me/cache", &tag("b")).unwrap().to_vec(), "of another key"),
        ("no JSON", b"{".to_vec(), "image manifest is not valid"),
        ("an image", with(&|m| m["annotations"] = serde_json::json!({})).into(), "of something else"),
        ("no layer", with(&|m| m["layers"] = none.clone()).into(), "does not keep"),
        ("too large", with(&|m| m["annotations"]["x"] = large.clone().into()).into(), "too large"),
        (
            "damaged",
            with(&|m| m["annotations"]["dev.imgbuild.cache.entry"] = "{}".into()).into(),
            "not understood",
        ),
    ] {
        fake.put_manifest("me/cache", &tag("a"), MANIFEST, bytes);
        let reader = Machine::new();
        let cache = reader.from(&place);
        assert_eq!(cache.get(&key("a")).await, None, "{name}");
        assert_eq!(cache.get(&key("a")).await, None, "{name}");
        let warnings = reader.warnings();
        assert!(warnings.len() == 1 && warnings[0].contains(words), "{name}: {warnings:?}");
        assert!(cache.get(&key("b")).await.is_some(), "{name}: other entries are fine");

        assert_eq!(machine.write(&place, &["a"]).await.written, 1, "{name}");
        assert!(Machine::new().from(&place).get(&key("a")).await.is_some(), "{name}");
    }
}

#[tokio::test]
async fn a_blob_that_is_another_does_not_come_in() {
    let fake = Fake::start().await;
    let place = super::registry(&fake.host(), "me/cache");
    Machine::new().write(&place, &["a"]).await;
    fake.configure(|options| options.corrupt = true);
    let reader = Machine::new();
    let cache = reader.from(&place);
    let found = cache.get(&key("a")).await.unwrap();
    let error = cache.fetch(&found.entry.layer.unwrap().descriptor).await.unwrap_err();
    assert!(error.to_string().contains("digest should be"), "{error}");
    assert_eq!(reader.store.blobs().unwrap(), []);
}

#[tokio::test]
async fn a_cache_that_refuses_or_fails_is_told_of_once_and_left_alone() {
    let fake = Fake::start().await;
    let place = super::registry(&fake.host(), "me/cache");
    Machine::new().write(&place, &["a"]).await;

    for (status, tries) in [(403, 1), (500, 3), (503, 3)] {
        fake.inject(Rule::status("GET", "/manifests/", status).times(tries));
        let reader = Machine::new();
        let cache = reader.from(&place);
        assert_eq!(cache.get(&key("a")).await, None);
        fake.take_seen();
        assert_eq!(cache.get(&key("a")).await, None);
        assert_eq!(fake.take_seen().len(), 0, "{status}: it is asked no more");
        let warnings = reader.warnings();
        assert!(warnings.len() == 1 && warnings[0].contains("goes on without"), "{status}: {warnings:?}");
    }

    fake.configure(|options| options.auth = Auth::Basic("me", "secret"));
    let reader = Machine::new();
    let cache = reader.from(&place);
    assert_eq!(cache.get(&key("a")).await, None);
    assert!(reader.warnings()[0].contains("401"), "{:?}", reader.warnings());

    // Nobody is there at all.
    let host = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let reader = Machine::new();
    let cache = reader.from(&super::registry(&host, "me/cache"));
    assert_eq!(cache.get(&key("a")).await, None);
    assert_eq!(reader.warnings().len(), 1);
}

#[tokio::test]
async fn a_cache_that_may_not_be_written_is_no_failure_unless_asked_for() {
    let registry = Registry::start(Options { basic: true, ..Options::default() });
    let place = super::registry(&registry.host(), "me/cache");
    let machine = Machine::new();
    let cache = machine.to(&place);
    cache.put(machine.entry("a"), Part::Between);
    cache.put(machine.entry("b"), Part::Between);
    let exported = cache.finish(BUDGET).await.unwrap();
    assert_eq!((exported[0].written, exported[0].missing), (0, 2));
    let warnings = machine.warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("401"), "{warnings:?}");

    let strict = Target { ignore_error: false, ..target(&place) };
    let cache = machine.cache(CacheOptions { to: vec![strict], ..CacheOptions::default() });
    cache.put(machine.entry("a"), Part::Between);
    let error = cache.finish(BUDGET).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied);
    assert!(error.hints()[0].contains("imgbuild login"), "{:?}", error.hints());
}

#[tokio::test]
async fn a_writer_beside_us_on_immutable_tags_is_fine() {
    let fake = Fake::start().await;
    let place = super::registry(&fake.host(), "me/cache");
    Machine::new().write(&place, &["a"]).await;
    fake.configure(|options| options.immutable = true);
    // As if the other was written between the question and the answer.
    fake.inject(Rule::new("GET", &tag("a"), Fault::Answer(404, vec![], "")));
    let machine = Machine::new();
    let cache = machine.to(&place);
    cache.put(Entry { content: Digest::of(b"other"), ..machine.entry("a") }, Part::Between);
    cache.finish(BUDGET).await.unwrap();
    assert_eq!(machine.warnings(), [""; 0]);
}
