//! The rungs themselves.

use std::{
    fs,
    io::Write,
    os::unix::{fs::MetadataExt, net::UnixListener},
    path::PathBuf,
    process::Command,
};

use imgbuild::{
    error::Explain,
    sandbox::{Exit, FileContent, FileMount, Mode, RunMount, Sandbox, User},
};

use super::ground::{Ground, NOBODY, settings, user_with_ranges};

/// What must be the same on each rung that has namespaces and a range of ids.
const MEANING: &str =
    "touch /f; chown 1000:1000 /f; stat -c '%u:%g' /f; rm -r /etc; mkdir /etc; ls /etc; id -u";
const MEANT: &str = "1000:1000\n0\n";

#[tokio::test]
async fn root_comes_first() {
    let ground = Ground::new(None).await;
    assert_eq!(ground.sandbox.mode(), Mode::Root);
    assert_eq!(ground.sandbox.flavour(), "trusted-host");
}

#[tokio::test]
async fn a_user_namespace_has_the_same_meaning() {
    let ground = Ground::new(Some(Mode::UserNamespace)).await;
    assert_eq!(ground.sandbox.mode(), Mode::UserNamespace);
    assert_eq!(ground.sh(MEANING).await, MEANT);
}

#[tokio::test]
async fn a_user_with_ranges_has_a_user_namespace() {
    let ground = Ground::of_user(user_with_ranges(), None).await.unwrap();
    assert_eq!(ground.sandbox.mode(), Mode::UserNamespace, "{:?}", ground.sandbox);
    assert_eq!(ground.sh(MEANING).await, MEANT);
    let outcome = ground.run(&ground.shell("touch /f; chown 33:44 /f")).await;
    assert_eq!(outcome.owners(), [("f".to_owned(), 33, 44)]);
    ground.sandbox.remove(&outcome.upper).await.unwrap();
    assert!(!outcome.upper.exists());
}

#[tokio::test]
async fn a_user_without_ranges_has_one_id_that_looks_like_many() {
    let ground = Ground::of_user(NOBODY, None).await.unwrap();
    assert_eq!(ground.sandbox.mode(), Mode::SingleId, "{:?}", ground.sandbox);
    let outcome =
        ground.run(&ground.shell("id -u; touch /f; chown 33:44 /f; rm -r /etc; mkdir /etc; ls /etc")).await;
    assert_eq!((outcome.out.as_str(), outcome.ran.exit), ("0\n", Exit::Code(0)), "{}", outcome.err);
    assert!(outcome.owners().contains(&("f".to_owned(), 33, 44)), "{:?}", outcome.owners());
    let mut step = ground.shell("id -u; touch /tmp/f");
    step.user = User { uid: 1000, gid: 1000, groups: vec![] };
    let outcome = ground.run(&step).await;
    assert_eq!(outcome.out, "1000\n", "{}", outcome.err);
    assert!(outcome.owners().contains(&("tmp/f".to_owned(), 1000, 1000)), "{:?}", outcome.owners());
}

#[tokio::test]
async fn chroot_alone_keeps_the_meaning() {
    let ground = Ground::new(Some(Mode::Chroot)).await;
    assert_eq!(ground.sh(MEANING).await, MEANT);
    let cache = ground.path().join("cache");
    std::fs::create_dir(&cache).unwrap();
    let mut step = ground.shell(
        "cat /etc/resolv.conf /run/secrets/s; echo more >> /run/secrets/s; echo x > /cache/x; echo t > /t/t; \
         echo y > /y; echo z > /dev/null; rm /etc/group; (setsid sleep 1000 &)",
    );
    let file = |target: &str, content: &str| FileMount {
        target: target.into(),
        content: FileContent::Bytes(content.as_bytes().into()),
        mode: 0o600,
        uid: 0,
        gid: 0,
    };
    step.files.extend([file("/etc/resolv.conf", "dns\n"), file("/run/secrets/s", "hidden\n")]);
    step.mounts.push(RunMount::Bind { target: "/cache".into(), source: cache.clone(), read_only: false });
    step.mounts.push(RunMount::Tmpfs { target: "/t".into(), size: None });
    let outcome = ground.run(&step).await;
    assert_eq!((outcome.out.as_str(), outcome.ran.exit), ("dns\nhidden\n", Exit::Code(0)), "{}", outcome.err);
    assert_eq!(outcome.ran.warnings, Vec::<String>::new());
    let mut files = outcome.paths();
    files.retain(|path| !path.ends_with('/'));
    assert_eq!(files, ["etc/.wh.group", "y"]);
    assert_eq!(std::fs::read_to_string(cache.join("x")).unwrap(), "x\n");
}

