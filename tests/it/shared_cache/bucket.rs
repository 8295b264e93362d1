//! Caches in buckets, of a real server.

use std::collections::BTreeMap;

use imgbuild::{cache::Bucket, registry::Secret};

use super::*;
use crate::support::s3::S3;

fn at(server: &S3, prefix: &str) -> Place {
    let key = [("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "hunter2")];
    Place::Bucket(Box::new(Bucket {
        name: "cache".into(),
        region: "eu-west-1".into(),
        prefix: prefix.into(),
        endpoint: Some(server.url().parse().unwrap()),
        path_style: true,
        credentials: BTreeMap::from(key.map(|(name, value)| (name, Secret::new(value)))),
    }))
}

#[tokio::test]
async fn a_bucket_takes_and_gives_entries() {
    let server = S3::start();
    for prefix in ["", "teams/one"] {
        round_trip(&at(&server, prefix)).await;
    }
    let names = server.names();
    let entry = format!("entries/{}.json", key("a").hex());
    let blob = format!("blobs/sha256/{}", Machine::new().entry("a").layer.unwrap().descriptor.digest.hex());
    for name in [&entry, &blob, &format!("teams/one/{entry}"), &format!("teams/one/{blob}")] {
        assert!(names.contains(name), "{name} in {names:?}");
    }
    // Of each prefix six entries, five of them with a layer; nothing else, no list of them.
    assert_eq!(names.len(), 2 * (6 + 5), "{names:?}");
}

#[tokio::test]
async fn a_large_blob_goes_in_parts() {
    let server = S3::start();
    let place = at(&server, "");
    let machine = Machine::new();
    let (entry, blob) = machine.large_entry();
    let cache = machine.to(&place);
    cache.put(entry.clone(), Part::Between);
    assert_eq!(cache.finish(BUDGET).await.unwrap()[0].written, 1, "{:?}", machine.warnings());

    let reader = Machine::new();
    let cache = reader.from(&place);
    assert_eq!(cache.get(&entry.key).await.unwrap().entry, entry);
    cache.fetch(&entry.layer.unwrap().descriptor).await.unwrap();
    assert!(reader.store.read_blob(&Digest::of(&blob)).unwrap().unwrap() == blob);
}

#[tokio::test]
async fn damage_is_a_miss_that_the_next_writer_mends() {
    let server = S3::start();
    let (place, machine) = (at(&server, "p"), Machine::new());
    machine.write(&place, &["a"]).await;
    let entry = format!("/cache/p/entries/{}.json", key("a").hex());
    let layer = machine.entry("a").layer.unwrap().descriptor;
    let blob = format!("/cache/p/blobs/sha256/{}", layer.digest.hex());
    for (name, path, bytes, told) in [
        ("cut", &entry, Some(&b"{\"version\":1,"[..]), true),
        ("too large", &entry, Some(&[b' '; 70_000]), true),
        ("gone", &entry, None, false),
        ("its blob is cut", &blob, Some(b"short"), false),
        ("its blob is gone", &blob, None, false),
    ] {
        match bytes {
            Some(bytes) => server.send_body("PUT", path, bytes),
            None => server.send("DELETE", path),
        };
        let reader = Machine::new();
        assert_eq!(reader.from(&place).get(&key("a")).await, None, "{name}");
        assert_eq!(reader.warnings().len(), usize::from(told), "{name}: {:?}", reader.warnings());
        assert_eq!(machine.write(&place, &["a"]).await.written, 1, "{name}");
        assert!(reader.from(&place).get(&key("a")).await.is_some(), "{name}");
    }

    // Of the right size, it is only seen when it is fetched; one that went meanwhile, too.
    let reader = Machine::new();
    let cache = reader.from(&place);
    cache.get(&key("a")).await.unwrap();
    server.send_body("PUT", &blob, &vec![0; layer.size as usize]);
    let error = cache.fetch(&layer).await.unwrap_err();
    assert!(error.to_string().contains("digest"), "{error}");
    server.send("DELETE", &blob);
    let error = cache.fetch(&layer).await.unwrap_err();
    assert!(error.to_string().contains("no cache has it"), "{error}");
    assert_eq!(reader.store.blobs().unwrap(), []);
}

#[tokio::test]
async fn a_bucket_that_refuses_or_is_not_there_is_told_of_once() {
    let (open, closed) = (S3::start(), S3::start_closed());
    let Place::Bucket(mut absent) = at(&open, "") else { unreachable!() };
    absent.name = "nobodys".into();
    let mut nobody = absent.clone();
    nobody.endpoint = Some("http://127.0.0.1:1".parse().unwrap());
    for (place, words) in [
        (at(&closed, ""), "InvalidAccessKeyId"),
        (Place::Bucket(absent), "NoSuchBucket"),
        (Place::Bucket(nobody), "refused"),
    ] {
        let reader = Machine::new();
        let cache = reader.from(&place);
        assert_eq!(cache.get(&key("a")).await, None);
        assert_eq!(cache.get(&key("b")).await, None);
        let warnings = reader.warnings();
        assert!(warnings.len() == 1 && warnings[0].contains("goes on without"), "{warnings:?}");
        assert!(warnings[0].contains(words) && !warnings[0].contains("hunter2"), "{warnings:?}");

        let writer = Machine::new();
        let cache = writer.to(&place);
        cache.put(writer.entry("a"), Part::Between);
        assert_eq!(cache.finish(BUDGET).await.unwrap()[0].missing, 1);
        let warnings = writer.warnings();
        assert!(warnings.len() == 1 && warnings[0].contains(words), "{warnings:?}");
    }
}

#[test]
fn a_second_machine_builds_from_what_the_first_has_left() {
    let server = S3::start();
    let flag = format!(
        "type=s3,bucket=cache,region=eu-west-1,prefix=ci,endpoint_url={},use_path_style=true",
        server.url()
    );
    let credentials = [("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "hunter2")];
    two_machines(&flag, &credentials);
    assert!(server.names().iter().all(|name| name.starts_with("ci/")), "{:?}", server.names());
}

#[test]
fn keys_come_from_profiles_too() {
    let server = S3::start();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config");
    let keys = "aws_access_key_id = AKIA\naws_secret_access_key = hunter2\n";
    std::fs::write(&config, format!("[profile ci]\n{keys}")).unwrap();
    let flag = format!(
        "type=s3,bucket=cache,region=eu-west-1,prefix=ci,endpoint_url={},use_path_style=true",
        server.url()
    );
    let credentials = [("AWS_PROFILE", "ci"), ("AWS_CONFIG_FILE", config.to_str().unwrap())];
    two_machines(&flag, &credentials);
}
