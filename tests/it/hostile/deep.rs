//! Images of more layers than the kernel stacks.

use std::{fs, path::Path};

use super::layers::{FILE, layout, tar};
use crate::{support::cli::TestContext, tools::PlainRegistry};

/// overlayfs takes 500.
const LAYERS: usize = 510;

/// A layer with busybox as `/bin/sh` and a few others.
pub(super) fn busybox() -> Vec<u8> {
    let program = ["/bin/busybox", "/usr/bin/busybox"].map(Path::new).into_iter().find(|path| path.exists());
    let program = fs::read(program.expect("busybox-static is installed, see tests/run")).unwrap();
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(program.len() as u64);
    header.set_mode(0o755);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    builder.append_data(&mut header, "bin/sh", &program[..]).unwrap();
    for name in ["mv", "rm", "ls", "cat", "test"] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        header.set_mode(0o777);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        builder.append_link(&mut header, format!("bin/{name}"), "sh").unwrap();
    }
    builder.into_inner().unwrap()
}

/// Each layer has a file of its own and one that all have, and removes the own one of the layer three below.
fn layers(count: usize) -> Vec<Vec<u8>> {
    let layer = |number: usize| {
        let (own, name) = (format!("d/own-{number}"), number.to_string());
        let gone = number.checked_sub(3).map(|below| format!("d/.wh.own-{below}"));
        let mut members = vec![(FILE, own.as_str(), "", name.as_str()), (FILE, "d/all", "", name.as_str())];
        members.extend(gone.as_deref().map(|gone| (FILE, gone, "", "")));
        tar(&members)
    };
    [busybox()].into_iter().chain((1..count).map(layer)).collect()
}

const TEXT: &str = "FROM deep
RUN set -e; cat /d/all; echo; echo /d/*; rm /d/own-507; mv /d/own-508 /d/moved; echo more >> /d/all
RUN set -e; cat /d/all; echo; echo /d/*
";

#[test]
fn commands_run_on_more_layers_than_the_kernel_stacks() {
    let ctx = TestContext::new();
    let at = ctx.home().join("deep");
    layout(&at, &layers(LAYERS));
    let context = format!("deep=oci-layout://{}:1", at.display());
    for mode in ["root", "userns", "single-id", "chroot"] {
        let options = ["--no-cache", "--sandbox", mode, "--build-context", &context];
        let (image, told) = ctx.builds(TEXT, &options);
        for line in ["/d/all /d/own-507 /d/own-508 /d/own-509", "509more", "/d/all /d/moved /d/own-509"] {
            assert!(told.lines().any(|said| said.ends_with(line)), "{mode}: {line}: {told:.4000}");
        }
        let changed = ["d/.wh.own-507", "d/.wh.own-508", "d/all", "d/moved"];
        let layer = &image.layers[image.layers.len() - 2];
        let mut found: Vec<_> = layer
            .iter()
            .filter(|member| member.kind != 'd')
            .map(|m| String::from_utf8_lossy(&m.path))
            .collect();
        found.sort();
        assert_eq!(found, changed, "{mode}");
    }
}

/// More than the threads that the program may have for files.
const MANY: usize = 700;

#[test]
fn many_layers_come_from_a_registry() {
    let (ctx, registry) = (TestContext::new(), PlainRegistry::start());
    let at = ctx.home().join("deep");
    layout(&at, &layers(MANY));
    let context = format!("deep=oci-layout://{}:1", at.display());
    let name = format!("{}/deep:1", registry.host());
    let insecure = ["--insecure-registry", registry.host()];
    let push = ["--build-context", &context, "-t", &name, "--push"];
    let (pushed, told) = ctx.dockerfile("FROM deep\nLABEL pushed=yes\n", &[&push[..], &insecure].concat());
    assert!(pushed, "{told:.4000}");

    let ctx = TestContext::new();
    let text = format!("FROM {name}\nWORKDIR /d/new\nRUN cat /d/all; echo; echo /d/own*\n");
    let (built, told) = ctx.dockerfile(&text, &insecure);
    assert!(built, "{told:.4000}");
    assert!(told.lines().any(|line| line.ends_with("/d/own-697 /d/own-698 /d/own-699")), "{told:.4000}");
    assert!(!told.contains("FAILED"), "{told:.4000}");
}