#[tokio::test]
async fn without_mounts_links_lead_nowhere_and_secrets_stay_nowhere() {
    let ground = Ground::new(Some(Mode::Chroot)).await;
    let (cache, outside) = (ground.path().join("cache"), ground.path().join("outside"));
    for directory in [&cache, &outside] {
        std::fs::create_dir(directory).unwrap();
    }
    std::fs::write(outside.join("kept"), "kept").unwrap();
    std::os::unix::fs::symlink(&outside, cache.join("link")).unwrap();
    let file = |target: &str| FileMount {
        target: target.into(),
        content: FileContent::Bytes(b"hidden\n".to_vec()),
        mode: 0o600,
        uid: 0,
        gid: 0,
    };
    let mut step = ground.shell(&format!(
        "cat /cache/s /run/secrets/kept; rm -r /run/secrets; ln -s {} /run/secrets",
        outside.display()
    ));
    step.mounts.push(RunMount::Bind { target: "/cache".into(), source: cache.clone(), read_only: false });
    step.mounts.push(RunMount::Tmpfs { target: "/cache/link/kept".into(), size: None });
    step.files.extend([file("/cache/s"), file("/run/secrets/kept")]);
    let outcome = ground.run(&step).await;
    assert_eq!(
        (outcome.out.as_str(), outcome.ran.exit),
        ("hidden\nhidden\n", Exit::Code(0)),
        "{}",
        outcome.err
    );
    assert_eq!(std::fs::read_to_string(outside.join("kept")).unwrap(), "kept");
    let left: Vec<_> = std::fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["link"]);
    // What the command put in the cache's place is no cache.
    let mut step = ground.shell(&format!("busybox mv /cache /moved && ln -s {} /cache", outside.display()));
    step.mounts.push(RunMount::Bind { target: "/cache".into(), source: cache.clone(), read_only: false });
    assert_eq!(ground.run(&step).await.ran.exit, Exit::Code(0));
    assert!(!std::fs::symlink_metadata(&cache).is_ok_and(|found| found.is_symlink()));
}

#[tokio::test]
async fn what_is_missing_is_said() {
    let error = Ground::of_user(NOBODY, Some(Mode::UserNamespace)).await.err().unwrap();
    assert_eq!(
        error.to_string(),
        "RUN cannot use the sandbox mode userns: /etc/subuid has no line for nobody"
    );
    let error = Ground::of_user(NOBODY, Some(Mode::Root)).await.err().unwrap();
    assert_eq!(error.to_string(), "RUN cannot use the sandbox mode root: this is user 65534, not root");
}

#[tokio::test]
async fn all_rungs_are_examined() {
    let directory = tempfile::tempdir().unwrap();
    let examined = Sandbox::examine(&settings(directory.path(), None)).await.unwrap();
    assert_eq!(examined.iter().map(|rung| rung.mode).collect::<Vec<_>>(), Mode::ALL);
    assert_eq!(examined[0].fault, None);
}

#[tokio::test]
async fn a_worker_that_cannot_start_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(directory.path(), None);
    settings.program = Some("/nowhere/imgbuild".into());
    let error = Sandbox::start(&settings).await.err().unwrap();
    assert_eq!(error.to_string(), "failed to start the sandbox: No such file or directory (os error 2)");
    assert_eq!(error.kind(), imgbuild::error::Kind::NotFound);
}

