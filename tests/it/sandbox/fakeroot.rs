//! Programs that change owners and ids, run by a user with one id.

use imgbuild::sandbox::{Execution, Exit, Mode, RunMount, User};

use super::ground::{Ground, NOBODY, Outcome};

/// With the host's programs, read-only.
async fn ground() -> Ground {
    let ground = Ground::of_user(NOBODY, Some(Mode::SingleId)).await.unwrap();
    for directory in ["lib", "lib64"] {
        let target = std::fs::canonicalize(format!("/{directory}")).unwrap();
        std::os::unix::fs::symlink(target, ground.base.join(directory)).unwrap();
    }
    ground
}

fn step(ground: &Ground, script: &str) -> Execution {
    let mut step = ground.command(&["/usr/bin/dash", "-c", script]);
    step.env = vec![("PATH".into(), "/usr/sbin:/usr/bin:/bin".into())];
    step.mounts.push(RunMount::Bind { target: "/usr".into(), source: "/usr".into(), read_only: true });
    step
}

async fn fine(ground: &Ground, step: &Execution) -> Outcome {
    let outcome = ground.run(step).await;
    assert_eq!(outcome.ran.exit, Exit::Code(0), "{}{}", outcome.out, outcome.err);
    outcome
}

fn owner_of(outcome: &Outcome, path: &str) -> Option<(u64, u64)> {
    outcome.owners().into_iter().find(|(name, ..)| name == path).map(|(_, user, group)| (user, group))
}

#[tokio::test]
async fn owners_come_into_the_layer() {
    let ground = ground().await;
    let script = "mkdir -p /a/b; touch /a/b/c; chown -R 1:2 /a; cd /a/b; chown 3:4 ../b/c
        install -d -o 5 -g 6 /i; install -o 7 -g 8 -m 640 /etc/passwd /i/p; cp -a /a/b/c /copied
        chown 9 /etc/group; ln /a/b/c /a/hard; setpriv --reuid 11 --regid 12 --clear-groups id -u";
    let outcome = fine(&ground, &step(&ground, script)).await;
    assert_eq!((outcome.out.as_str(), outcome.err.as_str()), ("11\n", ""));
    for (path, owner) in [("a", "1:2"), ("a/b", "1:2"), ("i", "5:6")] {
        let mut value = [0; 16];
        let size =
            rustix::fs::lgetxattr(outcome.upper.join(path), "user.imgbuild.owner", &mut value[..]).unwrap();
        assert_eq!(std::str::from_utf8(&value[..size]), Ok(owner), "{path}");
    }
    let expected = [("a/b/c", (3, 4)), ("i/p", (7, 8)), ("copied", (3, 4)), ("etc/group", (9, 0))];
    for (path, owner) in expected {
        assert_eq!(owner_of(&outcome, path), Some(owner), "{path}: {:?}", outcome.owners());
    }
}

#[tokio::test]
async fn owners_of_links_and_pipes_come_into_the_layer() {
    let ground = ground().await;
    let old = ground.base.join("bin/old");
    std::os::unix::fs::symlink("busybox", &old).unwrap();
    std::os::unix::fs::lchown(old, Some(NOBODY), Some(NOBODY)).unwrap();
    let script = "mkdir /a; ln -s x /a/link; mkfifo /a/pipe; chown -R 1:2 /a; chown -h 3 /bin/old
        ln -s y /a/new; chown -h 5:6 /a/new; mv /a/new /a/renamed; ln -s z /a/plain
        ln -s gone /a/gone; chown -h 9:9 /a/gone; rm /a/gone; ln -s again /a/gone
        cp -a /a/link /copied; readlink /a/renamed";
    let outcome = fine(&ground, &step(&ground, script)).await;
    assert_eq!((outcome.out.as_str(), outcome.err.as_str()), ("y\n", ""));
    let expected = [
        ("a/gone", (0, 0)),
        ("a/link", (1, 2)),
        ("a/pipe", (1, 2)),
        ("a/plain", (0, 0)),
        ("a/renamed", (5, 6)),
        ("bin/old", (3, 0)),
    ];
    for (path, owner) in expected {
        assert_eq!(outcome.owner(path), Some(owner), "{path}");
    }
}

#[tokio::test]
async fn users_are_switched_to() {
    let ground = ground().await;
    let script =
        "busybox su -s /bin/sh user -c 'id -u; id -g' 2>&1; chroot --userspec=33:44 --groups=55 / id -G
        perl -e '$) = \"65534 65534\"; $> = 42; print \"$> $)\\n\"; $> = 0; print \"$>\\n\"'";
    let outcome = fine(&ground, &step(&ground, script)).await;
    assert_eq!(outcome.out, "1000\n1000\n44 55\n42 65534 65534\n0\n", "{}", outcome.err);
}

#[tokio::test]
async fn the_user_of_a_step_is_believed() {
    let ground = ground().await;
    let mut step = step(
        &ground,
        "id -u; id -g; id -G; touch /tmp/mine; chown 0:0 /tmp/mine 2>/dev/null || echo refused",
    );
    step.user = User { uid: 1000, gid: 1001, groups: vec![1001, 27] };
    let outcome = fine(&ground, &step).await;
    assert_eq!(outcome.out, "1000\n1001\n1001 27\nrefused\n");
    assert_eq!(owner_of(&outcome, "tmp/mine"), Some((1000, 1001)));
}
