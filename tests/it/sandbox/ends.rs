//! How commands end, and what is left of them.

use std::{fs, path::Path, sync::Arc, time::Duration};

use imgbuild::sandbox::{Exit, Limits, RunMount};

use super::ground::Ground;

#[tokio::test]
async fn statuses_are_told_as_they_are() {
    let ground = Ground::new(None).await;
    fs::write(ground.base.join("bin/text"), "no program").unwrap();
    for (script, exit) in [
        ("exit 0", Exit::Code(0)),
        ("exit 3", Exit::Code(3)),
        ("kill -TERM $$", Exit::Signal(15)),
        ("kill -9 $$", Exit::Signal(9)),
        ("missing", Exit::Code(127)),
        ("/etc/passwd", Exit::Code(126)),
    ] {
        let outcome = ground.run(&ground.shell(script)).await;
        assert_eq!(outcome.ran.exit, exit, "{script}");
        let kept = exit == Exit::Code(0);
        assert_eq!((outcome.upper.exists(), outcome.changes.exists()), (kept, kept), "{script}");
    }
}

#[tokio::test]
async fn what_cannot_be_executed_is_said() {
    let ground = Ground::new(None).await;
    let elf = |machine: u8| [b"\x7fELF\x02\x01\x01".as_slice(), &[0; 9], &[2, 0, machine, 0]].concat();
    for (name, content) in [("text", b"no program".to_vec()), ("script", b"#!/nowhere\n".to_vec())] {
        let path = ground.base.join("bin").join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    for (argv, status, said) in [
        ("missing", 127, "is not in the PATH of the image (/bin)"),
        ("/bin/missing", 127, "is not in the image"),
        ("/etc/passwd", 126, "is not executable"),
        ("text", 126, "is neither a program nor does it begin with #!"),
        ("script", 127, "needs the interpreter /nowhere, which the image does not have"),
    ] {
        let outcome = ground.run(&ground.command(&[argv])).await;
        assert_eq!(outcome.ran.exit, Exit::Code(status), "{argv}");
        assert!(outcome.err.starts_with("imgbuild: ") && outcome.err.contains(said), "{}", outcome.err);
    }
    let path = ground.base.join("bin/foreign");
    fs::write(&path, elf(0xf7)).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let error = ground.try_run(&ground.command(&["foreign"])).await.err().unwrap().to_string();
    assert_eq!(
        error,
        "failed to run foreign: it is built for another platform (ELF machine 247), and nothing here runs its programs"
    );
}

#[tokio::test]
async fn strays_end_with_the_command() {
    let ground = Ground::new(None).await;
    // They keep the outputs open and ignore what they can.
    let outcome = ground
        .run(&ground.shell("trap '' TERM HUP; (setsid sh -c 'sleep 1000' &) ; sleep 1000 & echo done"))
        .await;
    assert_eq!((outcome.out.as_str(), outcome.ran.exit), ("done\n", Exit::Code(0)));
}

#[tokio::test]
async fn time_runs_out() {
    let ground = Ground::new(None).await;
    let mut step = ground.shell("echo begun; sleep 1000");
    step.limits = Limits { timeout: Some(Duration::from_millis(300)), ..Limits::default() };
    let outcome = ground.run(&step).await;
    assert_eq!((outcome.out.as_str(), outcome.ran.exit), ("begun\n", Exit::TimedOut));
}

#[tokio::test]
async fn dropping_the_future_kills() {
    let ground = Ground::new(None).await;
    let shared = ground.path().join("shared");
    fs::create_dir(&shared).unwrap();
    let mut step = ground.shell("touch /shared/begun; while true; do date > /shared/beat; sleep 0.01; done");
    step.mounts.push(RunMount::Bind { target: "/shared".into(), source: shared.clone(), read_only: false });
    {
        let run = ground.try_run(&step);
        tokio::pin!(run);
        loop {
            tokio::select! {
                _ = &mut run => panic!("it ended by itself"),
                () = tokio::time::sleep(Duration::from_millis(5)) => if shared.join("begun").exists() { break },
            }
        }
    }
    gone(&step.root.upper).await;
    gone_within(&ground.path().join("scratch")).await;
}

async fn gone(path: &Path) {
    while path.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn gone_within(path: &Path) {
    let of_a_step = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with("step-");
    while fs::read_dir(path).unwrap().flatten().any(|entry| of_a_step(&entry)) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn output_is_whole_and_in_order() {
    let ground = Ground::new(None).await;
    let out = ground.sh("seq 1 200000").await;
    let want: String = (1..=200_000).map(|number| format!("{number}\n")).collect();
    assert!(out == want, "{} bytes of {}", out.len(), want.len());
}

#[tokio::test]
async fn closed_outputs_do_no_harm() {
    let ground = Ground::new(None).await;
    let outcome = ground.run(&ground.shell("exec >&- 2>&-; sleep 0.05; exit 4")).await;
    assert_eq!(outcome.ran.exit, Exit::Code(4));
}

#[tokio::test]
async fn killing_everything_in_sight_kills_the_step_only() {
    let ground = Ground::new(None).await;
    let outcome = ground.run(&ground.shell("kill -9 1; kill -9 -1; exit 5")).await;
    assert_eq!(outcome.ran.exit, Exit::Code(5));
    assert_eq!(ground.sh("echo on").await, "on\n");
}

#[tokio::test]
async fn memory_runs_out() {
    let ground = Ground::new(None).await;
    let mut step = ground.shell("x=$(dd if=/dev/zero bs=1M count=200 2>/dev/null | tr '\\0' x); echo ${#x}");
    step.limits = Limits { memory: Some(64 << 20), cpus: Some(500), ..Limits::default() };
    let outcome = ground.run(&step).await;
    // Without control groups the command itself finds no memory.
    let limited = outcome.ran.warnings.is_empty();
    assert_eq!(outcome.ran.exit == Exit::OutOfMemory, limited, "{:?} {:?}", outcome.ran, outcome.err);
    assert_ne!(outcome.ran.exit, Exit::Code(0));
}

#[tokio::test]
async fn limits_are_set_as_far_as_allowed() {
    let ground = Ground::new(None).await;
    let mut step =
        ground.shell("ulimit -n; ulimit -H -n; df -k /dev/shm | tail -1 | tr -s ' ' | cut -d ' ' -f 2");
    step.limits.ulimits = vec![("nofile".into(), Some(100), Some(200)), ("nothing".into(), None, None)];
    step.limits.shm_size = Some(8 << 20);
    let outcome = ground.run(&step).await;
    assert_eq!(outcome.out, "100\n200\n8192\n", "{}", outcome.err);
    assert_eq!(outcome.ran.warnings, ["there is no resource limit nothing: it is not set"]);
}

#[tokio::test]
async fn a_fork_bomb_ends_with_its_time() {
    let ground = Ground::new(None).await;
    let mut step = ground.shell("f() { f & f & }; f; while true; do sleep 1; done");
    step.limits = Limits { timeout: Some(Duration::from_millis(50)), ..Limits::default() };
    assert_eq!(ground.run(&step).await.ran.exit, Exit::TimedOut);
    assert_eq!(ground.sh("cat /proc/sys/kernel/pid_max; ps | wc -l").await.lines().count(), 2);
}

#[tokio::test]
async fn a_dead_worker_is_an_error_and_not_a_hang() {
    let ground = Ground::new(None).await;
    let own = std::process::id().to_string();
    let children = fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
        let read = |file: &str| fs::read_to_string(entry.path().join(file)).unwrap_or_default();
        let parent =
            read("stat").rsplit(')').next().and_then(|rest| rest.split(' ').nth(2).map(str::to_owned));
        parent.as_deref() == Some(own.as_str()) && read("cmdline").contains("sandbox-worker")
    });
    // Other tests may run in this process: their workers are not to be harmed.
    let children: Vec<_> = children.collect();
    let [worker] = children.as_slice() else { return };
    let pid = worker.file_name().into_string().unwrap();
    assert!(std::process::Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    let error = ground.try_run(&ground.shell("true")).await.err().unwrap();
    assert_eq!(error.to_string(), "the sandbox ended unexpectedly: it was killed, or memory ran out");
}

/// The processes besides this one that have the file open.
fn holders(file: &Path) -> usize {
    let own = std::process::id();
    let others = fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
        let number = entry.file_name().to_string_lossy().parse::<u32>();
        number.is_ok_and(|number| number != own)
    });
    let holds = |entry: &fs::DirEntry| {
        let mut descriptors = fs::read_dir(entry.path().join("fd")).into_iter().flatten().flatten();
        descriptors.any(|descriptor| fs::read_link(descriptor.path()).is_ok_and(|target| target == file))
    };
    others.filter(holds).count()
}

#[tokio::test]
async fn locks_are_held_as_long_as_the_command_lives() {
    let ground = Ground::new(None).await;
    let path = ground.path().join("lock");
    let lock = Arc::new(fs::File::create(&path).unwrap());
    lock.try_lock().unwrap();
    let mut step = ground.shell("ls /proc/$$/fd; echo up; while ! test -e /shared/go; do sleep 0.01; done");
    let shared = ground.path().join("shared");
    fs::create_dir(&shared).unwrap();
    step.mounts.push(RunMount::Bind { target: "/shared".into(), source: shared.clone(), read_only: false });
    step.locks.push(lock);
    let (mut out, mut held) = (String::new(), 0);
    let ran = ground.sandbox.run(&step, |_, bytes| {
        out.push_str(&String::from_utf8_lossy(bytes));
        if out.ends_with("up\n") {
            held = holders(&path);
            fs::write(shared.join("go"), "").unwrap();
        }
    });
    assert_eq!(ran.await.unwrap().exit, Exit::Code(0));
    // The command has its three streams and no more.
    assert_eq!(out, "0\n1\n2\nup\n");
    // The supervisor and init; and what other tests start, until it becomes a program of its own.
    assert!(held >= 2, "{held}");
    while holders(&path) > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
