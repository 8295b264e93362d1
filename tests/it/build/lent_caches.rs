//! Caches where nothing can be mounted: they are moved into a step's root, and back.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Stdio},
    time::Instant,
};

use rustix::process::{Pid, Signal, kill_process};

use super::TestContext;

const CHROOT: [&str; 2] = ["--sandbox", "chroot"];

#[test]
fn steps_at_once_take_turns_and_see_what_the_others_left() {
    let ctx = TestContext::new();
    let mut text = String::new();
    for stage in ["a", "b", "c"] {
        let one = format!("mkdir /c/one && sleep 0.3 && busybox rmdir /c/one && touch /c/{stage} /{stage}");
        text += &format!("FROM bb AS {stage}\nRUN --mount=type=cache,target=/c {one}\n");
    }
    text += "FROM bb\nCOPY --from=a /a /made/\nCOPY --from=b /b /made/\nCOPY --from=c /c /no/\n";
    let text = text.replace("/c /c\n", "/c /made-c\n").replace("--from=c /c /no/", "--from=c /made-c /made/");
    let arguments = [&CHROOT[..], &["-j", "3"]].concat();
    let (_, told) = ctx.with_busybox().builds(&text, &arguments);
    assert!(told.contains("waiting for the cache /c"), "{told}");
    let (_, told) = ctx.builds("FROM bb\nRUN --mount=type=cache,target=/c echo with $(ls /c)\n", &CHROOT);
    assert!(told.contains(" with a b c\n"), "{told}");
}

#[test]
fn a_cache_that_a_step_took_away_is_made_anew() {
    let ctx = TestContext::new();
    let arguments = [&CHROOT[..], &["--no-cache"]].concat();
    ctx.with_busybox();
    for took in ["rm -rf /c && ln -s /tmp /c", "rm -rf /c && echo x > /c", "rm -rf /c", "mv /c /moved"] {
        let cache = format!("RUN --mount=type=cache,target=/c,uid=7,id={}", took.len());
        let look = format!("{cache} stat -c %u /c && echo with $(ls /c) && touch /c/new\n");
        // In this build, and in the next one.
        let text = format!("FROM bb\n{cache} touch /c/old && {took}\n{look}");
        let (_, told) = ctx.builds(&text, &arguments);
        assert!(told.contains(" 7\n") && told.contains(" with\n"), "{took}: {told}");
        let (_, told) = ctx.builds(&format!("FROM bb\n{look}"), &arguments);
        assert!(told.contains(" with new\n"), "{took}: {told}");
    }
}

#[test]
fn a_build_that_is_killed_leaves_a_cache_that_the_next_one_can_use() {
    let ctx = TestContext::new();
    let cache = "FROM bb\nRUN --mount=type=cache,target=/c";
    ctx.with_busybox().builds(&format!("{cache} touch /c/old\n"), &CHROOT);
    let mut child = begun(&ctx);
    // All at once, as when a container ends: nobody has time to put anything back.
    let all = descendants(Pid::from_child(&child));
    for signal in [Signal::STOP, Signal::KILL] {
        for pid in &all {
            // It may have ended with the others.
            let _ = kill_process(*pid, signal);
        }
    }
    child.wait().unwrap();
    ended(&all);
    for _ in 0..2 {
        let arguments = [&CHROOT[..], &["--no-cache"]].concat();
        let (_, told) = ctx.builds(&format!("{cache} echo with $(ls /c); touch /c/new\n"), &arguments);
        assert!(!told.contains("failed"), "{told}");
    }
    let (_, told) = ctx.builds(&format!("{cache} echo $(ls /c)\n"), &CHROOT);
    assert!(told.contains("new\n"), "{told}");
}

