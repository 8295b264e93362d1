//! Made-up stores whose things were used at given times.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::Path,
    time::{Duration, SystemTime},
};

use super::{mark::stamp_of, *};
use crate::oci::Descriptor;

const HOUR: Duration = Duration::from_secs(3600);

struct Bench {
    home: tempfile::TempDir,
    store: Store,
}

impl Bench {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).unwrap();
        Self { home, store }
    }

    /// A blob of so many KiB, used so many hours ago.
    fn blob(&self, content: u8, kib: usize, hours: u32) -> Digest {
        let digest = self.store.put_blob(&vec![content; kib << 10]).unwrap();
        used(&self.store.blob_path(&digest), hours);
        digest
    }

    fn record(&self, bucket: Bucket, key: &Digest, value: &str, hours: u32) {
        self.store.put_record(bucket, key, &value).unwrap();
        used(&self.store.record_path(bucket, key), hours);
    }

    fn folder(&self, path: &str, kib: usize, hours: u32) -> PathBuf {
        let path = self.store.root().join(path);
        fs::create_dir_all(path.join("sub")).unwrap();
        fs::write(path.join("sub/file"), vec![1; kib << 10]).unwrap();
        File::create(stamp_of(&path)).unwrap();
        used(&stamp_of(&path), hours);
        path
    }

    fn evict(&self, limits: &Limits) -> Evicted {
        self.evict_but(&Pinned::new(), limits)
    }

    fn evict_but(&self, pinned: &Pinned, limits: &Limits) -> Evicted {
        self.store.evictor().unwrap().evict(pinned, limits).unwrap()
    }

    /// What went, as kinds and reasons.
    fn went(evicted: &Evicted) -> Vec<(StoreKind, Reason)> {
        evicted.removed.iter().map(|(entry, reason)| (entry.kind, *reason)).collect()
    }
}

fn used(path: &Path, hours_ago: u32) {
    let time = SystemTime::now() - HOUR * hours_ago;
    File::options().read(true).open(path).unwrap().set_modified(time).unwrap();
}

fn down_to(bytes: u64) -> Limits {
    Limits { max_size: Some(Cap::Bytes(bytes)), ..Limits::default() }
}

fn clear(kinds: &[StoreKind]) -> Limits {
    Limits { clear: kinds.iter().copied().collect::<BTreeSet<_>>(), ..Limits::default() }
}

#[test]
fn what_was_used_least_recently_goes_first_whatever_it_is() {
    let bench = Bench::new();
    let (old, new) = (bench.blob(1, 64, 9), bench.blob(2, 64, 2));
    let mount = bench.folder("mounts/user/abc", 64, 8);
    fs::write(mount.with_file_name("abc.lock"), "pip").unwrap();
    let tree = bench.folder(&format!("{}/user/def", bench.store.trees().display()), 64, 3);
    let total = bench.store.usage(&Pinned::new()).unwrap().total();
    // As long as all fits, nothing goes.
    assert!(bench.evict(&down_to(total)).removed.is_empty());
    let evicted = bench.evict(&down_to(total - (100 << 10)));
    let expected = [(StoreKind::Blobs, Reason::Size), (StoreKind::Mounts, Reason::Size)];
    assert_eq!(Bench::went(&evicted), expected);
    assert_eq!(evicted.removed[1].0.label.as_deref(), Some("pip"));
    assert_eq!((evicted.before, evicted.after()), (total, total - evicted.freed()));
    assert!(bench.store.blob_size(&old).is_none() && bench.store.blob_size(&new).is_some());
    assert!(!mount.exists() && !stamp_of(&mount).exists() && tree.exists());
    // The lock stays: somebody may be waiting for it.
    assert!(mount.with_file_name("abc.lock").exists());
    // It is where only whoever removes it looks.
    assert_eq!(evicted.folders.len(), 1);
    assert!(bench.store.left_behind().is_empty());
    let folder = evicted.folders[0].clone();
    drop(evicted);
    assert_eq!(bench.store.left_behind(), [folder]);
}

#[test]
fn accounts_are_exact() {
    let bench = Bench::new();
    let digest = bench.blob(1, 100, 1);
    let tree = bench.folder("contexts/abc", 100, 1);
    fs::hard_link(tree.join("sub/file"), tree.join("again")).unwrap();
    fs::hard_link(tree.join("sub/file"), bench.store.root().join("stat/third")).unwrap();
    fs::write(bench.home.path().join("stray"), vec![0; 9 << 10]).unwrap();
    let du = std::process::Command::new("du").args(["-sB1"]).arg(bench.home.path()).output().unwrap();
    let du: u64 = String::from_utf8(du.stdout).unwrap().split('\t').next().unwrap().parse().unwrap();
    let usage = bench.store.usage(&Pinned::new()).unwrap();
    // The home itself is the user's directory; its lists of files is all that differs.
    assert_eq!(usage.total(), du);
    let blob = usage.entries.iter().find(|entry| entry.id == digest.to_string()).unwrap();
    assert_eq!(blob.size, 100 << 10);
}

