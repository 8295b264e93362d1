//! Arguments that are wrong, or leave the command out.

use crate::support::cli::TestContext;

#[test]
fn mistakes_are_explained() {
    let context = TestContext::new();
    context.write("other/file.txt", "");
    let mut all = String::new();
    for arguments in [
        &["insepct"][..],
        &["--platfrom", "linux/amd64"],
        &["build", "--compression", "xz"],
        &["--platform", "arm64"],
        &["-o", "type=oic,dest=x"],
        &["nowhere"],
        &["other"],
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
