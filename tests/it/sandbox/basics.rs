//! What a command sees, and what of it is kept.

use std::fs;

use imgbuild::sandbox::{Exit, FileContent, FileMount, Network, RunMount, User};

use super::ground::Ground;

#[tokio::test]
async fn changes_are_a_layer() {
    let ground = Ground::new(None).await;
    let outcome =
        ground.run(&ground.shell("mkdir /d; echo hi > /d/f; rm /etc/group; echo out; echo err >&2")).await;
    assert_eq!(outcome.ran.exit, Exit::Code(0), "{}", outcome.err);
    assert_eq!((outcome.out.as_str(), outcome.err.as_str()), ("out\n", "err\n"));
    assert_eq!(outcome.paths(), ["d/", "d/f", "etc/", "etc/.wh.group"]);
    let captured = outcome.ran.captured.unwrap();
    assert_eq!(captured.size, fs::metadata(&outcome.changes).unwrap().len());
}

#[tokio::test]
async fn later_steps_stand_on_earlier_ones() {
    let ground = Ground::new(None).await;
    let mut first = ground.shell("rm /etc/group; mkdir /d; echo 1 > /d/f");
    first.root.lower.push(ground.base.clone());
    let first = ground.run(&first).await;
    let mut second = ground.shell("cat /d/f; ls /etc; rm -r /d; mkdir /d");
    second.root.lower.push(first.upper.clone());
    let second = ground.run(&second).await;
    assert_eq!((second.out.as_str(), second.ran.exit), ("1\npasswd\n", Exit::Code(0)), "{}", second.err);
    let mut third = ground.shell("ls /d");
    third.root.lower.extend([first.upper, second.upper]);
    assert_eq!(ground.run(&third).await.out, "");
}

#[tokio::test]
async fn nothing_changes_without_a_reason() {
    let ground = Ground::new(None).await;
    let cache = ground.path().join("cache");
    fs::create_dir(&cache).unwrap();
    let mut step = ground.shell("echo x > /var/cache/x; cat /etc/resolv.conf /run/secrets/s; test -d /mnt/t");
    step.files.push(FileMount {
        target: "/etc/resolv.conf".into(),
        content: FileContent::Bytes(b"nameserver 192.0.2.1\n".into()),
        mode: 0o644,
        uid: 0,
        gid: 0,
    });
    step.files.push(FileMount {
        target: "/run/secrets/s".into(),
        content: FileContent::Bytes(b"hidden\n".into()),
        mode: 0o400,
        uid: 0,
        gid: 0,
    });
    step.mounts.push(RunMount::Bind { target: "/var/cache".into(), source: cache.clone(), read_only: false });
    step.mounts.push(RunMount::Tmpfs { target: "/mnt/t".into(), size: None });
    let outcome = ground.run(&step).await;
    assert_eq!(outcome.ran.exit, Exit::Code(0), "{}", outcome.err);
    assert_eq!(outcome.out, "nameserver 192.0.2.1\nhidden\n");
    assert_eq!(outcome.paths(), Vec::<String>::new());
    assert_eq!(fs::read_to_string(cache.join("x")).unwrap(), "x\n");
}

#[tokio::test]
async fn mount_points_behind_links_are_taken_away() {
    let ground = Ground::new(None).await;
    fs::create_dir(ground.base.join("run")).unwrap();
    std::os::unix::fs::symlink("/run", ground.base.join("link")).unwrap();
    std::os::unix::fs::symlink("/run/deep/file", ground.base.join("etc/resolv.conf")).unwrap();
    let mut step = ground.shell("cat /link/s /etc/resolv.conf; test ! -e /../../outside");
    let file = |target: &str| FileMount {
        target: target.into(),
        content: FileContent::Bytes(target.as_bytes().into()),
        mode: 0o644,
        uid: 0,
        gid: 0,
    };
    step.files.extend([file("/link/s"), file("/etc/resolv.conf")]);
    let outcome = ground.run(&step).await;
    assert_eq!(outcome.ran.exit, Exit::Code(0), "{}", outcome.err);
    assert_eq!(outcome.out, "/link/s/etc/resolv.conf");
    assert!(!outcome.upper.join("run/s").exists() && !outcome.upper.join("run/deep").exists());
}

