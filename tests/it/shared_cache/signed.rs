//! Signed entries, and those that are not.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::TestContext;

/// A step that says something else each time, so that it shows where its result is from.
const DOCKERFILE: &str = "FROM bb\nRUN cat /proc/sys/kernel/random/uuid > /uuid\n";

struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let scene = Self { folder: tempfile::tempdir().unwrap() };
        for name in ["ours", "theirs"] {
            let made = TestContext::new().run(&["cache", "keygen", &scene.at(name)]);
            assert!(made.status.success());
        }
        scene
    }

    fn at(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Builds on a new machine; gives the image, and what was told.
    #[track_caller]
    fn build(&self, way: &str, arguments: &[&str], variables: &[(&str, &str)]) -> (String, String) {
        let ctx = TestContext::new();
        ctx.with_busybox().write("Dockerfile", DOCKERFILE).write(".dockerignore", "base\n");
        let end = if way == "from" { "src" } else { "dest" };
        let cache = format!("--cache-{way}=type=local,{end}={}", self.at("cache"));
        let mut command = ctx.command(&["build", "--progress", "plain", &cache, "."]);
        let done = command.args(arguments).envs(variables.iter().copied()).output().unwrap();
        assert!(done.status.success(), "{}", ctx.describe(&done));
        let told = String::from_utf8(done.stderr).unwrap();
        let image = told.lines().find(|line| line.starts_with("built ")).unwrap().to_owned();
        (image, told)
    }

    fn entries(&self) -> Vec<std::path::PathBuf> {
        let folder = Path::new(&self.at("cache")).join("entries");
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

#[test]
fn keys_are_made_for_one_and_shown_to_all() {
    let scene = Scene::new();
    let mode = |name: &str| fs::metadata(scene.at(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("ours"), mode("ours.pub")), (0o600, 0o644));
    let public = fs::read_to_string(scene.at("ours.pub")).unwrap();
    assert!(public.starts_with("-----BEGIN PUBLIC KEY-----\n"), "{public}");
    let again = TestContext::new().run(&["cache", "keygen", &scene.at("ours")]);
    assert_eq!(again.status.code(), Some(2));
    assert_eq!(fs::read_to_string(scene.at("ours.pub")).unwrap(), public);
}

#[test]
fn only_what_a_trusted_key_has_signed_is_used() {
    let scene = Scene::new();
    let (ours, theirs) = (scene.at("ours.pub"), scene.at("theirs.pub"));
    let (image, _) = scene.build("to", &["--cache-sign-key", &scene.at("ours")], &[]);
    for (arguments, variables, used) in [
        (vec![], vec![], true),
        (vec!["--cache-trust-key", &ours], vec![], true),
        (vec!["--cache-trust-key", &theirs, "--cache-trust-key", &ours], vec![], true),
        (vec![], vec![("IMGBUILD_CACHE_TRUST_KEY", &*ours)], true),
        (vec!["--cache-trust-key", &theirs], vec![], false),
        (vec![], vec![("IMGBUILD_CACHE_TRUST_KEY", &*theirs)], false),
        // Whoever signs with another key signs nothing that came from here.
        (vec!["--cache-sign-key", &scene.at("theirs")], vec![], false),
    ] {
        let (found, told) = scene.build("from", &arguments, &variables);
        assert_eq!(found == image, used, "{arguments:?}: {told}");
        assert_eq!(told.matches("warning: ").count(), usize::from(!used), "{arguments:?}: {told}");
        assert_eq!(told.contains("not signed by a key that is trusted"), !used, "{told}");
    }
    // A key in a variable.
    let text = fs::read_to_string(scene.at("theirs")).unwrap();
    let (replaced, _) = scene.build("to", &["--cache-sign-key=env:KEY"], &[("KEY", &text)]);
    assert_ne!(replaced, image);
    let (found, told) = scene.build("from", &["--cache-trust-key", &theirs], &[]);
    assert_eq!(found, replaced, "what nobody would believe was written anew: {told}");
}

#[test]
fn an_entry_that_was_changed_is_not_used() {
    let scene = Scene::new();
    let ours = scene.at("ours.pub");
    let (image, _) = scene.build("to", &["--cache-sign-key", &scene.at("ours")], &[]);
    // Somebody has the cache tell of another tar: well-formed, and signed once.
    for path in scene.entries() {
        let text = fs::read_to_string(&path).unwrap();
        let Some((_, rest)) = text.split_once("\"content\":\"sha256:") else { continue };
        fs::write(&path, text.replace(&rest[..64], &"7".repeat(64))).unwrap();
    }
    let (found, told) = scene.build("from", &["--cache-trust-key", &ours], &[]);
    assert_ne!(found, image);
    assert_eq!(told.matches("warning: ").count(), 1, "{told}");
    // Or one that nobody signed.
    for path in scene.entries() {
        let mut text: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        text.as_object_mut().unwrap().remove("signature");
        fs::write(&path, serde_json::to_vec(&text).unwrap()).unwrap();
    }
    let (_, told) = scene.build("from", &["--cache-trust-key", &ours], &[]);
    assert!(told.contains("it is not signed") && !told.contains(" CACHED"), "{told}");
}

#[test]
fn keys_that_are_none_are_told_of_before_anything_is_built() {
    let scene = Scene::new();
    let ctx = TestContext::new();
    ctx.with_busybox().write("Dockerfile", DOCKERFILE);
    fs::write(scene.at("none"), "nothing").unwrap();
    for (flag, value) in [
        ("--cache-sign-key", scene.at("none")),
        ("--cache-sign-key", scene.at("ours.pub")),
        ("--cache-trust-key", scene.at("ours")),
        ("--cache-trust-key", "env:UNSET".to_owned()),
    ] {
        let done = ctx.run(&["build", "--cache-to", "type=local,dest=c", flag, &value, "."]);
        let told = ctx.describe(&done);
        assert!(!done.status.success() && told.contains("key") && !told.contains("RUN"), "{told}");
        assert!(!told.contains("PRIVATE"), "{told}");
    }
}
