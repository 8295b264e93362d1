//! `imgbuild cache`, as its users run it.

use std::{
    fs::{self, File},
    time::{Duration, SystemTime},
};

use serde_json::Value;

use crate::{support::cli::TestContext, tools::told};

fn scene() -> TestContext {
    let ctx = TestContext::new();
    ctx.with_busybox();
    ctx.write(
        "Dockerfile",
        "FROM bb\nCOPY Dockerfile /\nRUN --mount=type=cache,id=mine,target=/c echo x > /c/x\n",
    );
    build(&ctx);
    ctx
}

#[track_caller]
fn build(ctx: &TestContext) -> String {
    let output = ctx.run(&["build", "--progress", "plain", "."]);
    assert!(output.status.success(), "{}", told(&output));
    String::from_utf8(output.stderr).unwrap()
}

#[track_caller]
fn json(ctx: &TestContext, arguments: &[&str]) -> Value {
    let output = ctx.run(&[&["cache"], arguments, &["--json"]].concat());
    assert!(output.status.success() && output.stderr.is_empty(), "{}", told(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn size(ctx: &TestContext, kind: &str) -> u64 {
    let summary = json(ctx, &["du"]);
    let kinds = summary["kinds"].as_array().unwrap();
    kinds.iter().find(|entry| entry["kind"] == kind).unwrap()["size"].as_u64().unwrap()
}

#[test]
fn what_is_kept_is_counted_and_named() {
    let ctx = scene();
    let summary = json(&ctx, &["du"]);
    let sum: u64 =
        summary["kinds"].as_array().unwrap().iter().map(|kind| kind["size"].as_u64().unwrap()).sum();
    assert_eq!(summary["total"], sum);
    for kind in ["images", "blobs", "records", "tars", "trees", "mounts", "stat", "logs"] {
        assert!(size(&ctx, kind) > 0, "{kind}: {summary}");
    }
    let mounts = json(&ctx, &["ls", "mounts"]);
    assert_eq!((mounts.as_array().unwrap().len(), &mounts[0]["name"]), (1, &Value::from("mine")));
    let all = json(&ctx, &["ls"]);
    let sizes: Vec<_> = all.as_array().unwrap().iter().map(|entry| entry["size"].as_u64().unwrap()).collect();
    assert!(sizes.is_sorted_by(|a, b| a >= b), "{sizes:?}");
    let text = ctx.transcript(&["cache", "ls", "mounts"]);
    assert!(text.contains("KIND") && text.contains("mine"), "{text}");
    let text = ctx.transcript(&["cache", "du"]);
    assert!(text.contains("total") && text.contains("are free"), "{text}");
}

#[test]
fn a_kind_is_cleared_and_images_stay() {
    let ctx = scene();
    let dry = json(&ctx, &["clear", "mounts", "--dry-run"]);
    assert_eq!((&dry["dryRun"], &dry["removed"][0]["name"]), (&true.into(), &"mine".into()));
    assert!(size(&ctx, "mounts") > 0);
    let cleared = json(&ctx, &["clear", "mounts"]);
    assert_eq!(cleared["removed"][0]["reason"], "cleared");
    assert_eq!(size(&ctx, "mounts"), 0);
    json(&ctx, &["clear"]);
    assert!(size(&ctx, "images") > 0);
    assert_eq!(size(&ctx, "blobs") + size(&ctx, "trees") + size(&ctx, "records"), 0);
    assert!(!build(&ctx).contains("CACHED"));
    json(&ctx, &["clear", "images"]);
    assert_eq!(ctx.run(&["images", "-q"]).stdout, b"");
    let failed = ctx.transcript(&["build", "-f", "Dockerfile", "--pull", "."]);
    assert!(failed.starts_with("status: ") && !failed.starts_with("status: 0"), "{failed}");
}

#[test]
fn limits_come_from_flags_then_the_environment_then_the_file() {
    let ctx = scene();
    ctx.write("c.toml", "[cache]\nmax-size = '3MB'\nmax-age = '30d'\n");
    let most = |environment: Option<&str>, arguments: &[&str]| {
        let mut command = ctx.command(&["cache", "gc", "--dry-run", "--json", "--config", "c.toml"]);
        command.args(arguments);
        if let Some(value) = environment {
            command.env("IMGBUILD_CACHE_MAX_SIZE", value);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", told(&output));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["maxSize"].as_u64().unwrap()
    };
    assert_eq!(most(None, &[]), 3_000_000);
    assert_eq!(most(Some("2GB"), &[]), 2_000_000_000);
    assert_eq!(most(Some("2GB"), &["--max-size", "1GiB"]), 1 << 30);
    let wrong = ctx.transcript(&["prune", "--max-size", "much"]);
    assert!(wrong.contains("--max-size \"much\" is not a size, as in 20GB"), "{wrong}");
}

#[test]
fn builds_collect_once_in_a_while() {
    let ctx = scene();
    let build = |variables: &[(&str, &str)]| {
        let mut command = ctx.command(&["build", "--progress", "plain", "."]);
        command.env("IMGBUILD_CACHE_MAX_SIZE", "1kB").envs(variables.iter().copied());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", told(&output));
        String::from_utf8(output.stderr).unwrap()
    };
    // A while has not passed since the first build.
    assert!(!build(&[]).contains("of cache"));
    let mark = ctx.store().join("v1/evicted");
    let later = || {
        let two_hours = Duration::from_secs(7200);
        File::options().write(true).open(&mark).unwrap().set_modified(SystemTime::now() - two_hours).unwrap();
    };
    later();
    assert!(!build(&[("IMGBUILD_CACHE_GC", "off")]).contains("of cache"));
    later();
    let told = build(&[]);
    assert!(told.contains("removed ") && told.contains("of cache, least recently used first"), "{told}");
    // What this build used is there still.
    assert!(build(&[]).contains("CACHED"));
    assert!(fs::metadata(mark).unwrap().modified().unwrap().elapsed().unwrap() < Duration::from_secs(3000));
}
