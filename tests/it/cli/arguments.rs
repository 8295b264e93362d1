//! Arguments that are wrong, or leave the command out.

use crate::support::cli::TestContext;

#[test]
fn mistakes_are_explained() {
    let context = TestContext::new();
    context.write("other/file.txt", "").write("file", "");
    let mut all = String::new();
    for arguments in [
        &["insepct"][..],
        &["--platfrom", "linux/amd64"],
        &["build", "--compression", "xz"],
        &["--platform", "arm64"],
        &["-o", "type=oic,dest=x"],
        &["nowhere"],
        &["./nowhere"],
        &["other/file.txt"],
        &["file"],
        &["other"],
        &["--registry-mirror", "foo"],
        &["--ulimit", "files=3"],
        &["--cache-from", "type=gha"],
        &["--push=maybe"],
        &["-q"],
        &["inspect"],
        &["inspect", "oci:other"],
        &["validate", "oci:nowhere"],
        &["--config", "nowhere.toml", "images"],
    ] {
        all.push_str(&format!("$ imgbuild {}\n{}\n", arguments.join(" "), context.transcript(arguments)));
    }
    insta::assert_snapshot!(all);
}

/// What has no spec to build says so: whoever gets there was understood as `build`.
#[test]
fn without_a_command_imgbuild_builds() {
    let context = TestContext::new();
    context.write("app/x", "");
    for arguments in [
        &[][..],
        &["--progress", "plain"],
        &["--progress=plain", "-t", "y", "."],
        &["-t", "y", "."],
        &["."],
        &[
            "--rm=true",
            "--force-rm",
            "--provenance=false",
            "--sbom=false",
            "--load=true",
            "--push=false",
            ".",
        ],
        &["-D", "--builder", "mine", "--no-cache=false", "--pull=true", "--pull", "app"],
        &["app"],
        &["--platform", "linux/amd64"],
        &["build"],
        &["-q", "build"],
    ] {
        let output = context.run(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.starts_with("error: there is nothing to build in "), "{arguments:?}: {stderr}");
        assert_eq!(output.status.code(), Some(3), "{arguments:?}");
        assert!(output.stdout.is_empty());
    }
}

/// `docker build --check`.
#[test]
fn a_build_can_be_a_check_only() {
    let context = TestContext::new();
    context.write("app/Dockerfile", "from scratch\nCOPY Dockerfile /\n");
    for (arguments, status) in [
        (&["check", "app"][..], 0),
        (&["build", "--check", "app"], 1),
        (&["--check", "app"], 1),
        (&["build", "--call=check", "-f", "app/Dockerfile", "."], 1),
    ] {
        let done = context.run(arguments);
        assert_eq!(done.status.code(), Some(status), "{arguments:?} {}", context.describe(&done));
        assert!(
            String::from_utf8_lossy(&done.stdout).contains("ConsistentInstructionCasing"),
            "{arguments:?}"
        );
    }
    let json = context.run(&["build", "--call", "check,format=json", "app"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert!(!json["findings"].as_array().unwrap().is_empty());
    assert_eq!(context.run(&["images", "-q"]).stdout, b"", "nothing was built");
}

#[test]
fn the_configuration_file_is_the_users() {
    let context = TestContext::new();
    let folder = context.home().join(".config/imgbuild");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("imgbuild.toml"), "[build]\njobz = 2\n").unwrap();
    insta::assert_snapshot!(context.transcript(&["images"]), @r"
    status: 2
    ----- stdout
    ----- stderr
    error: unknown key `jobz`
     --> [ROOT]/home/.config/imgbuild/imgbuild.toml:2:1
      |
    2 | jobz = 2
      | ^^^^
    hint: did you mean `jobs`?
    ");
}
