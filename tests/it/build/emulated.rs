//! Commands of another platform, on a machine that was not prepared for them.

use std::fs;

use imgbuild::sandbox::Architecture;

use super::{TestContext, image::images};
use crate::{sandbox::emulation::busybox, tools::PlainRegistry};

const PLATFORMS: &str = "linux/amd64,linux/arm64";
const APPLETS: [&str; 7] = ["sh", "cat", "ls", "uname", "mkdir", "kill", "wc"];

/// A project with a base of two platforms, called `base`.
fn project() -> TestContext {
    let ctx = TestContext::new();
    let mut spec = "from: scratch\nplatforms: [linux/amd64, linux/arm64]\nlayers:
  - {copy: 'busybox-${TARGETARCH}', to: /bin/busybox, mode: '0755'}\n"
        .to_owned();
    for platform in ["amd64", "arm64"] {
        ctx.write(&format!("base/busybox-{platform}"), fs::read(busybox(platform)).unwrap());
    }
    for applet in APPLETS {
        spec += &format!("  - symlink: {{path: /bin/{applet}, target: busybox}}\n");
    }
    ctx.write("base/imgbuild.yaml", spec + "config: {env: {PATH: /bin}}\n");
    let done = ctx.run(&["build", "-t", "base", "base"]);
    assert!(done.status.success(), "{}", ctx.describe(&done));
    ctx
}

#[test]
fn both_platforms_are_built_and_what_is_the_same_for_both_once() {
    let ctx = project();
    let text = "FROM --platform=$BUILDPLATFORM base AS native
RUN uname -m > /where
ARG TARGETARCH
RUN echo for $TARGETARCH > /what
FROM base
COPY --from=native /where /what /
RUN uname -m | cat > /machine && ls /bin/sh | wc -l
";
    let (done, told) = ctx.dockerfile(text, &["--platform", PLATFORMS]);
    assert!(done, "{told}");
    let images = images(&ctx.out());
    for (image, [platform, machine, what]) in images
        .iter()
        .zip([["linux/amd64", "x86_64\n", "for amd64\n"], ["linux/arm64", "aarch64\n", "for arm64\n"]])
    {
        assert_eq!(image.platform, platform);
        let text = |path: &str| image.member(path).text();
        assert_eq!([text("where"), text("machine"), text("what")], ["x86_64\n", machine, what]);
        assert!(!image.has("usr/bin/qemu-aarch64-static") && !image.has("proc/sys"));
    }
    let begun = |step: &str| told.lines().filter(|line| line.ends_with(step)).count();
    assert_eq!(begun("RUN uname -m > /where"), 1, "{told}");
    assert_eq!(told.matches("note: programs for linux/arm64 are run by ").count(), 1, "{told}");
    assert!(!told.contains("programs for linux/amd64"), "{told}");
}

#[test]
fn an_emulator_comes_out_of_an_image_once() {
    let ctx = project();
    ctx.write("emulators/qemu", fs::read("/usr/bin/qemu-aarch64-static").unwrap());
    ctx.write(
        "emulators/imgbuild.yaml",
        "from: scratch\nlayers: [{copy: qemu, to: /usr/bin/qemu-aarch64, mode: '0755'}]\n",
    );
    let done = ctx.run(&["build", "-t", "localhost:1/emulators:1", "emulators"]);
    assert!(done.status.success(), "{}", ctx.describe(&done));
    let text = |number| format!("FROM base\nRUN uname -m > /machine-{number}\n");
    let given = "arm64=docker-image://localhost:1/emulators:1";
    let arguments = ["--platform", "linux/arm64", "--emulator", given];
    let (image, told) = ctx.builds(&text(1), &arguments);
    assert_eq!(image.member("machine-1").text(), "aarch64\n");
    assert!(told.contains("are run by localhost:1/emulators:1 (sha256:"), "{told}");
    // The image is needed no more.
    fs::remove_dir_all(ctx.store().join("v1/names")).unwrap();
    let done = ctx.run(&["build", "-t", "base", "base"]);
    assert!(done.status.success(), "{}", ctx.describe(&done));
    let (image, _) = ctx.builds(&text(2), &arguments);
    assert_eq!(image.member("machine-2").text(), "aarch64\n");
}

