//! What the store does with damage and with lies.

use std::fs;

use super::*;
use crate::oci::Descriptor;

fn store() -> (tempfile::TempDir, Store) {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).unwrap();
    (home, store)
}

#[test]
fn a_wrong_size_does_not_remove_a_blob() {
    let (_home, store) = store();
    let digest = store.put_blob(b"content").unwrap();
    assert!(!store.has_blob(&Descriptor::new("a/b", digest, 3)));
    assert!(store.has_blob(&Descriptor::new("a/b", digest, 7)));
}

#[test]
fn damaged_blobs_heal() {
    let (_home, store) = store();
    let digest = store.put_blob(b"content").unwrap();
    let damage = || fs::write(store.blob_path(&digest), b"damaged").unwrap();
    damage();
    store.put_blob(b"content").unwrap();
    let mut copy = Vec::new();
    store.copy_blob(&digest, &mut copy).unwrap();
    assert_eq!(copy, b"content");
    damage();
    let Err(CopyError::Store(error)) = store.copy_blob(&digest, &mut Vec::new()) else { panic!("an error") };
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(error.hints()[0].contains("build again"));
    assert!(!store.blob_path(&digest).exists());
}

#[test]
fn only_images_that_are_here_get_names() {
    let (_home, store) = store();
    let name = "app:1".parse().unwrap();
    let image = Descriptor::of("a/b", b"manifest");
    assert!(store.name_image(&name, &image).is_err());
    store.put_blob(b"manifest").unwrap();
    store.name_image(&name, &image).unwrap();
    assert_eq!(store.named_image(&name).unwrap(), Some(image));
}

#[test]
fn other_users_get_at_nothing_that_steps_left() {
    use std::os::unix::fs::PermissionsExt;
    let (_home, store) = store();
    let private = ["trees", "mounts", "logs"].map(|folder| store.root().join(folder));
    let session = store.temporary_path().parent().unwrap().to_owned();
    for folder in private.into_iter().chain([session]) {
        let mode = fs::metadata(&folder).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} {mode:o}", folder.display());
    }
}

#[test]
fn trees_are_trusted_in_the_boot_that_they_were_made_in() {
    let (home, store) = store();
    let tree = |boot: &str| store.root().join("trees").join(boot).join("user-host/abc");
    let hold = |boot: &str| store.hold_trees_of(boot).unwrap();
    let first = hold("one");
    fs::create_dir_all(tree("one").join("etc")).unwrap();
    drop([first, hold("one")]);
    drop([hold("one"), hold("one")]);
    assert!(tree("one").exists() && store.left_behind().is_empty());
    // Another machine, of another boot, does not touch what is in use.
    let (first, second) = (hold("one"), hold("two"));
    fs::create_dir_all(tree("two")).unwrap();
    assert!(tree("one").exists() && tree("two").exists());
    // After a restart it may be there, with files that have lost their content.
    drop(first);
    drop(hold("two"));
    assert!(!tree("one").exists() && tree("two").exists());
    let [left] = &store.left_behind()[..] else { panic!("one directory") };
    assert!(left.join("user-host/abc/etc").exists());
    drop(second);
    // Opening the store does not remove it: that may take long.
    let left = left.clone();
    let opened = Store::open(home.path()).unwrap();
    assert_eq!(opened.left_behind(), [left]);
}
