//! `imgbuild login` and `imgbuild logout`, as other tools read what they leave.

use std::{
    fs,
    io::Write,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::{Output, Stdio},
};

use crate::{
    support::{
        cli::TestContext,
        real_registry::{Options, Registry},
    },
    tools::{run, told, tool},
};

fn registry() -> Registry {
    Registry::start(Options { basic: true, ..Options::default() })
}

/// Runs the program with something on its standard input.
fn with_input(context: &TestContext, arguments: &[&str], input: &str, variables: &[(&str, &Path)]) -> Output {
    let mut command = context.command(arguments);
    command.envs(variables.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that fails early does not read it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn login(context: &TestContext, host: &str, password: &str) -> Output {
    with_input(context, &["login", host, "-u", "me", "--password-stdin"], password, &[])
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_login_is_kept_where_docker_and_podman_find_it() {
    let (context, registry) = (TestContext::new(), registry());
    let host = registry.host();
    let folder = context.home().join(".docker");
    let file = folder.join("config.json");

    // Wrong ones are never written.
    let refused = login(&context, &host, "hunter2");
    assert_eq!(refused.status.code(), Some(4), "{}", told(&refused));
    assert!(!file.exists() && !stderr(&refused).contains("hunter2"), "{}", told(&refused));

    let taken = login(&context, &host, "secret\r\n");
    assert!(taken.status.success(), "{}", told(&taken));
    assert!(stderr(&taken).contains("not encrypted"), "{}", told(&taken));
    assert!(taken.stdout.is_empty() && !told(&taken).contains("secret"), "{}", told(&taken));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&file)), (0o700, 0o600));

    // Ours, and others'.
    context.write("Dockerfile", "FROM scratch\nCOPY Dockerfile /\n");
    let image = format!("{host}/me/app:1");
    let built = context.run(&["build", "-t", &image, "--push"]);
    assert!(built.status.success(), "{}", told(&built));
    let listed = run(tool("skopeo", "skopeo")
        .args(["list-tags", "--tls-verify=false", &format!("docker://{host}/me/app"), "--authfile"])
        .arg(&file));
    assert!(listed.contains("\"1\""), "{listed}");
    let mut docker = tool("podman", "podman");
    let user = run(docker.args(["login", "--get-login", "--authfile"]).arg(&file).arg(&host));
    assert_eq!(user.trim(), "me");

    let out = context.run(&["logout", &host]);
    assert!(out.status.success() && stderr(&out).contains("logged out of"), "{}", told(&out));
    assert_eq!(fs::read_to_string(&file).unwrap(), "{\n\t\"auths\": {}\n}\n");
    let again = context.run(&["logout", &host]);
    assert!(again.status.success() && stderr(&again).contains("not logged in"), "{}", told(&again));
    assert_eq!(context.run(&["inspect", &image, "--registry-mirror", "x=y"]).status.code(), Some(0));
    let denied = context.run(&["build", "-t", &format!("{host}/me/app:2"), "--push"]);
    assert_eq!(denied.status.code(), Some(4), "{}", told(&denied));
    assert!(stderr(&denied).contains(&format!("imgbuild login {host}")), "{}", told(&denied));
}

#[test]
fn the_file_that_the_environment_names_is_changed_where_it_lies() {
    let (context, registry) = (TestContext::new(), registry());
    let host = registry.host();
    let before = "{\n  \"psFormat\": \"x\",\n  \"auths\": {\n    \"a.example\": {\"auth\":\"eDp5\"}\n  },\n  \"n\": 1.50\n}";
    let real = context.project().join("real.json");
    fs::write(&real, before).unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o644)).unwrap();
    let folder = context.project().join("docker");
    fs::create_dir(&folder).unwrap();
    symlink("../real.json", folder.join("config.json")).unwrap();

    for variable in [("DOCKER_CONFIG", folder.as_path()), ("REGISTRY_AUTH_FILE", real.as_path())] {
        fs::write(&real, before).unwrap();
        let arguments = ["login", &host, "-u", "me", "--password-stdin"];
        let taken = with_input(&context, &arguments, "secret", &[variable]);
        assert!(taken.status.success(), "{}", told(&taken));
        let after = fs::read_to_string(&real).unwrap();
        // base64 of me:secret.
        let entry = format!("    \"{host}\": {{\n      \"auth\": \"bWU6c2VjcmV0\"\n    }}\n");
        let expected = before.replace("{\"auth\":\"eDp5\"}\n", &format!("{{\"auth\":\"eDp5\"}},\n{entry}"));
        assert_eq!(after, expected);
        assert!(fs::symlink_metadata(folder.join("config.json")).unwrap().is_symlink());
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);
        let out = with_input(&context, &["logout", &host], "", &[variable]);
        assert!(out.status.success(), "{}", told(&out));
        assert_eq!(fs::read_to_string(&real).unwrap(), before);
    }
    assert!(!context.home().join(".docker").exists());
}

