//! Several caches, and what each of them gets.

use super::*;

#[tokio::test]
async fn the_first_cache_in_order_counts() {
    let folder = tempfile::tempdir().unwrap();
    let places = [directory(&folder.path().join("1")), directory(&folder.path().join("2"))];
    let machine = Machine::new();
    for (place, content) in places.iter().zip(["first", "second"]) {
        let cache = machine.to(place);
        let content = Digest::of(content.as_bytes());
        cache.put(Entry { content, ..machine.entry("a") }, Part::Between);
        cache.finish(BUDGET).await.unwrap();
    }
    machine.write(&places[1], &["b"]).await;

    let cache = machine.cache(CacheOptions { from: places.to_vec(), ..CacheOptions::default() });
    assert_eq!(cache.get(&key("a")).await.unwrap().entry.content, Digest::of(b"first"));
    let found = cache.get(&key("b")).await.unwrap();
    assert_eq!(found.place, places[1]);
}

#[tokio::test]
async fn each_cache_gets_what_its_mode_says() {
    let folder = tempfile::tempdir().unwrap();
    let places = [directory(&folder.path().join("min")), directory(&folder.path().join("max"))];
    let to = vec![Target { mode: Mode::Min, ..target(&places[0]) }, target(&places[1])];
    let machine = Machine::new();
    let cache = machine.cache(CacheOptions { to, ..CacheOptions::default() });
    assert!(cache.writes(Part::Between) && cache.writes(Part::Image) && !cache.reads());
    // What is put twice is written once, and a step may turn out to be the image's later.
    for (name, part) in [
        ("between", Part::Between),
        ("image", Part::Image),
        ("both", Part::Between),
        ("both", Part::Image),
        ("both", Part::Image),
    ] {
        cache.put(machine.entry(name), part);
    }
    let exported = cache.finish(BUDGET).await.unwrap();
    assert_eq!([exported[0].written, exported[1].written], [2, 3]);
    let min = machine.from(&places[0]);
    assert!(min.get(&key("image")).await.is_some() && min.get(&key("both")).await.is_some());
    assert!(min.get(&key("between")).await.is_none());
}

#[tokio::test]
async fn what_is_not_done_in_time_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let place = directory(&folder.path().join("cache"));
    let machine = Machine::new();
    let cache = machine.to(&place);
    for number in 0..50 {
        cache.put(machine.entry(&number.to_string()), Part::Between);
    }
    let exported = cache.finish(Duration::ZERO).await.unwrap();
    assert!(exported[0].missing > 0, "{exported:?}");
    let warnings = machine.warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("were not enough"), "{warnings:?}");
}

#[tokio::test]
async fn a_blob_that_nobody_has_is_said_to_be_so() {
    let folder = tempfile::tempdir().unwrap();
    let (machine, other) = (Machine::new(), Machine::new());
    let cache = machine.to(&directory(folder.path()));
    let lost = other.entry("a");
    assert!(cache.fetch(&lost.layer.as_ref().unwrap().descriptor).await.is_err());
    cache.put(lost, Part::Between);
    cache.put(machine.entry("b"), Part::Between);
    let exported = cache.finish(BUDGET).await.unwrap();
    assert_eq!((exported[0].written, exported[0].missing), (1, 1));
    assert_eq!(machine.warnings().len(), 1);
}
