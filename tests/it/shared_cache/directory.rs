//! Caches in directories.

use std::fs;

use super::*;

fn at(folder: &TempDir) -> Place {
    directory(&folder.path().join("made/for/it"))
}

#[tokio::test]
async fn a_directory_takes_and_gives_entries() {
    let folder = tempfile::tempdir().unwrap();
    round_trip(&at(&folder)).await;
    let left = fs::read_dir(folder.path().join("made/for/it/tmp")).unwrap().count();
    assert_eq!(left, 0, "nothing half-written is left");
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let reader = Machine::new();
    assert_eq!(reader.from(&at(&folder)).get(&key("a")).await, None);
    assert_eq!(reader.warnings(), [""; 0]);
    assert!(!folder.path().join("made").exists());
}

#[tokio::test]
async fn damage_is_a_miss_that_the_next_writer_mends() {
    let folder = tempfile::tempdir().unwrap();
    let (place, root) = (at(&folder), folder.path().join("made/for/it"));
    let machine = Machine::new();
    machine.write(&place, &["a", "b"]).await;
    let entry = |name: &str| root.join("entries").join(format!("{}.json", key(name).hex()));
    let digest = machine.entry("a").layer.unwrap().descriptor.digest;
    let blob = root.join("blobs/sha256").join(digest.hex());
    let entry_of_b = fs::read(entry("b")).unwrap();

    for (name, path, bytes, told) in [
        ("cut", entry("a"), Some(&b"{\"version\":1,"[..]), true),
        ("another's", entry("a"), Some(&entry_of_b), true),
        ("too large", entry("a"), Some(&[b' '; 70_000]), true),
        ("gone", entry("a"), None, false),
        ("its blob is cut", blob.clone(), Some(b"short"), false),
        ("its blob is gone", blob.clone(), None, false),
    ] {
        match bytes {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let reader = Machine::new();
        assert_eq!(reader.from(&place).get(&key("a")).await, None, "{name}");
        assert_eq!(reader.warnings().len(), usize::from(told), "{name}: {:?}", reader.warnings());
        assert_eq!(machine.write(&place, &["a"]).await.written, 1, "{name}");
        assert!(reader.from(&place).get(&key("a")).await.is_some(), "{name}");
    }

    // Of the right size, it is only seen when it is fetched.
    let size = fs::metadata(&blob).unwrap().len() as usize;
    fs::write(&blob, vec![0; size]).unwrap();
    let reader = Machine::new();
    let cache = reader.from(&place);
    let found = cache.get(&key("a")).await.unwrap();
    cache.fetch(&found.entry.layer.unwrap().descriptor).await.unwrap_err();
    assert_eq!(reader.store.blobs().unwrap(), []);
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("made"), "a file").unwrap();
    let machine = Machine::new();
    let cache = machine.to(&at(&folder));
    cache.put(machine.entry("a"), Part::Between);
    assert_eq!(cache.finish(BUDGET).await.unwrap()[0].missing, 1);
    assert!(machine.warnings()[0].contains("done without"), "{:?}", machine.warnings());
}