#[test]
fn helpers_keep_what_they_are_named_for() {
    let (context, registry) = (TestContext::new(), registry());
    let host = registry.host();
    let bin = context.project().join("bin");
    let kept = context.project().join("kept");
    fs::create_dir(&bin).unwrap();
    fs::create_dir(&kept).unwrap();
    let script = format!(
        "#!/bin/sh\ncd '{}' || exit 9\necho \"$1\" >> calls\ncase $1 in\nstore) cat > it ;;\nget) cat > /dev/null; [ -e it ] && cat \
         it || {{ echo 'credentials not found in native keychain'; exit 1; }} ;;\nerase) cat > erased; rm it ;;\nesac\n",
        kept.display()
    );
    fs::write(bin.join("docker-credential-drawer"), script).unwrap();
    fs::set_permissions(bin.join("docker-credential-drawer"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let folder = context.home().join(".docker");
    fs::create_dir(&folder).unwrap();

    for config in
        [r#"{"credsStore": "drawer"}"#.to_owned(), format!(r#"{{"credHelpers": {{"{host}": "drawer"}}}}"#)]
    {
        fs::write(folder.join("config.json"), &config).unwrap();
        let arguments = ["login", &host, "-u", "me", "--password-stdin"];
        let taken = with_input(&context, &arguments, "secret", &[("PATH", Path::new(&path))]);
        assert!(taken.status.success(), "{}", told(&taken));
        assert!(!stderr(&taken).contains("encrypted"), "{}", told(&taken));
        let stored: serde_json::Value = serde_json::from_slice(&fs::read(kept.join("it")).unwrap()).unwrap();
        assert_eq!(stored, serde_json::json!({"ServerURL": host, "Username": "me", "Secret": "secret"}));
        let file = fs::read_to_string(folder.join("config.json")).unwrap();
        assert!(file.contains(&format!("\"{host}\": {{}}")) && !file.contains("auth\""), "{file}");

        context.write("Dockerfile", "FROM scratch\nCOPY Dockerfile /\n");
        let mut build = context.command(&["build", "-t", &format!("{host}/me/app:1"), "--push"]);
        let built = build.env("PATH", &path).output().unwrap();
        assert!(built.status.success(), "{}", told(&built));

        let out = with_input(&context, &["logout", &host], "", &[("PATH", Path::new(&path))]);
        assert!(out.status.success(), "{}", told(&out));
        assert_eq!(fs::read_to_string(kept.join("erased")).unwrap(), host);
        assert!(!kept.join("it").exists());
    }
    // One that is not there is an error, and nothing is written in its place.
    fs::write(folder.join("config.json"), r#"{"credsStore": "nobody"}"#).unwrap();
    let failed = login(&context, &host, "secret");
    assert_eq!(failed.status.code(), Some(8), "{}", told(&failed));
    assert_eq!(fs::read_to_string(folder.join("config.json")).unwrap(), r#"{"credsStore": "nobody"}"#);
}

#[test]
fn what_is_missing_is_told() {
    let context = TestContext::new();
    let told = |arguments: &[&str], input: &str| {
        let output = with_input(&context, arguments, input, &[]);
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
        stderr(&output)
    };
    assert!(told(&["login", "localhost:1"], "").contains("-u USER"));
    assert!(told(&["login", "localhost:1", "-u", "me"], "").contains("--password-stdin"));
    assert!(told(&["login", "localhost:1", "-u", "me", "--password-stdin"], "\n").contains("empty"));
    assert!(told(&["login", "https://localhost:x", "-u", "me", "--password-stdin"], "p").contains("HOST"));
    fs::create_dir(context.home().join(".docker")).unwrap();
    fs::write(context.home().join(".docker/config.json"), "{\"auths\": hunter2").unwrap();
    assert!(!told(&["logout", "localhost:1"], "").contains("hunter2"));
}

/// On a terminal, with Python in place of the user.
#[test]
fn a_terminal_is_asked_and_shows_no_password() {
    const USER: &str = r#"
import os, pty, select, sys, time
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
seen = b""
def until(text):
    global seen
    while text not in seen:
        if not select.select([fd], [], [], 60)[0]:
            sys.exit("timeout: %r" % seen)
        try:
            seen += os.read(fd, 1000)
        except OSError:
            break
until(b"Username: ")
os.write(fd, b"me\n")
until(b"Password: ")
# What is typed is thrown away when the echo is switched off: that comes before the question.
os.write(fd, b"secret\n")
until(b"logged in")
_, status = os.waitpid(pid, 0)
sys.stdout.buffer.write(seen)
sys.exit(os.waitstatus_to_exitcode(status))
"#;
    let (context, registry) = (TestContext::new(), registry());
    let output = tool("python3", "python3")
        .args(["-c", USER, env!("CARGO_BIN_EXE_imgbuild"), "login", &registry.host()])
        .env("HOME", context.home())
        .env("IMGBUILD_HOME", context.store())
        .env_remove("DOCKER_CONFIG")
        .env_remove("REGISTRY_AUTH_FILE")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", told(&output));
    let seen = String::from_utf8_lossy(&output.stdout);
    assert!(seen.contains("Username: me") && !seen.contains("secret"), "{seen}");
    assert!(context.home().join(".docker/config.json").exists());
}
