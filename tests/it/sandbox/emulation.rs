//! Programs of another platform, with an emulator that this host's kernel is not told of.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use imgbuild::sandbox::{Architecture, Emulator, Execution, Exit, Mode, Network, User};

use super::ground::{Ground, NOBODY, user_with_ranges};
use crate::tools::{run, tool};

/// The emulator that distributions have.
fn emulator(architecture: Architecture) -> Emulator {
    let path = PathBuf::from(format!("/usr/bin/qemu-{}-static", architecture.qemu()));
    assert!(path.is_file(), "{} is missing: install qemu-user-static", path.display());
    Emulator { architecture, path }
}

/// Debian's static busybox for another platform, got without telling the host's dpkg of it, and kept beside the bases.
pub(crate) fn busybox(debian: &str) -> PathBuf {
    static FETCHED: OnceLock<()> = OnceLock::new();
    let folder = env::var_os("BASES_DIR")
        .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("bases"), PathBuf::from)
        .join("foreign");
    FETCHED.get_or_init(|| fs::create_dir_all(&folder).unwrap());
    let kept = folder.join(format!("busybox-{debian}"));
    if kept.is_file() {
        return kept;
    }
    let own = tempfile::tempdir_in(&folder).unwrap();
    let path = |name: &str| own.path().join(name);
    for directory in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(path(directory)).unwrap();
    }
    fs::write(path("status"), "").unwrap();
    let here = own.path().display();
    let settings = format!(
        "Dir::State \"{here}\"; Dir::State::lists \"{here}/lists\"; Dir::State::status \"{here}/status\";\n\
         Dir::Cache \"{here}/cache\"; APT::Architectures {{ \"{debian}\"; }}; APT::Architecture \"{debian}\";\n\
         Acquire::Languages \"none\"; APT::Sandbox::User \"root\";\n"
    );
    fs::write(path("apt.conf"), settings).unwrap();
    let apt = || {
        let mut apt = tool("apt-get", "apt");
        apt.arg("-q").env("APT_CONFIG", path("apt.conf")).current_dir(own.path());
        apt
    };
    // A list that cannot be had, of updates perhaps, need not be the one with the package in it.
    let _ = apt().arg("update").output();
    run(apt().args(["download", "busybox-static"]));
    let package = fs::read_dir(own.path()).unwrap().map(|entry| entry.unwrap().path());
    let package = package.into_iter().find(|path| path.extension().is_some_and(|end| end == "deb")).unwrap();
    run(Command::new("dpkg-deb").arg("-x").arg(package).arg(path("root")));
    fs::rename(path("root/bin/busybox"), &kept).unwrap();
    kept
}

/// Makes the base of a ground one of another platform, and a step there.
fn step(ground: &Ground, debian: &str, architecture: Architecture, script: &str) -> Execution {
    let place = ground.base.join("bin/busybox");
    fs::remove_file(&place).unwrap();
    fs::copy(busybox(debian), &place).unwrap();
    Execution { emulator: Some(emulator(architecture)), ..ground.shell(script) }
}