#[tokio::test]
async fn trees_are_mounted_and_stay_as_they_are() {
    let ground = Ground::new(None).await;
    let [a, b] = ["a", "b"].map(|name| ground.path().join(name));
    for (tree, file) in [(&a, "one"), (&b, "two")] {
        fs::create_dir_all(tree.join("sub")).unwrap();
        fs::write(tree.join("sub").join(file), file).unwrap();
    }
    let mut step =
        ground.shell("cat /m/one /m/two; echo x > /m/new; echo; ls /m; ! touch /ro/x 2>/dev/null; cat /f");
    let trees = |target: &str, source: &str, read_only| RunMount::Trees {
        target: target.into(),
        lower: vec![a.clone(), b.clone()],
        source: source.into(),
        read_only,
    };
    step.mounts.extend([trees("/m", "/sub", false), trees("/ro", "", true), trees("/f", "sub/one", true)]);
    let outcome = ground.run(&step).await;
    assert_eq!(outcome.out, "onetwo\nnew\none\ntwo\none", "{}", outcome.err);
    assert!(!a.join("sub/new").exists() && !b.join("sub/new").exists());
    assert_eq!(outcome.paths(), Vec::<String>::new());
}

#[tokio::test]
async fn the_working_directory_is_made_and_kept() {
    let ground = Ground::new(None).await;
    let mut step = ground.shell("pwd; stat -c '%a %u' .");
    step.workdir = "/srv/app".into();
    step.user = User { uid: 1000, gid: 1000, groups: vec![] };
    let outcome = ground.run(&step).await;
    assert_eq!(outcome.out, "/srv/app\n755 0\n", "{}", outcome.err);
    assert_eq!(outcome.paths(), ["srv/", "srv/app/"]);
}

#[tokio::test]
async fn users_and_environment_are_as_given() {
    let ground = Ground::new(None).await;
    let mut step = ground.command(&["env"]);
    step.env.push(("A".into(), "1 2".into()));
    assert_eq!(ground.run(&step).await.out, "PATH=/bin\nA=1 2\n");
    let mut step = ground.shell("id -u; id -g; id -G; umask; touch /etc/x 2>/dev/null || echo no");
    step.user = User { uid: 1000, gid: 1001, groups: vec![7, 1001] };
    assert_eq!(ground.run(&step).await.out, "1000\n1001\n1001 7\n0022\nno\n");
}

#[tokio::test]
async fn the_host_is_out_of_sight() {
    let ground = Ground::new(None).await;
    let mounts = ground.sh("cat /proc/self/mountinfo").await;
    let host = ground.path().to_string_lossy().into_owned();
    assert!(!mounts.contains(&host), "{mounts}");
    assert!(ground.sh("ps | grep -c '[0-9] '").await.trim().parse::<u32>().unwrap() < 8);
    assert_eq!(ground.sh("hostname").await, "imgbuild\n");
    for masked in ["kcore", "keys", "timer_list"] {
        assert_eq!(ground.sh(&format!("head -c 8 /proc/{masked} 2>/dev/null || true")).await, "", "{masked}");
    }
    for denied in ["echo 1 > /proc/sys/kernel/printk", "echo b > /proc/sysrq-trigger", "mkdir /sys/x"] {
        let outcome = ground.run(&ground.shell(denied)).await;
        assert_ne!(outcome.ran.exit, Exit::Code(0), "{denied}");
    }
}

#[tokio::test]
async fn devices_are_there() {
    let ground = Ground::new(None).await;
    let out = ground
        .sh("echo x > /dev/null; head -c 3 /dev/zero | wc -c; head -c 4 /dev/urandom | wc -c; echo y | cat /dev/stdin; \
             df -k /dev/shm | tail -1 | tr -s ' ' | sed 's/ .*//'; ls /dev | tr '\\n' ' '; touch /dev/shm/a; test -c /dev/ptmx")
        .await;
    assert_eq!(
        out,
        "3\n4\ny\ntmpfs\nfd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero "
    );
}

#[tokio::test]
async fn a_network_of_its_own_is_loopback_only() {
    let ground = Ground::new(None).await;
    let mut step = ground.shell("ip -o link | wc -l; ping -c 1 -W 1 127.0.0.1 >/dev/null && echo up");
    step.network = Network::None;
    let outcome = ground.run(&step).await;
    assert_eq!(outcome.out, "1\nup\n", "{}", outcome.err);
}

#[tokio::test]
async fn steps_run_side_by_side() {
    let ground = Ground::new(None).await;
    let pipe = ground.path().join("shared");
    fs::create_dir(&pipe).unwrap();
    // Each waits for the other: one after the other would never end.
    let step = |own: &str, other: &str| {
        let script = format!("touch /shared/{own}; while [ ! -e /shared/{other} ]; do sleep 0.01; done");
        let mut step = ground.shell(&script);
        step.mounts.push(RunMount::Bind { target: "/shared".into(), source: pipe.clone(), read_only: false });
        step
    };
    let (a, b) = (step("a", "b"), step("b", "a"));
    let (a, b) = tokio::join!(ground.run(&a), ground.run(&b));
    assert_eq!((a.ran.exit, b.ran.exit), (Exit::Code(0), Exit::Code(0)));
}
