//! What a Dockerfile or a base image may name to get out of the root: links of `/proc`, and devices.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use imgbuild::sandbox::{Execution, Exit, Mode, RunMount, SandboxError};

use super::ground::{Ground, NOBODY, Outcome};

const RUNGS: [Mode; 4] = [Mode::Root, Mode::UserNamespace, Mode::SingleId, Mode::Chroot];

/// More descriptors than the sandbox has open.
const DESCRIPTORS: std::ops::Range<u32> = 0..24;

async fn on(mode: Mode) -> Ground {
    match mode {
        Mode::SingleId => Ground::of_user(NOBODY, Some(mode)).await.unwrap(),
        _ => Ground::new(Some(mode)).await,
    }
}

/// A path of the host, as seen from a directory anywhere on it.
fn outside(door: &str, path: &Path) -> String {
    format!("{door}{}{}", "/..".repeat(24), path.display())
}

/// A directory of the host that anybody may write to, with a file in it.
fn treasure(ground: &Ground) -> std::path::PathBuf {
    let treasure = ground.path().join("treasure");
    fs::create_dir(&treasure).unwrap();
    fs::set_permissions(&treasure, fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(treasure.join("coin"), "gold").unwrap();
    treasure
}

#[track_caller]
fn assert_untouched(treasure: &Path, told: &Result<Outcome, SandboxError>, what: &str) {
    let names: Vec<_> = fs::read_dir(treasure).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["coin"], "{what}");
    if let Ok(outcome) = told {
        assert!(!outcome.out.contains("gold"), "{what}: {}", outcome.out);
    }
}

#[tokio::test]
async fn working_directories_are_in_the_root() {
    for mode in RUNGS {
        let ground = on(mode).await;
        let treasure = treasure(&ground);
        let coin = "../".repeat(24) + &treasure.join("coin").display().to_string()[1..];
        let chest = "../".repeat(24) + &treasure.join("chest").display().to_string()[1..];
        for descriptor in DESCRIPTORS {
            let door = format!("/proc/self/fd/{descriptor}");
            for workdir in [door.clone(), outside(&door, &treasure.join("made"))] {
                let mut step = ground.shell(&format!("cat {coin}; echo x > {chest}; :"));
                step.workdir.clone_from(&workdir);
                let told = ground.try_run(&step).await;
                assert_untouched(&treasure, &told, &format!("{mode} {workdir}"));
                if let Err(error) = told {
                    assert!(error.to_string().contains("working directory /proc/self/fd"), "{mode}: {error}");
                }
            }
        }
    }
}

#[tokio::test]
async fn links_of_a_base_lead_nowhere_else() {
    for mode in RUNGS {
        let ground = on(mode).await;
        let treasure = treasure(&ground);
        for descriptor in DESCRIPTORS {
            let link = ground.base.join(format!("evil-{descriptor}"));
            symlink(outside(&format!("/proc/self/fd/{descriptor}"), &treasure), link).unwrap();
            let target = format!("/evil-{descriptor}/deep");
            let tmpfs = RunMount::Tmpfs { target: target.clone(), size: None };
            let step = Execution { mounts: vec![tmpfs], ..ground.shell("ls /proc/self/fd/; :") };
            let told = ground.try_run(&step).await;
            assert_untouched(&treasure, &told, &format!("{mode} {target}"));
            let step =
                Execution { workdir: target.clone(), ..ground.shell("cat ../coin; echo x > chest; :") };
            let told = ground.try_run(&step).await;
            assert_untouched(&treasure, &told, &format!("{mode} {target}"));
        }
    }
}

#[tokio::test]
async fn programs_are_in_the_root() {
    for mode in RUNGS.into_iter().filter(|mode| *mode != Mode::Chroot) {
        let ground = on(mode).await;
        symlink("/proc/self/exe", ground.base.join("bin/self")).unwrap();
        let mut programs = vec!["/proc/self/exe".to_owned(), "/bin/self".into(), "self".into()];
        programs
            .extend(DESCRIPTORS.map(|fd| outside(&format!("/proc/self/fd/{fd}"), Path::new("/bin/busybox"))));
        for program in programs {
            let outcome = ground.run(&ground.command(&[&program, "--version"])).await;
            let told = format!("{mode} {program}: {}{}", outcome.out, outcome.err);
            assert!(matches!(outcome.ran.exit, Exit::Code(126 | 127)) && outcome.out.is_empty(), "{told}");
        }
    }
}

#[tokio::test]
async fn mounts_go_to_their_places_through_links_of_the_image() {
    for mode in RUNGS {
        let ground = on(mode).await;
        symlink("var/run", ground.base.join("run")).unwrap();
        symlink("../srv/none", ground.base.join("tmp/dangling")).unwrap();
        let tmpfs = |target: &str| RunMount::Tmpfs { target: target.into(), size: Some(1 << 20) };
        let step = Execution {
            workdir: "/run/lock".into(),
            mounts: vec![tmpfs("/run/cache"), tmpfs("/tmp/dangling")],
            ..ground.shell("pwd; touch /var/run/cache/x /srv/none/y && echo made")
        };
        let outcome = ground.run(&step).await;
        assert_eq!(outcome.out, "/var/run/lock\nmade\n", "{mode}: {}", outcome.err);
        assert!(outcome.paths().iter().all(|path| !path.ends_with(['x', 'y'])), "{mode}");
    }
}

/// What every host lets root open, and what is never in a step.
#[tokio::test]
async fn devices_of_a_command_do_not_open() {
    let script = "for at in /dev /dev/shm /dev/pts /dev/mqueue /tmp / /mounted; do
            for d in 'c 1 9' 'c 1 11' 'c 10 229' 'c 10 237' 'b 7 0'; do
                mknod $at/d $d 2>/dev/null && (exec 3< $at/d) 2>/dev/null && echo opened $d in $at
                rm -f $at/d
            done
        done
        for name in null zero full random urandom; do (exec 3<> /dev/$name) || echo no $name; done
        head -c 2 /dev/zero | wc -c";
    for mode in [Mode::Root, Mode::UserNamespace, Mode::SingleId] {
        let ground = on(mode).await;
        let mut step = ground.shell(script);
        step.mounts.push(RunMount::Tmpfs { target: "/mounted".into(), size: None });
        let outcome = ground.run(&step).await;
        assert_eq!(outcome.out, "2\n", "{mode}: {}", outcome.err);
    }
}
