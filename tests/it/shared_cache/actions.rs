//! Caches in the service of GitHub Actions.

use imgbuild::{cache, registry::Secret};

use super::*;
use crate::support::actions::{Service, TOKEN};

fn at(service: &Service, scope: &str, token: &str) -> Place {
    let (url, token) = (service.url().parse().unwrap(), Secret::new(token));
    Place::Actions(cache::Service { url, token, scope: scope.into() })
}

fn blob_of(entry: &Entry) -> Descriptor {
    entry.layer.as_ref().unwrap().descriptor.clone()
}

#[tokio::test]
async fn the_service_takes_and_gives_entries() {
    let service = Service::start().await;
    let place = at(&service, "app", TOKEN);
    round_trip(&place).await;
    // Of another scope, nothing is found, though blobs are there for both.
    let reader = Machine::new();
    assert_eq!(reader.from(&at(&service, "other", TOKEN)).get(&key("a")).await, None);
    let blobs = service.keys().len();
    Machine::new().write(&at(&service, "other", TOKEN), &["a"]).await;
    assert_eq!(service.keys().len(), blobs + 1, "{:?}", service.keys());
}

#[tokio::test]
async fn a_large_blob_goes_in_blocks() {
    let service = Service::start().await;
    let (place, machine) = (at(&service, "app", TOKEN), Machine::new());
    let (entry, blob) = machine.large_entry();
    let cache = machine.to(&place);
    cache.put(entry.clone(), Part::Between);
    assert_eq!(cache.finish(BUDGET).await.unwrap()[0].written, 1, "{:?}", machine.warnings());
    let seen = service.take_seen();
    let puts = |words: &str| seen.iter().filter(|line| line.contains(words)).count();
    assert_eq!((puts("comp=block&"), puts("comp=blocklist")), (3, 1), "{seen:?}");

    let reader = Machine::new();
    let cache = reader.from(&place);
    assert_eq!(cache.get(&entry.key).await.unwrap().entry, entry);
    cache.fetch(&blob_of(&entry)).await.unwrap();
    assert!(reader.store.read_blob(&Digest::of(&blob)).unwrap().unwrap() == blob);
}

#[tokio::test]
async fn what_is_damaged_or_evicted_is_a_miss_that_the_next_writer_mends() {
    let service = Service::start().await;
    let (place, machine) = (at(&service, "app", TOKEN), Machine::new());
    let entry = machine.entry("a");
    let blob = blob_of(&entry);
    machine.write(&place, &["a"]).await;

    // A job has died with the key of the blob, after the blob was evicted.
    let (version, reserved) = (service.version(), format!("imgbuild-1-blob-sha256-{}-0", blob.digest.hex()));
    service.change(&blob.digest.hex(), None);
    service.reserve(&reserved, &version);
    assert_eq!(machine.from(&place).get(&key("a")).await, None);
    assert_eq!(machine.write(&place, &["a"]).await.written, 1);
    assert_eq!(machine.from(&place).get(&key("a")).await.unwrap().entry, entry);

    // An entry that says something else stands behind the one that came later.
    let other = Entry { content: Digest::of(b"other"), ..entry.clone() };
    service.change(&key("a").hex(), Some(b"{\"version\":1,"));
    assert_eq!(Machine::new().from(&place).get(&key("a")).await, None);
    let cache = machine.to(&place);
    cache.put(other.clone(), Part::Between);
    assert_eq!(cache.finish(BUDGET).await.unwrap()[0].written, 1);
    assert_eq!(machine.from(&place).get(&key("a")).await.unwrap().entry, other);

    // What is another blob does not come in.
    service.change(&blob.digest.hex(), Some(&vec![0; blob.size as usize]));
    let reader = Machine::new();
    let cache = reader.from(&place);
    cache.get(&key("a")).await.unwrap();
    let error = cache.fetch(&blob).await.unwrap_err();
    assert!(error.to_string().contains("digest"), "{error}");
    assert_eq!(reader.store.blobs().unwrap(), []);
}

#[tokio::test]
async fn failures_that_pass_are_waited_out() {
    let service = Service::start().await;
    let place = at(&service, "app", TOKEN);
    for (words, status, times) in [
        ("CreateCacheEntry", 503, 2),
        ("PUT /blob", 500, 2),
        ("Finalize", 429, 1),
        ("GetCacheEntry", 502, 2),
        ("GET /blob", 503, 2),
    ] {
        service.fail(words, status, times);
        Machine::new().write(&place, &[words]).await;
        let reader = Machine::new();
        let cache = reader.from(&place);
        service.fail(words, status, times);
        let found = cache.get(&key(words)).await.unwrap();
        cache.fetch(&blob_of(&found.entry)).await.unwrap();
        assert_eq!(reader.warnings(), [""; 0], "{words}");
    }
}

#[tokio::test]
async fn a_service_that_refuses_is_told_of_once_without_its_secrets() {
    let service = Service::start().await;
    let open = at(&service, "app", TOKEN);
    Machine::new().write(&open, &["a"]).await;
    for (token, fault, words) in [
        ("hunter3", None, "401 Unauthorized: invalid token"),
        (TOKEN, Some("GetCache"), "status 500"),
        (TOKEN, Some("GET /blob"), "status 500"),
    ] {
        service.fail(fault.unwrap_or("nothing"), 500, 100);
        let reader = Machine::new();
        let cache = reader.from(&at(&service, "app", token));
        assert_eq!(cache.get(&key("a")).await, None);
        service.take_seen();
        assert_eq!(cache.get(&key("a")).await, None);
        assert_eq!(service.take_seen(), [""; 0], "it is asked no more");
        let warnings = reader.warnings();
        assert!(warnings.len() == 1 && warnings[0].contains(words), "{warnings:?}");
        assert!(!warnings[0].contains("hunter") && !warnings[0].contains("sig="), "{warnings:?}");
    }
    service.fail("nothing", 500, 0);
    let writer = Machine::new();
    let cache = writer.to(&at(&service, "app", "hunter3"));
    cache.put(writer.entry("b"), Part::Between);
    assert_eq!(cache.finish(BUDGET).await.unwrap()[0].missing, 1);
    assert!(writer.warnings()[0].contains("done without"), "{:?}", writer.warnings());
}

#[tokio::test]
async fn a_second_machine_builds_from_what_the_first_has_left() {
    let service = Service::start().await;
    let url = service.url();
    let building = tokio::task::spawn_blocking(move || {
        two_machines("type=gha", &[("ACTIONS_RESULTS_URL", &url), ("ACTIONS_RUNTIME_TOKEN", TOKEN)]);
    });
    building.await.unwrap();
    assert!(service.keys().iter().any(|key| key.starts_with("imgbuild-1-entry-imgbuild-")));
}
