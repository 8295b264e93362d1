//! Where built images go.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{
    TestContext,
    image::{images_of, index, members},
};

const SPEC: &str = "from: scratch
layers:
  - {copy: a.txt, to: /a.txt}
  - write: {path: /kind, text: '${TARGETARCH}'}
  - symlink: {path: /link, target: a.txt}
config: {cmd: [/a.txt]}
";
const TWO: &str = "linux/amd64,linux/arm64";

fn project() -> TestContext {
    let ctx = TestContext::new();
    ctx.write("a.txt", "a").spec(SPEC);
    ctx
}

#[track_caller]
fn build(ctx: &TestContext, arguments: &[&str]) -> Vec<u8> {
    let mut all = vec!["build"];
    all.extend(arguments);
    let done = ctx.run(&all);
    assert!(done.status.success(), "{}", ctx.describe(&done));
    done.stdout
}

fn names(layout: &Path) -> Vec<String> {
    let index = index(layout);
    let entries = index["manifests"].as_array().unwrap();
    let name = |entry: &Value| {
        entry["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap_or("-").to_owned()
    };
    entries.iter().map(name).collect()
}

/// Every file below a directory, with its content.
fn tree(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut ahead = vec![folder.to_owned()];
    while let Some(next) = ahead.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            match path.symlink_metadata().unwrap().is_dir() {
                true => ahead.push(path),
                false => found.push((path.clone(), fs::read(&path).unwrap_or_default())),
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_layout_takes_several_images_and_names() {
    let ctx = project();
    let dest = "type=oci,dest=out";
    let out = ctx.project().join("out");
    build(&ctx, &["-o", dest, "-t", "app:1", "-t", "app:2", "--platform", TWO]);
    assert_eq!(names(&out), ["1", "2"]);
    let before = tree(&out);
    build(&ctx, &["-o", dest, "-t", "app:1", "-t", "app:2", "--platform", TWO]);
    assert_eq!(tree(&out), before);
    ctx.write("a.txt", "changed");
    build(&ctx, &["-o", dest, "-t", "app:2"]);
    assert_eq!(names(&out), ["1", "2"]);
    let index = index(&out);
    assert_eq!(images_of(&out, &index["manifests"][0])[1].member("a.txt").text(), "a");
    assert_eq!(images_of(&out, &index["manifests"][1])[0].member("a.txt").text(), "changed");
    ctx.valid(&["oci:out"]);
    ctx.valid(&[]);
    assert_eq!(fs::metadata(out.join("index.json")).unwrap().mode() & 0o7777, 0o666 & !umask());
}

fn umask() -> u32 {
    let probe = tempfile::tempdir().unwrap();
    fs::write(probe.path().join("x"), "").unwrap();
    0o666 & !fs::metadata(probe.path().join("x")).unwrap().mode()
}

#[test]
fn a_layout_in_a_tar_is_the_same_each_time() {
    let ctx = project();
    build(&ctx, &["-o", "type=oci,dest=a.tar", "-t", "app:1", "--platform", TWO]);
    build(&ctx, &["-o", "type=oci,dest=b.tar", "-t", "app:1", "--platform", TWO, "--no-cache"]);
    assert_eq!(
        fs::read(ctx.project().join("a.tar")).unwrap(),
        fs::read(ctx.project().join("b.tar")).unwrap()
    );
    ctx.valid(&["oci:a.tar"]);
}

#[test]
fn a_docker_archive() {
    let ctx = project();
    build(&ctx, &["-o", "type=docker,dest=a.tar", "-t", "app:1", "-t", "ghcr.io/me/app"]);
    let files = members(&fs::read(ctx.project().join("a.tar")).unwrap());
    let find = |path: &str| files.iter().find(|m| m.path == path.as_bytes()).unwrap();
    let manifest: Value = serde_json::from_str(find("manifest.json").text()).unwrap();
    let [image] = &manifest.as_array().unwrap()[..] else { panic!("{manifest}") };
    assert_eq!(image["RepoTags"], json!(["app:1", "ghcr.io/me/app:latest"]));
    assert_eq!(image["Layers"].as_array().unwrap().len(), 3);
    for layer in image["Layers"].as_array().unwrap() {
        assert!(!find(layer.as_str().unwrap()).content.is_empty());
    }
    let config: Value = serde_json::from_str(find(image["Config"].as_str().unwrap()).text()).unwrap();
    assert_eq!(config["config"]["Cmd"], json!(["/a.txt"]));

    let (_, text) = ctx.fails(SPEC, &["-o", "type=docker,dest=b.tar", "--platform", TWO]);
    assert!(text.contains("platform"), "{text}");
    assert!(!ctx.project().join("b.tar").exists());
}

#[test]
fn a_directory() {
    let ctx = project();
    build(&ctx, &["-o", "one"]);
    let at = |path: &str| ctx.project().join(path);
    assert_eq!(fs::read(at("one/a.txt")).unwrap(), b"a");
    assert_eq!(fs::read_link(at("one/link")).unwrap(), Path::new("a.txt"));
    build(&ctx, &["-o", "type=local,dest=two", "--platform", TWO]);
    assert_eq!(fs::read(at("two/linux_amd64/kind")).unwrap(), b"amd64");
    assert_eq!(fs::read(at("two/linux_arm64/kind")).unwrap(), b"arm64");
    // Again, over what is there.
    ctx.write("a.txt", "changed");
    build(&ctx, &["-o", "one"]);
    assert_eq!(fs::read(at("one/a.txt")).unwrap(), b"changed");
}

#[test]
fn a_tar() {
    let ctx = project();
    build(&ctx, &["-o", "type=tar,dest=root.tar"]);
    let bytes = fs::read(ctx.project().join("root.tar")).unwrap();
    let paths: Vec<_> = members(&bytes).iter().map(|m| m.line()).collect();
    assert_eq!(paths, ["a.txt f 644 0:0", "kind f 644 0:0", "link l 777 0:0"]);
    for to_stdout in ["-", "type=tar,dest=-", "type=tar,dest=/dev/stdout"] {
        assert!(build(&ctx, &["-o", to_stdout]) == bytes, "{to_stdout}");
    }
    let two = build(&ctx, &["-o", "-", "--platform", TWO]);
    assert!(members(&two).iter().any(|m| m.path == b"linux_arm64/kind" && m.text() == "arm64"));
}

#[test]
fn several_at_once_and_files_with_digests() {
    let ctx = project();
    let arguments =
        ["-o", "type=oci,dest=out", "-o", "type=tar,dest=t.tar", "-o", "dir", "-t", "app:1", "-q"];
    let files = ["--metadata-file", "meta.json", "--iidfile", "iid"];
    let stdout = build(&ctx, &[&arguments[..], &files].concat());
    let digest = String::from_utf8(stdout).unwrap();
    let digest = digest.trim_end();
    let read = |path: &str| fs::read_to_string(ctx.project().join(path)).unwrap();
    let index = index(&ctx.project().join("out"));
    assert_eq!(index["manifests"][0]["digest"], *digest);
    let image = &images_of(&ctx.project().join("out"), &index["manifests"][0])[0];
    assert_eq!(image.manifest["config"]["digest"], *read("iid"));
    let metadata: Value = serde_json::from_str(&read("meta.json")).unwrap();
    assert_eq!(metadata["containerimage.digest"], *digest);
    assert_eq!(metadata["containerimage.config.digest"], *read("iid"));
    assert_eq!(metadata["containerimage.descriptor"]["digest"], *digest);
    assert_eq!(metadata["image.name"], "docker.io/library/app:1");
    assert!(ctx.project().join("t.tar").exists() && ctx.project().join("dir/a.txt").exists());
}

#[test]
fn what_cannot_be_written_to_is_refused_and_left_alone() {
    let ctx = project();
    ctx.write("full/mine", "mine").write("file", "mine");
    for dest in
        ["type=oci,dest=full", "type=oci,dest=file", "type=oci,dest=file/below", "type=tar,dest=file/x.tar"]
    {
        let (_, text) = ctx.fails(SPEC, &["-o", dest]);
        assert!(text.contains("file") || text.contains("full"), "{text}");
    }
    assert_eq!(tree(&ctx.project().join("full")).len(), 1);
    assert_eq!(fs::read(ctx.project().join("file")).unwrap(), b"mine");
}

#[test]
fn nothing_half_written_stays_when_an_output_fails() {
    let ctx = project();
    ctx.write("file", "mine");
    let before: Vec<_> = tree(&ctx.project());
    for dest in ["type=tar,dest=file/x.tar", "type=docker,dest=file/x.tar", "type=oci,dest=file/x.tar"] {
        ctx.fails(SPEC, &["-o", dest, "--metadata-file", "meta.json", "--iidfile", "iid"]);
        assert_eq!(tree(&ctx.project()), before, "{dest}");
    }
    // A step that fails leaves no output at all.
    let broken = format!("{SPEC}target: main\n").replace("copy: a.txt", "copy: b.txt");
    ctx.fails(&broken, &["-o", "type=oci,dest=out", "-o", "type=tar,dest=t.tar"]);
    assert!(!ctx.project().join("out").exists() && !ctx.project().join("t.tar").exists());
}

#[test]
fn an_archive_keeps_the_modes_of_new_files() {
    let ctx = project();
    build(&ctx, &["-o", "type=oci,dest=a.tar"]);
    let mode = fs::metadata(ctx.project().join("a.tar")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o666 & !umask());
}

#[test]
fn the_last_lines_tell_names_and_places() {
    let ctx = project();
    let said = |arguments: &[&str]| {
        let done = ctx.run(&[&["build"], arguments].concat());
        assert!(done.status.success(), "{}", ctx.describe(&done));
        let text = ctx.filter(&String::from_utf8_lossy(&done.stderr));
        text[text.find("built ").expect("it says what was built")..].to_owned()
    };
    let here = "--platform=linux/amd64";
    insta::assert_snapshot!(said(&[here]), @r"
    built sha256:[DIGEST] (linux/amd64)
    it is in imgbuild's own store; give it a name (-t) and get it out with --load, --push or -o DEST
    done in [TIME]
    ");
    insta::assert_snapshot!(said(&[here, "-t", "app:1", "-t", "ghcr.io/me/app"]), @r"
    built sha256:[DIGEST] (linux/amd64) as app:1, ghcr.io/me/app:latest
    it is in imgbuild's own store; get it out with --load, --push or -o DEST
    done in [TIME]
    ");
    insta::assert_snapshot!(said(&["--platform", TWO, "-t", "app", "-o", "type=oci,dest=o.tar", "-o", "dir"]), @r"
    built sha256:[DIGEST] (linux/amd64, linux/arm64) as app:latest
    written to OCI layout in [ROOT]/project/o.tar
    written to directory [ROOT]/project/dir
    done in [TIME]
    ");
}

#[test]
fn images_without_a_name_are_known_by_their_digest() {
    let ctx = project();
    let digest = String::from_utf8(build(&ctx, &["-q", "--iidfile", "id"])).unwrap();
    let digest = digest.trim_end();
    let id = fs::read_to_string(ctx.project().join("id")).unwrap();
    let both = String::from_utf8(build(&ctx, &["-q", "--platform", TWO, "-t", "both"])).unwrap();
    let short = &digest["sha256:".len()..][..12];
    // Nothing listens there: whoever asks a registry fails.
    let inspect = |name: &str| {
        let mut command = ctx.command(&["inspect", "--json", name]);
        command.env("HTTPS_PROXY", "http://127.0.0.1:9").output().unwrap()
    };
    for name in [digest, short, &format!("sha256:{short}"), &format!("app@{digest}"), both.trim_end()] {
        let done = inspect(name);
        assert!(done.status.success(), "{name}: {}", ctx.describe(&done));
        let told: Value = serde_json::from_slice(&done.stdout).unwrap();
        let expected = if name == both.trim_end() { name } else { digest };
        assert_eq!(told["digest"], expected, "{name}");
    }
    ctx.valid(&[short]);
    // An ID is known where its image has a name: other tools show no more.
    build(&ctx, &["-t", "app"]);
    let told: Value = serde_json::from_slice(&inspect(&id).stdout).unwrap();
    assert_eq!(told["digest"], digest);
    for name in [format!("sha256:{}", "0".repeat(64)), "000000000000".to_owned(), "sha256:000-no".to_owned()]
    {
        let done = inspect(&name);
        assert_eq!(done.status.code(), Some(3), "{}", ctx.describe(&done));
        let text = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(text.contains("the local store has no image with the digest 000"), "{text}");
    }
}

#[test]
fn a_directory_that_is_called_as_an_archive_is_told_of() {
    let ctx = project();
    let told = |output| String::from_utf8(ctx.run(&["build", "-o", output]).stderr).unwrap();
    let text = told("out.tar");
    assert!(
        text.contains("warning: out.tar is a directory") && text.contains("type=oci,dest=out.tar"),
        "{text}"
    );
    assert!(!told("out").contains("warning") && !told("type=oci,dest=b.tar").contains("warning"));
}

/// A program of this name that prints something for `load` and fails at all else if `answers` is not.
fn engine(folder: &Path, name: &str, answers: bool, loads: &str) {
    let path = folder.join(name);
    let other = if answers { "exit 0" } else { "echo 'cannot connect' >&2; exit 1" };
    let text = format!("#!/bin/sh\ncase $1 in load) /bin/cat >/dev/null; {loads};; *) {other};; esac\n");
    fs::create_dir_all(folder).unwrap();
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn loading_says_where_to_and_as_what_and_takes_no_other_engine_than_was_chosen() {
    let loads = "echo Loaded image: app:1; echo Loaded image: b:2";
    let podman = "echo 'Loaded image: localhost/app:1'";
    let host = ("DOCKER_HOST", "tcp://127.0.0.1:9");
    // Whether docker answers and podman is there; the environment; the status and what is said.
    for (docker, has_podman, variable, status, said) in [
        (Some(true), true, None, 0, "loaded into docker as app:1, b:2\n"),
        (Some(true), true, Some(host), 0, "loaded into docker as app:1, b:2\n"),
        (None, true, None, 0, "loaded into podman (there is no docker) as localhost/app:1\n"),
        (None, false, None, 8, "neither docker nor podman could be started"),
        (Some(false), true, None, 8, "Docker does not answer: cannot connect"),
        (
            Some(false),
            true,
            Some(host),
            8,
            "Docker (DOCKER_HOST=tcp://127.0.0.1:9) does not answer: cannot connect",
        ),
        (
            Some(false),
            true,
            Some(("DOCKER_CONTEXT", "far")),
            8,
            "Docker (DOCKER_CONTEXT=far) does not answer",
        ),
        (None, true, Some(host), 8, "DOCKER_HOST=tcp://127.0.0.1:9"),
    ] {
        let ctx = project();
        let programs = ctx.project().with_file_name("programs");
        fs::create_dir(&programs).unwrap();
        if let Some(answers) = docker {
            engine(&programs, "docker", answers, loads);
        }
        if has_podman {
            engine(&programs, "podman", true, podman);
        }
        let mut command = ctx.command(&["build", "--load"]);
        let done = command.env("PATH", &programs).envs(variable).output().unwrap();
        let text = ctx.describe(&done);
        assert_eq!(done.status.code(), Some(status), "{text}");
        assert!(text.contains(said), "{said}: {text}");
        assert!(status == 0 || !text.contains("loaded into"), "{text}");
    }
}

#[test]
fn images_are_listed() {
    let ctx = project();
    let run = |arguments: &[&str], epoch: &str| {
        let done = ctx.command(arguments).env("SOURCE_DATE_EPOCH", epoch).output().unwrap();
        assert!(done.status.success(), "{}", ctx.describe(&done));
        String::from_utf8(done.stdout).unwrap()
    };
    let first = run(&["build", "-q", "-t", "app:1", "--platform", TWO], "1700000000");
    let second = run(&["build", "-q", "-t", "ghcr.io/me/app", "--platform", "linux/amd64"], "0");
    let short = |digest: &str| digest["sha256:".len()..][..12].to_owned();
    let table = run(&["images"], "");
    let lines: Vec<Vec<_>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NAME", "DIGEST", "PLATFORMS", "CREATED", "SIZE"]);
    assert_eq!(lines[1][..3], ["app:1", &short(&first), "linux/amd64,linux/arm64"]);
    assert_eq!(lines[1][3..5], ["2023-11-14", "22:13:20"]);
    assert_eq!(lines[2][..4], ["ghcr.io/me/app:latest", &short(&second), "linux/amd64", "-"]);
    assert_eq!(run(&["images", "-q"], ""), format!("{first}{second}"));

    let json: Value = serde_json::from_str(&run(&["images", "--json"], "")).unwrap();
    assert_eq!(json[0]["name"], "docker.io/library/app:1");
    assert_eq!(json[0]["digest"], *first.trim_end());
    assert_eq!(json[0]["platforms"], json!(["linux/amd64", "linux/arm64"]));
    assert_eq!(json[0]["created"], "2023-11-14T22:13:20Z");
    let one: Value = serde_json::from_str(&run(&["inspect", "--json", "ghcr.io/me/app"], "")).unwrap();
    assert_eq!(json[1]["size"], one["platforms"][0]["size"]);
}
