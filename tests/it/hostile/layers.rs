//! Base images and archives that want out of the place they are unpacked in.

use std::{fs, path::Path};

use imgbuild::oci::Digest;
use serde_json::json;

use crate::support::cli::TestContext;

/// A member of a tar: type, path, target of a link, content. Nothing of it is made proper.
pub(super) type Member<'a> = (u8, &'a str, &'a str, &'a str);

pub(super) fn tar(members: &[Member<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (kind, path, link, content) in members {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(tar::EntryType::new(*kind));
        header.set_mode(if *kind == b'5' { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// An OCI layout with one image of these layers.
pub(super) fn layout(at: &Path, layers: &[Vec<u8>]) {
    let put = |bytes: &[u8], media_type: &str| {
        let digest = Digest::of(bytes);
        let blobs = at.join("blobs/sha256");
        fs::create_dir_all(&blobs).unwrap();
        fs::write(blobs.join(digest.hex()), bytes).unwrap();
        json!({"mediaType": media_type, "digest": digest.to_string(), "size": bytes.len()})
    };
    let kind = |name: &str| format!("application/vnd.oci.image.{name}");
    let diff_ids: Vec<String> = layers.iter().map(|layer| Digest::of(layer).to_string()).collect();
    let config = json!({"architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    let manifest = json!({"schemaVersion": 2, "mediaType": kind("manifest.v1+json"),
        "config": put(config.to_string().as_bytes(), &kind("config.v1+json")),
        "layers": layers.iter().map(|layer| put(layer, &kind("layer.v1.tar"))).collect::<Vec<_>>()});
    let mut entry = put(manifest.to_string().as_bytes(), &kind("manifest.v1+json"));
    entry["platform"] = json!({"architecture": "amd64", "os": "linux"});
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": "1"});
    let index = json!({"schemaVersion": 2, "mediaType": kind("index.v1+json"), "manifests": [entry]});
    fs::write(at.join("index.json"), index.to_string()).unwrap();
    fs::write(at.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

/// Each way that a hostile layer can be read on: as a whole to a directory, by a copy, and, its tar alone, as an archive.
const WAYS: [(&str, &str); 3] = [
    ("whole", "from: evil\n"),
    ("copy", "from: scratch\nlayers:\n  - {copy: /, from: evil, to: /}\n"),
    ("archive", "from: scratch\nlayers:\n  - {unpack: evil.tar, to: /}\n"),
];

/// Builds from the layer in each way, into `out` beside a directory that has to stay as it is. Exit codes and messages.
fn tried(members: &[Member<'_>]) -> Vec<(&'static str, i32, String)> {
    let try_one = |(name, spec): (&'static str, &str)| {
        let ctx = TestContext::new();
        let layer = tar(members);
        layout(&ctx.home().join("evil"), std::slice::from_ref(&layer));
        ctx.write("outside/precious", "as it was").write("evil.tar", &layer).write("imgbuild.yaml", spec);
        let context = format!("evil=oci-layout://{}:1", ctx.home().join("evil").display());
        let arguments = ["build", "--build-context", &context, "-o", "type=local,dest=out"];
        let done = ctx.run(&arguments);
        let outside = ctx.project().join("outside");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1, "{name}: {members:?}");
        assert_eq!(fs::read_to_string(outside.join("precious")).unwrap(), "as it was", "{name}: {members:?}");
        assert!(!Path::new("/imgbuild-was-here").exists(), "{name}: {members:?}");
        let said = ctx.filter(&String::from_utf8_lossy(&done.stderr));
        if done.status.code() == Some(0) {
            stays_inside(&ctx.project().join("out"));
        } else {
            assert!(!ctx.project().join("out/h").exists(), "{name}: {said}");
        }
        (name, done.status.code().unwrap_or(-1), said)
    };
    WAYS.into_iter().map(try_one).collect()
}

/// No file of the directory is one of outside of it.
fn stays_inside(out: &Path) {
    let mut ahead = vec![out.to_owned()];
    while let Some(next) = ahead.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let kind = path.symlink_metadata().unwrap();
            if kind.is_dir() {
                ahead.push(path);
            } else if kind.is_file() {
                assert_ne!(fs::read(&path).unwrap(), b"as it was", "{}", path.display());
            }
        }
    }
}

pub(super) const FILE: u8 = b'0';
pub(super) const HARD: u8 = b'1';
pub(super) const LINK: u8 = b'2';
pub(super) const CHAR: u8 = b'3';
pub(super) const DIR: u8 = b'5';

#[test]
fn layers_that_lead_out_are_refused() {
    let cases: [(&[Member<'_>], &str); 9] = [
        (&[(FILE, "../outside/precious", "", "evil")], "leads out of the root directory"),
        (&[(FILE, "a/../../outside/precious", "", "evil")], "leads out of the root directory"),
        (&[(HARD, "h", "../outside/precious", "")], "leads out of the root directory"),
        (&[(HARD, "h", "/../outside/precious", "")], "leads out of the root directory"),
        (&[(DIR, "d", "", ""), (HARD, "h", "d", "")], "is a hard link to a directory"),
        (&[(FILE, "f", "", ""), (FILE, "f/g", "", "")], "lies below an entry that is no directory"),
        (
            &[(LINK, "a", "b", ""), (LINK, "b", "a", ""), (FILE, "a/f", "", "")],
            "leads through more than 255 symbolic links",
        ),
        (&[(LINK, "l", "", "")], "is a symbolic link to nothing"),
        (&[(FILE, ".wh...", "", "")], "is a whiteout of nothing"),
    ];
    for (members, expected) in cases {
        for (way, code, said) in tried(members) {
            assert!(code == 1 && said.contains(expected), "{way} {members:?}: {code} {said}");
        }
    }
}

#[test]
fn what_a_layer_calls_absolute_is_below_the_root() {
    let cases: [&[Member<'_>]; 4] = [
        &[(FILE, "/imgbuild-was-here", "", "evil")],
        &[(LINK, "out", "../outside", ""), (FILE, "out/precious", "", "evil")],
        &[(LINK, "out", "/", ""), (FILE, "out/imgbuild-was-here", "", "evil")],
        &[(LINK, "out", "../../../..", ""), (FILE, "out/imgbuild-was-here", "", "evil")],
    ];
    for members in cases {
        for (way, code, said) in tried(members) {
            assert_eq!(code, 0, "{way} {members:?}: {said}");
        }
    }
}

#[test]
fn links_to_the_outside_are_copied_as_links() {
    let cases: [&[Member<'_>]; 3] = [
        &[(LINK, "out", "../outside/precious", "")],
        &[(LINK, "out", "../outside/precious", ""), (HARD, "h", "out", "")],
        &[(LINK, "out", "../outside", ""), (DIR, "out", "", ""), (FILE, "out/precious", "", "evil")],
    ];
    for members in cases {
        for (way, code, said) in tried(members) {
            assert_eq!(code, 0, "{way} {members:?}: {said}");
        }
    }
}

#[test]
fn an_overlay_mark_in_disguise_does_no_harm() {
    for (way, code, said) in tried(&[(FILE, "f", "", ""), (CHAR, "hole", "", ""), (HARD, "h2", "hole", "")]) {
        assert!(matches!(code, 0 | 1), "{way}: {said}");
    }
}

#[test]
fn damaged_layers_are_told_of() {
    let whole = tar(&[(FILE, "f", "", &"content ".repeat(200))]);
    let mut header = whole.clone();
    header[3] ^= 0xff;
    let mut huge = whole.clone();
    huge[124..136].copy_from_slice(b"77777777777\0");
    let sum: u32 = (0..512).map(|at| if (148..156).contains(&at) { 32 } else { u32::from(huge[at]) }).sum();
    huge[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    for (damaged, expected) in [
        (&whole[..700], "it ends in the middle of"),
        (&header[..], "is damaged"),
        (&huge[..], "it ends in the middle of"),
    ] {
        let ctx = TestContext::new();
        layout(&ctx.home().join("evil"), &[damaged.to_vec()]);
        ctx.write("imgbuild.yaml", "from: evil\n");
        let context = format!("evil=oci-layout://{}:1", ctx.home().join("evil").display());
        let done = ctx.run(&["build", "--build-context", &context, "-o", "type=local,dest=out"]);
        let said = ctx.describe(&done);
        assert!(!done.status.success() && said.contains(expected), "{said}");
    }
}