#[test]
fn pulling_asks_again_which_emulator_a_name_means() {
    let ctx = project();
    let registry = PlainRegistry::start();
    let name = format!("{}/emulators:1", registry.host());
    let push = |emulator: &[u8]| {
        ctx.write("emulators/qemu", emulator);
        ctx.write(
            "emulators/imgbuild.yaml",
            "from: scratch\nlayers: [{copy: qemu, to: /usr/bin/qemu-aarch64, mode: '0755'}]\n",
        );
        let done = ctx.run(&["build", "-t", &name, "--push", "emulators"]);
        assert!(done.status.success(), "{}", ctx.describe(&done));
    };
    let qemu = fs::read("/usr/bin/qemu-aarch64-static").unwrap();
    push(&qemu);
    let given = format!("arm64=docker-image://{name}");
    let mut number = 0;
    let mut build = |pull: &[&str]| {
        number += 1;
        let text = format!(
            "FROM scratch\nCOPY --chmod=755 base/busybox-arm64 /bin/busybox\nRUN [\"/bin/busybox\", \"echo\", \"{number}\"]\n"
        );
        ctx.dockerfile(&text, &[&["--platform", "linux/arm64", "--emulator", &given], pull].concat())
    };
    for pull in [&[][..], &["--pull"]] {
        let (done, told) = build(pull);
        assert!(done, "{told}");
    }
    push(b"#!/bin/sh\n");
    let (done, told) = build(&[]);
    assert!(done, "{told}");
    let (done, told) = build(&["--pull"]);
    assert!(!done && told.contains("cannot be used as an emulator of arm64: it is no program"), "{told}");
}

#[test]
fn programs_of_32_bits_see_a_machine_of_their_own() {
    if !cfg!(target_arch = "x86_64") {
        return;
    }
    let ctx = TestContext::new();
    ctx.write("busybox", fs::read(busybox("amd64")).unwrap());
    let text = "FROM scratch\nCOPY --chmod=755 busybox /bin/sh\nRUN [\"/bin/sh\", \"-c\", \"uname -m > /machine\"]\n";
    for (platform, expected) in [("linux/386", "i686\n"), ("linux/amd64", "x86_64\n")] {
        let (image, told) = ctx.builds(text, &["--platform", platform]);
        assert_eq!(image.member("machine").text(), expected, "{told}");
    }
}

#[test]
fn what_cannot_be_emulated_says_what_to_do() {
    let ctx = project();
    let text = "FROM base\nRUN echo one && kill -SEGV $$\n";
    let (done, told) = ctx.dockerfile(text, &["--platform", "linux/arm64"]);
    assert!(!done && told.contains("a crash may be the emulator's"), "{told}");
    ctx.write("no-emulator", "#!/bin/sh\n");
    for (given, words) in [
        ("no-emulator", "no-emulator cannot be used as an emulator of arm64: it is no program"),
        (
            "docker-image://localhost:1/none",
            "programs for linux/arm64 cannot be run here: there is no static",
        ),
    ] {
        let (done, told) = ctx.dockerfile(text, &["--platform", "linux/arm64", "--emulator", given]);
        assert!(!done && told.contains(words), "{told}");
    }
    let doctor = ctx.command(&["doctor"]).env("PATH", "/usr/bin:/bin").output().unwrap();
    let told = ctx.describe(&doctor);
    assert!(told.contains("linux/arm64    yes  by /usr/bin/qemu-aarch64-static (qemu"), "{told}");
    // What is only looked at is not promised, and what does not do is passed over.
    if Architecture::Arm64.runs_here().is_err() {
        let programs = ctx.project().join("programs");
        let useless = programs.join("qemu-aarch64");
        fs::create_dir_all(&programs).unwrap();
        fs::copy("/bin/busybox", &useless).unwrap();
        let doctor = ctx.command(&["doctor"]).env("PATH", &programs).output().unwrap();
        let told = ctx.describe(&doctor);
        assert!(
            told.contains("linux/arm64    ?    by an emulator that is fetched from docker.io/"),
            "{told}"
        );
    }
}
