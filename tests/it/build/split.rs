//! Copies that are split into several layers.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use super::{TestContext, image::Image};
use crate::support::image::Member;

/// A tree of 80 packages with 10 files each, links among them.
fn with_packages() -> TestContext {
    let ctx = TestContext::new();
    for package in 0..80 {
        for file in 0..10 {
            ctx.write(&format!("tree/p{package}/lib/f{file}"), format!("{package} {file}").repeat(50));
        }
    }
    let tree = ctx.project().join("tree");
    fs::hard_link(tree.join("p1/lib/f1"), tree.join("p70/linked")).unwrap();
    std::os::unix::fs::symlink("../p2/lib", tree.join("p3/link")).unwrap();
    fs::create_dir(tree.join("p4/empty")).unwrap();
    ctx
}

const SPEC: &str = "from: scratch\nlayers:\n  - {copy: tree, to: /app/tree, owner: '5:6'}\n";
const DOCKERFILE: &str = "FROM scratch\nCOPY --chown=5:6 tree /app/tree\n";

fn split(most: &str) -> String {
    SPEC.replace("owner:", &format!("split: {most}, owner:"))
}

/// What a container sees: the highest member at each path.
fn seen(image: &Image) -> BTreeMap<Vec<u8>, Member> {
    let members = image.layers.iter().flatten().cloned();
    members.map(|member| (member.path.clone(), member)).collect()
}

/// What holds of every image.
fn counted(image: &Image) -> usize {
    let layers = image.layers.len();
    let history = image.config["history"].as_array().unwrap();
    let filled = history.iter().filter(|entry| entry["empty_layer"] != true).count();
    assert_eq!((filled, image.config["rootfs"]["diff_ids"].as_array().unwrap().len()), (layers, layers));
    layers
}

#[test]
fn a_container_sees_the_same_whatever_the_number_of_layers() {
    let ctx = with_packages();
    let whole = ctx.build(SPEC);
    assert_eq!(counted(&whole), 1);
    for (most, expected) in [("1", 1), ("2", 2), ("4", 4)] {
        let image = ctx.build(&split(most));
        assert_eq!(counted(&image), expected);
        assert_eq!(seen(&image), seen(&whole), "{most}");
        ctx.valid(&["oci:../out"]);
        // Neither what was built before nor a cache counts, nor where the number was said.
        let by_flag = ctx.build_with(SPEC, &["--split-copy", most, "--no-cache"]);
        assert_eq!(by_flag.manifest, image.manifest);
    }
    // The step's own number goes first, and what is small stays in one.
    let one = ctx.build_with(&split("1"), &["--split-copy", "9"]);
    assert_eq!(one.layer_digests(), whole.layer_digests());
    let small = ctx.build("from: scratch\nlayers:\n  - {copy: tree/p5, to: /app, split: 64}\n");
    assert_eq!(counted(&small), 1);
    ctx.valid(&[]);
}

#[test]
fn a_changed_file_makes_one_layer_new() {
    let ctx = with_packages();
    let arguments = ["--split-copy", "4"];
    let (before, _) = ctx.builds(DOCKERFILE, &arguments);
    let digests = |image: &Image| image.layer_digests().into_iter().collect::<BTreeSet<_>>();
    let first = digests(&before);
    assert_eq!(first.len(), 4);
    for (path, content) in
        [("tree/p9/lib/f3", "other"), ("tree/p9/lib/new", "new"), ("tree/p1/lib/f1", "linked")]
    {
        ctx.write(path, content);
        let (after, _) = ctx.builds(DOCKERFILE, &arguments);
        assert_eq!(digests(&after).difference(&first).count(), 1, "{path}");
        let fresh = ctx.builds(DOCKERFILE, &["--split-copy", "4", "--no-cache"]).0;
        assert_eq!(fresh.manifest, after.manifest, "{path}");
        let _ = fs::remove_file(ctx.project().join("tree/p9/lib/new"));
        ctx.write("tree/p9/lib/f3", "9 3".repeat(50)).write("tree/p1/lib/f1", "1 1".repeat(50));
    }
    let (again, told) = ctx.builds(DOCKERFILE, &arguments);
    assert_eq!((digests(&again), told.matches(" CACHED").count()), (first, 1), "{told}");
}

#[test]
fn what_is_built_on_a_split_copy_sees_all_of_it() {
    let ctx = with_packages();
    let text =
        "FROM scratch AS a\nCOPY tree /tree\nFROM a AS b\nCOPY --from=a /tree/p70 /tree/p71/lib/f2 /copy/\n";
    let whole = ctx.builds(text, &[]).0;
    let parted = ctx.builds(text, &["--split-copy", "3"]).0;
    assert_eq!((counted(&whole), counted(&parted)), (2, 4));
    assert_eq!(seen(&whole), seen(&parted));
}

#[test]
fn other_tools_see_the_same_tree() {
    let ctx = with_packages();
    let unpacked = |name: &str, spec: &str| {
        ctx.build(spec);
        let bundle = ctx.project().with_file_name(name);
        let layout = format!("oci:{}", ctx.out().display());
        // Unpacks every layer and checks its diff ID.
        let archive = format!("docker-archive:{}.tar", bundle.display());
        succeeds(Command::new("skopeo").args(["copy", "--quiet", &layout, &archive]));
        // umoci wants a name.
        let named = format!("{}-layout:sample", bundle.display());
        succeeds(Command::new("skopeo").args(["copy", "--quiet", &layout, &format!("oci:{named}")]));
        succeeds(Command::new("umoci").args(["unpack", "--image", &named]).arg(&bundle));
        files(&bundle.join("rootfs"))
    };
    let whole = unpacked("whole", SPEC);
    assert!(whole.contains("app/tree/p70/linked"), "{whole}");
    assert_eq!(unpacked("parted", &split("4")), whole);
}

#[track_caller]
fn succeeds(command: &mut Command) {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Every file with its kind, mode, owner, number of names, time and target, and the content of all.
fn files(root: &Path) -> String {
    let command = "find . -mindepth 1 -printf '%y %m %U:%G %n %T@ %l %P\\n' | sort && find . -type f | sort | xargs sha256sum";
    let done = Command::new("sh").args(["-c", command]).current_dir(root).output().unwrap();
    assert!(done.status.success());
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn numbers_out_of_range_are_refused() {
    let ctx = with_packages();
    for most in ["0", "65", "many", "300"] {
        let (status, told) = ctx.fails(&split(most), &[]);
        assert!(status == 2 && told.contains("imgbuild.yaml:3:"), "{status}: {told}");
    }
    let (status, told) = ctx.fails(SPEC, &["--split-copy", "65"]);
    assert!(status == 2 && told.contains("1..=64"), "{status}: {told}");
}