/// What the host's kernel was told; nothing where the registry is not mounted.
pub(crate) fn host_registry() -> BTreeSet<String> {
    let entries = fs::read_dir("/proc/sys/fs/binfmt_misc").into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

const SCRIPT: &str = "busybox uname -m; ls /bin/sh | cat; sh -c 'exec sh -c \"exec busybox basename $0\"' ; \
                      touch /f; chown 33:44 /f; ls /usr/bin 2>/dev/null; cat /proc/sys/fs/binfmt_misc/* 2>/dev/null; \
                      echo end > /dev/null; echo $((6 * 7))";

async fn means_the_same(ground: &Ground) {
    let before = host_registry();
    let outcome = ground.run(&step(ground, "arm64", Architecture::Arm64, SCRIPT)).await;
    assert_eq!(outcome.ran.exit, Exit::Code(0), "{}{}", outcome.out, outcome.err);
    assert_eq!(outcome.out, "aarch64\n/bin/sh\nsh\n42\n", "{}", outcome.err);
    assert_eq!(outcome.owner("f"), Some((33, 44)));
    // Nothing of the emulator is in the layer, nor anything else that was not written.
    assert_eq!(outcome.paths(), ["f"]);
    assert_eq!(host_registry(), before);
    // Only that step had it.
    let native = ground.try_run(&ground.shell("true")).await.err().map(|error| error.to_string());
    assert!(native.is_some_and(|error| error.contains("another platform (arm64)")));
}

#[tokio::test]
async fn as_root() {
    let ground = Ground::new(None).await;
    assert_eq!((ground.sandbox.mode(), ground.sandbox.no_emulation()), (Mode::Root, None));
    means_the_same(&ground).await;
}

#[tokio::test]
async fn with_a_range_of_ids() {
    means_the_same(&Ground::new(Some(Mode::UserNamespace)).await).await;
    let ground = Ground::of_user(user_with_ranges(), None).await.unwrap();
    assert_eq!(ground.sandbox.mode(), Mode::UserNamespace);
    means_the_same(&ground).await;
}

#[tokio::test]
async fn with_one_id() {
    let ground = Ground::of_user(NOBODY, None).await.unwrap();
    assert_eq!(ground.sandbox.mode(), Mode::SingleId);
    means_the_same(&ground).await;
}

#[tokio::test]
async fn other_architectures() {
    for (debian, architecture, machine) in [
        ("armhf", Architecture::Arm, "armv7l"),
        ("s390x", Architecture::S390x, "s390x"),
        ("ppc64el", Architecture::Ppc64le, "ppc64le"),
    ] {
        let ground = Ground::new(None).await;
        let outcome = ground.run(&step(&ground, debian, architecture, "busybox uname -m | cat")).await;
        assert_eq!((outcome.out.trim(), outcome.ran.exit), (machine, Exit::Code(0)), "{}", outcome.err);
    }
}

#[tokio::test]
async fn users_and_rights_are_as_without_emulation() {
    let ground = Ground::new(None).await;
    let script = "id -u; touch /tmp/f; rm -r /etc 2>/dev/null || echo refused";
    let mut step = step(&ground, "arm64", Architecture::Arm64, script);
    step.user = User { uid: 1000, gid: 1000, groups: vec![] };
    let outcome = ground.run(&step).await;
    assert_eq!(
        (outcome.out.as_str(), outcome.ran.exit),
        ("1000\nrefused\n", Exit::Code(0)),
        "{}",
        outcome.err
    );
    assert_eq!(outcome.owner("tmp/f"), Some((1000, 1000)));
}

/// Where a step has a network of its own, web servers find their port there.
#[tokio::test]
async fn the_first_ports_are_open() {
    for ground in [Ground::new(None).await, Ground::of_user(NOBODY, None).await.unwrap()] {
        let script = "busybox httpd -p 80 -h / && echo listened";
        let mut step = step(&ground, "arm64", Architecture::Arm64, script);
        step.network = Network::None;
        let outcome = ground.run(&step).await;
        assert_eq!(outcome.out, "listened\n", "{}", outcome.err);
    }
}

#[tokio::test]
async fn chroot_has_the_hosts_way_alone() {
    let ground = Ground::new(Some(Mode::Chroot)).await;
    assert!(ground.sandbox.no_emulation().is_some());
    let step = step(&ground, "arm64", Architecture::Arm64, "true");
    match (Architecture::Arm64.runs_here(), ground.try_run(&step).await) {
        (Ok(()), ran) => assert_eq!(ran.unwrap().ran.exit, Exit::Code(0)),
        (Err(_), ran) => assert!(ran.is_err_and(|error| error.to_string().contains("another platform"))),
    }
}

#[tokio::test]
async fn what_is_no_emulator_is_told() {
    let ground = Ground::new(None).await;
    let mut step = step(&ground, "arm64", Architecture::Arm64, "true");
    step.emulator = Some(Emulator { architecture: Architecture::Arm64, path: "/there/is/none".into() });
    let error = ground.try_run(&step).await.err().unwrap().to_string();
    assert!(error.contains("/there/is/none"), "{error}");
}
