//! Eviction beside builds, and killed: nothing that a build uses goes, and nothing is ever half there.

use std::{
    process::{Output, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use crate::{
    support::cli::TestContext,
    tools::{Random, told},
};

const ROUNDS: usize = 100;

/// Two builds that have some steps in common, with all that a store keeps.
fn scene() -> TestContext {
    let ctx = TestContext::new();
    ctx.with_busybox();
    let common = "FROM bb AS common
COPY src /src
RUN --mount=type=cache,target=/cache touch /cache/x && sort /src/a > /sorted
";
    ctx.write("one.Dockerfile", format!("{common}RUN --mount=type=bind,target=/mnt cat /mnt/src/b > /b\n"));
    ctx.write(
        "two.Dockerfile",
        format!("{common}FROM bb\nCOPY --from=common /sorted /sorted\nRUN cat /sorted > /two\n"),
    );
    for file in ["src/a", "src/b"] {
        ctx.write(file, "2\n1\n".repeat(1000));
    }
    ctx
}

fn build(ctx: &TestContext, file: &str) -> Output {
    let mut command = ctx.command(&["build", "-q", "-f", file, "."]);
    command.env("IMGBUILD_CACHE_GC", "off").env("SOURCE_DATE_EPOCH", "1").output().unwrap()
}

/// The digest of an image that was built without a warning.
#[track_caller]
fn digest(output: &Output, at: &str) -> String {
    assert!(output.status.success() && output.stderr.is_empty(), "{at}: {}", told(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn two_builds_and_eviction_on_one_store() {
    let ctx = scene();
    let expected = ["one", "two"].map(|name| digest(&build(&ctx, &format!("{name}.Dockerfile")), name));
    let (done, evicted) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let evictor = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let output = ctx.run(&["cache", "gc", "--max-size", "0", "--json"]);
                assert!(output.status.success() && output.stderr.is_empty(), "{}", told(&output));
                let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
                evicted.fetch_add(report["removed"].as_array().unwrap().len(), Ordering::Relaxed);
            }
        });
        let builders = [("one", &expected[0]), ("two", &expected[1])].map(|(name, expected)| {
            let ctx = &ctx;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let output = build(ctx, &format!("{name}.Dockerfile"));
                    assert_eq!(digest(&output, &format!("{name}, round {round}")), *expected);
                }
            })
        });
        // The evictor ends also where a build has failed.
        let built = builders.map(|builder| builder.join());
        done.store(true, Ordering::Relaxed);
        let ended = evictor.join();
        for result in built.into_iter().chain([ended]) {
            result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
    assert!(evicted.load(Ordering::Relaxed) > ROUNDS, "{evicted:?} went");
    let output = ctx.run(&["validate"]);
    assert!(output.status.success(), "{}", told(&output));
    assert!(ctx.run(&["cache", "clear"]).status.success());
    // The base has a name: it was there all the time.
    assert_eq!(digest(&build(&ctx, "two.Dockerfile"), "at last"), expected[1]);
}

#[test]
fn eviction_that_is_killed_loses_nothing() {
    let ctx = scene();
    let mut random = Random::new(7);
    let expected = digest(&build(&ctx, "one.Dockerfile"), "first");
    for round in 0..20 {
        let mut command = ctx.command(&["cache", "gc", "--max-size", "0"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(40).mul_f64(random.fraction()));
        child.kill().unwrap();
        child.wait().unwrap();
        let output = ctx.run(&["validate"]);
        assert!(output.status.success(), "round {round}: {}", told(&output));
        assert_eq!(digest(&build(&ctx, "one.Dockerfile"), &format!("round {round}")), expected);
    }
    // What was set aside and not removed goes with the next one.
    assert!(ctx.run(&["cache", "gc"]).status.success());
    let left = std::fs::read_dir(ctx.store().join("v1/tmp")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).filter(|name| name != "gate").collect();
    assert!(left.is_empty(), "{left:?}");
}