#[test]
fn what_is_used_stays() {
    let bench = Bench::new();
    let digests: Vec<Digest> = (0..7).map(|n| bench.blob(n, 4, 5)).collect();
    let tree = bench.folder("contexts/abc", 4, 5);
    bench.record(Bucket::Runs, &digests[0], "x", 5);
    let descriptor = Descriptor::new("a/b", digests[0], 4 << 10);
    let store = &bench.store;
    assert!(store.has_blob(&descriptor));
    assert!(store.read_blob(&digests[1]).unwrap().is_some());
    drop(store.open_blob(&digests[2]).unwrap());
    store.put_blob(&vec![3; 4 << 10]).unwrap();
    assert_eq!(store.blob_size(&digests[4]), Some(4 << 10));
    store.copy_blob(&digests[5], &mut Vec::new()).unwrap();
    assert!(store.record::<String>(Bucket::Runs, &digests[0]).unwrap().is_some());
    assert!(store.use_folder(&tree));
    for limits in [down_to(0), clear(&[StoreKind::Blobs, StoreKind::Records, StoreKind::Contexts])] {
        let evicted = bench.evict(&Limits { dry_run: true, ..limits.clone() });
        assert_eq!((evicted.removed.len(), evicted.in_use.len()), (1, 8), "{evicted:?}");
    }
    let evicted = bench.evict(&down_to(0));
    assert_eq!(evicted.removed[0].0.id, digests[6].to_string());
    assert!(digests[..6].iter().all(|digest| store.blob_size(digest).is_some()) && tree.exists());
    // For another process, too, as long as this one lives.
    let other = Bench { store: Store::open(bench.home.path()).unwrap(), home: bench.home };
    assert!(other.evict(&down_to(0)).removed.is_empty());
    // What was used before the first process began that lives is nobody's.
    drop(bench.store);
    let blobs = digests[..6].iter().map(|digest| other.store.blob_path(digest));
    blobs.for_each(|path| used(&path, 1));
    used(&stamp_of(&tree), 1);
    used(&other.store.record_path(Bucket::Runs, &digests[0]), 1);
    assert_eq!(other.evict(&down_to(0)).removed.len(), 8);
}

#[test]
fn locks_keep_mounts_and_repositories() {
    let bench = Bench::new();
    let mount = bench.folder("mounts/user/abc", 4, 5);
    let held = session::lock_file(&mount.with_file_name("abc.lock")).unwrap();
    held.lock_shared().unwrap();
    let git = bench.store.root().join("git/abc");
    let lock = bench.store.lock_folder(&git).unwrap();
    used(&git.join("lock"), 5);
    assert!(bench.evict(&down_to(0)).removed.is_empty());
    assert!(mount.exists() && git.exists());
    drop((held, lock));
    assert_eq!(bench.evict(&down_to(0)).removed.len(), 2);
    assert!(!mount.exists() && !git.exists());
}

#[test]
fn images_are_no_cache() {
    let bench = Bench::new();
    let layer = bench.blob(1, 8, 9);
    let image = Descriptor::of("a/b", &vec![1; 8 << 10]);
    bench.store.name_image(&"app:1".parse().unwrap(), &image).unwrap();
    let name = fs::read_dir(bench.store.root().join("names")).unwrap().next().unwrap().unwrap().path();
    used(&name, 9);
    used(&bench.store.blob_path(&layer), 9);
    bench.record(Bucket::Remote, &layer, "registry.example.com/app", 9);
    let other = bench.blob(2, 8, 1);
    bench.record(Bucket::Remote, &other, "registry.example.com/app", 9);
    let pinned = Pinned::from([(layer, "app:1".to_owned())]);
    let evicted = bench.evict_but(&pinned, &down_to(0));
    let expected = [(StoreKind::Records, Reason::Size), (StoreKind::Blobs, Reason::Size)];
    assert_eq!(Bench::went(&evicted), expected);
    let evicted = bench.evict_but(&pinned, &clear(&[StoreKind::Images]));
    assert_eq!(evicted.removed.len(), 3);
    // The name goes first: it never stands for what is not there.
    assert_eq!(evicted.removed[0].0.label.as_deref(), Some("docker.io/library/app:1"));
    assert!(bench.store.named_images().unwrap().is_empty());
}