#[test]
fn the_doctor_tells_of_each_rung() {
    let context = crate::support::cli::TestContext::new();
    fs::remove_dir(context.store()).unwrap();
    let output = context.run(&["doctor"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(text.starts_with("RUN steps use the sandbox mode root: "), "{text}");
    let output = context.run(&["doctor", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let modes: Vec<_> = json["rungs"].as_array().unwrap().iter().map(|rung| rung["mode"].clone()).collect();
    assert_eq!(modes, ["root", "userns", "single-id", "chroot"]);
    // It leaves nothing behind.
    assert!(!context.store().exists());
}

/// What an unprivileged user may not write to, or does not own, cannot be moved without the sandbox.
const CLOSED: &str = "\
FROM scratch AS bb
COPY busybox /bin/busybox
FROM bb
RUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]
RUN chmod 555 / && mkdir -p /d/e && echo text > /d/e/f && chmod 500 /d/e /d
RUN mv /d/e /moved && rm -r /d && ! test -e /d
RUN chown 33:44 / && chmod 550 / && touch /last
RUN cat /moved/f && rm /last
";

#[tokio::test]
async fn directories_that_nobody_may_write_to_are_kept_moved_and_removed() {
    for user in [NOBODY, user_with_ranges()] {
        let ground = Ground::of_user(user, None).await.unwrap();
        let outcome = ground.run(&ground.shell("chmod 555 /; mkdir -p /d/e; chmod 500 /d/e /d")).await;
        let settled = ground.path().join("settled");
        ground.sandbox.settle(&outcome.upper, &settled).await.unwrap();
        assert!(settled.join("d").exists() && !outcome.upper.exists());
        // Another one of this name goes.
        let other = ground.run(&ground.shell("mkdir -p /d/e; chmod 555 / /d")).await;
        ground.sandbox.settle(&other.upper, &settled).await.unwrap();
        assert!(settled.join("d").exists() && !other.upper.exists());
        ground.sandbox.remove(&settled).await.unwrap();
        assert!(!settled.exists());

        let context = ground.path().join("context");
        fs::create_dir(&context).unwrap();
        fs::copy("/bin/busybox", context.join("busybox")).unwrap();
        fs::write(context.join("Dockerfile"), CLOSED).unwrap();
        let home = ground.path().join("home");
        fs::create_dir(&home).unwrap();
        std::os::unix::fs::chown(&home, Some(user), Some(user)).unwrap();
        for number in 0..2 {
            let mut command = Command::new(ground.path().join("as-user"));
            command.args(["build", "--no-cache", "--progress=plain"]).arg(&context);
            let done = command.env("HOME", &home).env("IMGBUILD_HOME", home.join("store")).output().unwrap();
            let told = String::from_utf8_lossy(&done.stderr).into_owned();
            assert!(done.status.success() && told.contains(" text\n"), "{user}, {number}: {told}");
        }
        // Nothing is left that only the sandbox could remove.
        let left: Vec<_> = fs::read_dir(home.join("store/v1/tmp")).unwrap().flatten().collect();
        assert!(left.iter().all(|entry| entry.file_name() == "gate"), "{left:?}");
    }
}

#[tokio::test]
async fn nothing_is_mounted_in_the_place_of_the_root() {
    for mode in Mode::ALL {
        let ground = match mode {
            Mode::SingleId => Ground::of_user(NOBODY, Some(mode)).await.unwrap(),
            _ => Ground::new(Some(mode)).await,
        };
        let cache = ground.path().join("cache");
        fs::create_dir(&cache).unwrap();
        fs::write(cache.join("kept"), "kept").unwrap();
        for (target, link) in
            [("/", "/"), ("/all", "/"), ("/all", "etc/.."), ("/etc/..", "/"), ("/all", "/all/..")]
        {
            let at = ground.base.join("all");
            let _ = fs::remove_file(&at);
            std::os::unix::fs::symlink(link, at).unwrap();
            let target = || target.to_owned();
            let mounts = [
                RunMount::Bind { target: target(), source: cache.clone(), read_only: false },
                RunMount::Bind { target: target(), source: cache.clone(), read_only: true },
                RunMount::Trees {
                    target: target(),
                    lower: vec![cache.clone()],
                    source: String::new(),
                    read_only: true,
                },
                RunMount::Tmpfs { target: target(), size: None },
            ];
            for mount in mounts {
                let mut step = ground.shell("echo it runs");
                step.mounts.push(mount.clone());
                let told = match ground.try_run(&step).await {
                    Err(error) => error.to_string(),
                    Ok(outcome) => panic!("{mode:?}: {mount:?}: {:?}: {}", outcome.ran.exit, outcome.out),
                };
                let expected = match link {
                    // That goes round in circles.
                    "/all/.." => "Too many levels of symbolic links".to_owned(),
                    _ => format!("cannot mount on {}: it leads to the root directory", target()),
                };
                assert!(told.contains(&expected), "{mode:?}: {mount:?}: {told}");
            }
        }
        assert_eq!(fs::read_to_string(cache.join("kept")).unwrap(), "kept");
    }
}

#[tokio::test]
async fn a_socket_is_for_whom_it_is_said_to_be() {
    for mode in Mode::ALL {
        let ground = match mode {
            Mode::SingleId => Ground::of_user(NOBODY, Some(mode)).await.unwrap(),
            _ => Ground::new(Some(mode)).await,
        };
        with_perl(&ground);
        for (user, owner, bits, allowed) in [
            (1000, 1000, 0o600, true),
            (0, 0, 0o600, true),
            (1000, 0, 0o666, true),
            // With one id, everybody is the same.
            (1000, 0, 0o600, mode == Mode::SingleId),
            (1000, 7, 0o660, mode == Mode::SingleId),
        ] {
            let source = listen(&ground);
            let mut step = ground.command(&[
                "/bin/perl",
                "-e",
                "socket(S, 1, 1, 0); connect(S, pack('Sa*', 1, '/run/socket')) or die $!; print <S>",
            ]);
            step.user = User { uid: user, gid: user, groups: vec![] };
            step.mounts.push(RunMount::Socket {
                target: "/run/socket".into(),
                source,
                mode: bits,
                uid: owner,
                gid: owner,
            });
            let outcome = ground.run(&step).await;
            let expected = if allowed { ("here\n", "") } else { ("", "Permission denied at -e line 1.\n") };
            assert_eq!((&*outcome.out, &*outcome.err), expected, "{mode:?}: {user} {owner} {bits:o}");
            if allowed {
                assert_eq!(outcome.paths(), Vec::<String>::new(), "{mode:?}");
            }
        }
    }
}

/// A new socket that belongs to whom the ground belongs to, with somebody behind it.
fn listen(ground: &Ground) -> PathBuf {
    let source = ground.path().join("socket");
    let _ = fs::remove_file(&source);
    let listener = UnixListener::bind(&source).unwrap();
    let owner = fs::metadata(ground.path()).unwrap().uid();
    std::os::unix::fs::chown(&source, Some(owner), Some(owner)).unwrap();
    std::thread::spawn(move || {
        for peer in listener.incoming() {
            peer.unwrap().write_all(b"here\n").unwrap();
        }
    });
    source
}

/// Perl without modules, which can speak to a socket.
fn with_perl(ground: &Ground) {
    fs::copy("/usr/bin/perl", ground.base.join("bin/perl")).unwrap();
    let told = Command::new("ldd").arg("/usr/bin/perl").output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    for library in told.split_whitespace().filter(|word| word.starts_with('/')) {
        let to = ground.base.join(&library[1..]);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(library, to).unwrap();
    }
}
