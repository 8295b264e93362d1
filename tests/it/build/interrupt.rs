//! Ctrl-C.

use std::{fs, path::PathBuf, process::Stdio, time::Instant};

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
    let ended = child.wait().unwrap();
    if ended.success() {
        // A machine so fast that the build was over.
        return;
    }
    assert_eq!(ended.code(), Some(130));
    assert!(!ctx.project().join("out.tar").exists());
    run(&mut ctx.command(&["build", "-q", "-o", "type=oci,dest=out.tar"]));
    assert_eq!(temporary_files(&ctx), Vec::<PathBuf>::new());
    ctx.valid(&[]);
    ctx.valid(&["oci:out.tar"]);
}
