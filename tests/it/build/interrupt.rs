//! Ctrl-C.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::Stdio,
    time::Instant,
};

use rustix::process::{Pid, Signal, kill_process};

use super::TestContext;
use crate::tools::run;

/// The files below the context's folder that are not finished content: the store's, and those beside an output.
fn temporary_files(ctx: &TestContext) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut ahead = vec![ctx.store(), ctx.project()];
    while let Some(next) = ahead.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            let inside =
                path.strip_prefix(ctx.store()).is_ok_and(|path| path.iter().any(|part| part == "tmp"));
            if path.is_dir() {
                ahead.push(path);
            } else if name.starts_with(".imgbuild-") || inside && name != "gate" && name != "lock" {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn a_build_stops_at_once_and_leaves_nothing() {
    let ctx = TestContext::new();
    for file in 0..24 {
        let noise: Vec<u8> =
            (0..4_000_000u32).map(|n| ((n ^ file).wrapping_mul(2_654_435_761) >> 17) as u8).collect();
        ctx.write(&format!("d/{file}"), noise);
    }
    ctx.spec("from: scratch\nlayers:\n  - {copy: d, to: /d}\n");
    let mut command = ctx.command(&["build", "-o", "type=oci,dest=out.tar", "--jobs", "1"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // In mid-build: a temporary file of the store has begun.
    let start = Instant::now();
    while temporary_files(&ctx).is_empty() && child.try_wait().unwrap().is_none() {
        assert!(start.elapsed().as_secs() < 60, "the build does not begin");
        std::thread::yield_now();
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let ended = child.wait_with_output().unwrap();
    if ended.status.success() {
        // A machine so fast that the build was over.
        return;
    }
    assert_eq!(ended.status.code(), Some(130));
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(told.ends_with("interrupted\n"), "{told}");
    assert!(!ctx.project().join("out.tar").exists());
    run(&mut ctx.command(&["build", "-q", "-o", "type=oci,dest=out.tar"]));
    assert_eq!(temporary_files(&ctx), Vec::<PathBuf>::new());
    ctx.valid(&[]);
    ctx.valid(&["oci:out.tar"]);
}

/// How many processes have this word among their arguments.
fn processes_with(word: &str) -> usize {
    let has = |folder: PathBuf| {
        let line = fs::read(folder.join("cmdline")).unwrap_or_default();
        line.split(|b| *b == 0).any(|argument| argument == word.as_bytes())
    };
    fs::read_dir("/proc").unwrap().flatten().filter(|entry| has(entry.path())).count()
}

#[test]
fn a_step_is_stopped_and_no_name_is_given() {
    let ctx = TestContext::new();
    // No other process sleeps for as long.
    let seconds = format!("98{}", std::process::id());
    ctx.with_busybox();
    ctx.write("Dockerfile", format!("FROM bb\nRUN echo it runs; sleep {seconds}\n"));
    let before = run(&mut ctx.command(&["images", "-q"]));
    let mut command = ctx.command(&["build", "--progress", "plain", "-t", "mine", "-f", "Dockerfile", "."]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.trim_end().ends_with(" it runs") {
        line.clear();
        assert_ne!(told.read_line(&mut line).unwrap(), 0, "the step does not begin");
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let mut rest = String::new();
    told.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("interrupted\n"), "{rest}");
    // The kernel ends what the worker has started once the worker is gone.
    let start = Instant::now();
    while processes_with(&seconds) > 0 {
        assert!(start.elapsed().as_secs() < 60, "the command goes on");
        std::thread::yield_now();
    }
    assert_eq!(run(&mut ctx.command(&["images", "-q"])), before);
}