#[test]
fn a_cache_comes_back_however_slowly_its_step_ends() {
    let ctx = TestContext::new();
    let cache = "FROM bb\nRUN --mount=type=cache,target=/c";
    ctx.with_busybox().builds(&format!("{cache} touch /c/old\n"), &CHROOT);
    for signal in [Signal::KILL, Signal::INT] {
        let mut child = begun(&ctx);
        let all = descendants(Pid::from_child(&child));
        let [ours, _worker, supervisor, ..] = all[..] else { panic!("{all:?}") };
        kill_process(supervisor, Signal::STOP).unwrap();
        kill_process(ours, signal).unwrap();
        child.wait().unwrap();
        // This clears away what dead processes have left.
        assert!(ctx.run(&["images"]).status.success());
        kill_process(supervisor, Signal::CONT).unwrap();
        ended(&all);
        let arguments = [&CHROOT[..], &["--no-cache"]].concat();
        let (_, told) = ctx.builds(&format!("{cache} echo with $(ls /c)\n"), &arguments);
        assert!(told.contains(" with old\n"), "{signal:?}: {told}");
        let left = fs::read_dir(ctx.store().join("v1/tmp")).unwrap().flatten().map(|entry| entry.file_name());
        assert_eq!(left.collect::<Vec<_>>(), ["gate"]);
    }
}

/// A build whose step has the cache and runs.
fn begun(ctx: &TestContext) -> Child {
    ctx.write("Dockerfile", "FROM bb\nRUN --mount=type=cache,target=/c echo it runs; sleep 1000\n");
    let mut command =
        ctx.command(&["build", "--progress", "plain", "-f", "Dockerfile", "--sandbox", "chroot"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.trim_end().ends_with(" it runs") {
        line.clear();
        assert_ne!(told.read_line(&mut line).unwrap(), 0, "the step does not begin");
    }
    child.stderr = Some(told.into_inner());
    child
}

fn ended(all: &[Pid]) {
    let start = Instant::now();
    while all.iter().any(|pid| is_alive(*pid)) {
        assert!(start.elapsed().as_secs() < 60, "the command goes on");
        std::thread::yield_now();
    }
}

/// A process, and all that it and its children have started.
fn descendants(first: Pid) -> Vec<Pid> {
    let (mut all, mut at) = (vec![first], 0);
    while let Some(pid) = all.get(at) {
        let tasks = fs::read_dir(format!("/proc/{}/task", pid.as_raw_pid())).into_iter().flatten().flatten();
        let children: Vec<String> =
            tasks.map(|task| fs::read_to_string(task.path().join("children")).unwrap_or_default()).collect();
        all.extend(children.iter().flat_map(|list| list.split_whitespace()).map(|pid| {
            let pid = pid.parse().unwrap();
            Pid::from_raw(pid).unwrap()
        }));
        at += 1;
    }
    all
}

fn is_alive(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).unwrap_or_default();
    status.rsplit(')').next().is_some_and(|rest| !matches!(rest.split_whitespace().next(), None | Some("Z")))
}

#[test]
fn a_cache_is_seen_in_two_places_and_within_another() {
    let ctx = TestContext::new();
    let text = "FROM bb
RUN --mount=type=cache,target=/one,id=x --mount=type=cache,target=/two,id=x \\
    --mount=type=cache,target=/one/in,id=y --mount=type=cache,target=/ro,id=x,ro \\
    touch /two/a && ls /one/a && touch /one/in/b
RUN --mount=type=cache,target=/in/in,id=y --mount=type=cache,target=/x,id=x \\
    echo x $(ls /x) y $(ls /in/in)
RUN --mount=type=cache,target=/in/in,id=y --mount=type=cache,target=/in,id=x echo covered $(ls -A /in /in/in)
RUN --mount=type=cache,target=/x,id=x --mount=type=cache,target=/y,id=y echo x $(ls /x) then y $(ls /y)
";
    let (image, told) = ctx.with_busybox().builds(text, &CHROOT);
    assert!(told.contains(" x a y b\n"), "{told}");
    assert!(told.contains(" x a then y b\n"), "{told}");
    let ours: Vec<String> = image
        .layers
        .iter()
        .rev()
        .take(4)
        .flatten()
        .map(|member| String::from_utf8_lossy(&member.path).into_owned())
        .collect();
    assert_eq!(ours, Vec::<String>::new());
}