#[test]
fn records_go_with_what_they_are_about() {
    let bench = Bench::new();
    let (blob, key) = (bench.blob(1, 8, 9), Digest::of(b"key"));
    // Used later than the blob, and yet of no use without it.
    bench.record(Bucket::Chunks, &blob, "table", 1);
    bench.record(Bucket::Lineage, &key, &blob.to_string(), 1);
    bench.record(Bucket::Runs, &key, &blob.to_string(), 1);
    bench.record(Bucket::Lineage, &Digest::of(b"other"), &key.to_string(), 1);
    let total = bench.store.usage(&Pinned::new()).unwrap().total();
    let dry = bench.evict(&Limits { dry_run: true, ..down_to(total - 1) });
    let evicted = bench.evict(&down_to(total - 1));
    let expected = [
        (StoreKind::Blobs, Reason::Size),
        (StoreKind::Records, Reason::Orphan),
        (StoreKind::Records, Reason::Orphan),
    ];
    assert_eq!(Bench::went(&evicted), expected);
    assert_eq!(Bench::went(&dry), expected);
    assert!(bench.store.record::<String>(Bucket::Lineage, &key).unwrap().is_none());
    assert!(bench.store.record::<String>(Bucket::Runs, &key).unwrap().is_some());
}

#[test]
fn kinds_are_cleared_and_ages_limited() {
    let bench = Bench::new();
    for kind in ["mounts/user/a", "contexts/b"] {
        bench.folder(kind, 4, 1);
    }
    bench.blob(1, 4, 48);
    let tar = bench.store.tar_path(&Digest::of(b"tar"));
    fs::write(&tar, "tar").unwrap();
    used(&tar, 24);
    let old = Limits { max_age: Some(HOUR * 30), ..Limits::default() };
    assert_eq!(Bench::went(&bench.evict(&old)), [(StoreKind::Blobs, Reason::Age)]);
    let dry = Limits { dry_run: true, ..clear(&[StoreKind::Mounts]) };
    for limits in [dry, clear(&[StoreKind::Mounts])] {
        let went = Bench::went(&bench.evict(&limits));
        assert_eq!(went, [(StoreKind::Mounts, Reason::Cleared)]);
    }
    // Nothing of the store itself.
    let evicted = bench.evict(&clear(&StoreKind::ALL));
    let cleared = evicted.removed.iter().filter(|(_, reason)| *reason == Reason::Cleared);
    let kinds: BTreeSet<_> = cleared.map(|(entry, _)| entry.kind).collect();
    assert_eq!(kinds, [StoreKind::Tars, StoreKind::Contexts].into());
    Store::open(bench.home.path()).unwrap().put_blob(b"x").unwrap();
}

#[test]
fn a_clock_that_was_set_back_evicts_nothing() {
    let bench = Bench::new();
    bench.blob(1, 4, 5);
    let other = Store::open(bench.home.path()).unwrap();
    let session = other.temporary_path().parent().unwrap().to_owned();
    let lock = File::options().write(true).open(session.join("lock")).unwrap();
    lock.set_modified(SystemTime::now() + HOUR).unwrap();
    assert!(bench.evict(&down_to(0)).removed.is_empty());
    drop(other);
    assert_eq!(bench.evict(&down_to(0)).removed.len(), 1);
}

#[test]
fn the_cap_is_a_share_of_the_disk() {
    let gb = 1_000_000_000;
    for (size, available, used, expected) in [
        // A fifth, where there is room.
        (100, 80, 5, 20),
        // A tenth of the disk stays free.
        (100, 12, 5, 7),
        (100, 5, 30, 20),
        // What others fill up does not take all.
        (100, 0, 5, 2),
    ] {
        let disk = Disk { size: size * gb, available: available * gb };
        assert_eq!(Cap::Share.bytes(disk, used * gb), expected * gb, "{size} {available} {used}");
    }
    let disk = Disk { size: 100 * gb, available: 0 };
    assert_eq!(Cap::Percent(15).bytes(disk, 0), 15 * gb);
    assert_eq!(Cap::Bytes(7).bytes(disk, 0), 7);
}

#[test]
fn eviction_is_due_once_in_a_while() {
    let bench = Bench::new();
    let due = || bench.store.is_eviction_due(HOUR).unwrap();
    assert!(!due() && !due());
    used(&bench.store.root().join("evicted"), 2);
    assert!(due() && !due());
}
