//! The config of an image.

use serde_json::json;

use super::TestContext;

const BASE: &str = "from: scratch
config:
  env: {PATH: /base/bin, LANG: C}
  entrypoint: [/base]
  cmd: [a]
  user: nobody
  labels: {a: '1', b: '2'}
  expose: 80
  volumes: /data
  healthcheck: {cmd: [check]}
  onbuild: COPY . /
";

#[test]
fn every_field_is_written() {
    let ctx = TestContext::new();
    let image = ctx.build(
        "from: scratch
workdir: /w
layers:
  - env: {A: '1', B: '${A}2'}
  - workdir: sub
  - env: {A: '3'}
config:
  user: '5:6'
  env: {C: '${A}${B}'}
  entrypoint: [/bin/app, serve]
  cmd: exec it
  shell: [/bin/ash, -c]
  expose: [8000, 53/udp, 90-91]
  volumes: [/data, /cache]
  labels: {x: y}
  stopSignal: SIGINT
  stopTimeout: 30s
  healthcheck: {cmd: [check, it], interval: 30s, timeout: 1.5s, retries: 3, startPeriod: 1m, startInterval: 1s}
  onbuild: [RUN x, COPY a b]
  annotations: {note: n}
",
    );
    let config = &image.config["config"];
    let expected = json!({
        "User": "5:6",
        "Env": ["A=3", "B=12", "C=312"],
        "Entrypoint": ["/bin/app", "serve"],
        "Cmd": ["/bin/ash", "-c", "exec it"],
        "Shell": ["/bin/ash", "-c"],
        "ExposedPorts": {"53/udp": {}, "8000/tcp": {}, "90/tcp": {}, "91/tcp": {}},
        "Volumes": {"/cache": {}, "/data": {}},
        "Labels": {"x": "y"},
        "StopSignal": "SIGINT",
        "StopTimeout": 30,
        "WorkingDir": "/w/sub",
        "Healthcheck": {
            "Test": ["CMD", "check", "it"], "Interval": 30_000_000_000u64, "Timeout": 1_500_000_000u64,
            "Retries": 3, "StartPeriod": 60_000_000_000u64, "StartInterval": 1_000_000_000u64,
        },
        "OnBuild": ["RUN x", "COPY a b"],
    });
    assert_eq!(*config, expected);
    assert_eq!(image.manifest["annotations"], json!({"note": "n"}));
    assert_eq!(image.config["rootfs"], json!({"type": "layers", "diff_ids": []}));
}

#[test]
fn the_history_has_an_entry_a_step() {
    let ctx = TestContext::new();
    ctx.write("a", "a");
    let image = ctx.build("from: scratch\nlayers:\n  - {copy: a, to: /a}\n  - env: {A: b}\n  - mkdir: /d\n");
    let history = image.config["history"].as_array().unwrap();
    let empty: Vec<_> = history.iter().map(|h| h["empty_layer"].as_bool().unwrap_or(false)).collect();
    assert_eq!(empty, [false, true, false], "{history:?}");
    for entry in history {
        assert!(entry["created_by"].as_str().is_some_and(|text| !text.is_empty()), "{entry}");
    }
    assert_eq!(image.layers.len(), 2);
}

#[test]
fn a_base_is_kept_where_nothing_is_said() {
    let ctx = TestContext::new();
    ctx.spec(BASE).build_layout(&["-t", "base"]);
    let same = ctx.build("from: base\n");
    for (field, value) in [
        ("Env", json!(["PATH=/base/bin", "LANG=C"])),
        ("Entrypoint", json!(["/base"])),
        ("Cmd", json!(["a"])),
        ("User", json!("nobody")),
        ("Labels", json!({"a": "1", "b": "2"})),
        ("OnBuild", json!(null)),
    ] {
        assert_eq!(*same.run(field), value, "{field}");
    }
    let image = ctx.build(
        "from: base
layers:
  - env: {PATH: '/app:${PATH}'}
config:
  env: {PATH: '${PATH}:/last', LANG: ''}
  entrypoint: [/new]
  labels: {b: '3', c: '4'}
  expose: 90
  healthcheck: none
",
    );
    for (field, value) in [
        ("Env", json!(["PATH=/app:/base/bin:/last", "LANG="])),
        ("Entrypoint", json!(["/new"])),
        ("Cmd", json!(null)),
        ("Labels", json!({"a": "1", "b": "3", "c": "4"})),
        ("ExposedPorts", json!({"80/tcp": {}, "90/tcp": {}})),
        ("Healthcheck", json!({"Test": ["NONE"]})),
    ] {
        assert_eq!(*image.run(field), value, "{field}");
    }
}

#[test]
fn labels_and_annotations_of_the_command_line_go_first() {
    let ctx = TestContext::new();
    let image = ctx.build_with(
        "from: scratch\nannotations: {a: file, b: file}\nconfig: {labels: {l: file, m: file}}\n",
        &["--label", "l=flag", "--annotation", "a=flag"],
    );
    assert_eq!(*image.run("Labels"), json!({"l": "flag", "m": "file"}));
    assert_eq!(image.manifest["annotations"], json!({"a": "flag", "b": "file"}));
}
