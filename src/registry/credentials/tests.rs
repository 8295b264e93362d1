use std::{fs, os::unix::fs::PermissionsExt};

use super::*;

fn password(username: &str, password: &str) -> Credential {
    Credential::Password { username: username.into(), password: Secret::new(password) }
}

async fn find(config: &str, registry: &str, path: &str) -> Credential {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    fs::write(&file, config).unwrap();
    Credentials::none().with_file(file).find(registry, path).await.unwrap().credential
}

// base64: bTpw = m:p, bjpx = n:q.

#[tokio::test]
async fn keys_have_many_spellings() {
    for key in ["ghcr.io", "https://ghcr.io", "https://ghcr.io/", "http://ghcr.io/v2/", "https://ghcr.io/v1/"]
    {
        let config = format!(r#"{{"auths": {{"{key}": {{"auth": "bTpw"}}}}}}"#);
        assert_eq!(find(&config, "ghcr.io", "a/b").await, password("m", "p"), "{key}");
        assert_eq!(find(&config, "ghcr.io.example", "a/b").await, Credential::Anonymous, "{key}");
    }
    for key in ["https://index.docker.io/v1/", "docker.io", "index.docker.io", "registry-1.docker.io"] {
        let config = format!(r#"{{"auths": {{"{key}": {{"auth": "bTpw"}}}}}}"#);
        assert_eq!(find(&config, "docker.io", "library/alpine").await, password("m", "p"), "{key}");
    }
}

#[tokio::test]
async fn the_longest_path_decides() {
    let config = r#"{"auths": {"quay.io": {"auth": "bTpw"}, "quay.io/me": {"auth": "bjpx"}}}"#;
    assert_eq!(find(config, "quay.io", "me/app").await, password("n", "q"));
    assert_eq!(find(config, "quay.io", "me").await, password("n", "q"));
    assert_eq!(find(config, "quay.io", "mean/app").await, password("m", "p"));
    assert_eq!(find(config, "quay.io", "you/app").await, password("m", "p"));
}

#[tokio::test]
async fn entries_of_every_kind() {
    for (entry, expected) in [
        (r#"{"username": "m", "password": "p"}"#, password("m", "p")),
        (r#"{"auth": "bTpw", "identitytoken": "id"}"#, Credential::Identity(Secret::new("id"))),
        (r#"{"registrytoken": "rt"}"#, Credential::Bearer(Secret::new("rt"))),
        // <token>:t
        (r#"{"auth": "PHRva2VuPjp0"}"#, Credential::Identity(Secret::new("t"))),
        (r#"{}"#, Credential::Anonymous),
        ("null", Credential::Anonymous),
    ] {
        let config = format!(r#"{{"auths": {{"r.example": {entry}}}, "unknown": 1}}"#);
        assert_eq!(find(&config, "r.example", "a").await, expected, "{entry}");
    }
}

#[tokio::test]
async fn errors_do_not_quote_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    for config in [r#"{"auths": {"r": {"auth": "hunter2!"}}}"#, r#"{"auths": {"r": "hunter2"}}"#, "hunter2"] {
        fs::write(&file, config).unwrap();
        let error = Credentials::none().with_file(&file).find("r", "a").await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn the_environment_goes_first() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.json"), r#"{"auths": {"localhost:5000": {"auth": "bTpw"}}}"#)
        .unwrap();
    let mut variables = vec![("DOCKER_CONFIG".to_owned(), folder.path().display().to_string())];
    let from = |variables: &[(String, String)]| Credentials::from_environment(variables.to_vec());
    let found = from(&variables).find("localhost:5000", "a").await.unwrap();
    assert_eq!(found.credential, password("m", "p"));
    assert!(found.source.ends_with("config.json (auths localhost:5000)"), "{}", found.source);

    variables.push(("IMGBUILD_REGISTRY_LOCALHOST_5000_USERNAME".into(), "u".into()));
    let error = from(&variables).find("localhost:5000", "a").await.unwrap_err().to_string();
    assert!(error.contains("IMGBUILD_REGISTRY_LOCALHOST_5000_PASSWORD is not"), "{error}");

    variables.push(("IMGBUILD_REGISTRY_LOCALHOST_5000_PASSWORD".into(), "w".into()));
    assert_eq!(from(&variables).find("localhost:5000", "a").await.unwrap().credential, password("u", "w"));
}

#[tokio::test]
async fn podmans_files_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let config =
        |user: &str| format!(r#"{{"auths": {{"r.example": {{"username": "{user}", "password": "p"}}}}}}"#);
    fs::create_dir_all(home.join(".config/containers")).unwrap();
    fs::write(home.join(".config/containers/auth.json"), config("home")).unwrap();
    let mut variables = vec![("HOME".to_owned(), home.display().to_string())];
    let find = async |variables: &[(String, String)]| {
        Credentials::from_environment(variables.to_vec()).find("r.example", "a").await.unwrap().credential
    };
    assert_eq!(find(&variables).await, password("home", "p"));
    fs::write(home.join("given.json"), config("given")).unwrap();
    variables.push(("REGISTRY_AUTH_FILE".into(), home.join("given.json").display().to_string()));
    assert_eq!(find(&variables).await, password("given", "p"));
}

#[tokio::test]
async fn helpers_are_asked() {
    let folder = tempfile::tempdir().unwrap();
    let script = |name: &str, body: &str| {
        let path = folder.path().join(format!("docker-credential-{name}"));
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    script(
        "echo",
        r#"read -r server; echo "{\"ServerURL\": \"x\", \"Username\": \"$server\", \"Secret\": \"s\"}""#,
    );
    script("none", "cat >/dev/null; echo 'credentials not found in native keychain'; exit 1");
    script("bad", "cat >/dev/null; echo hunter2; echo hunter2 >&2; exit 3");
    let file = folder.path().join("config.json");
    let find = async |config: &str, registry: &str| {
        fs::write(&file, config).unwrap();
        let credentials = Credentials::none().with_file(&file).with_helpers(folder.path());
        credentials.find(registry, "a/b").await.unwrap()
    };
    let found = find(r#"{"credsStore": "echo"}"#, "docker.io").await;
    assert_eq!(found.credential, password("https://index.docker.io/v1/", "s"));
    let found = find(r#"{"credsStore": "none", "credHelpers": {"ghcr.io": "echo"}}"#, "ghcr.io").await;
    assert_eq!(found.credential, password("ghcr.io", "s"));
    let found = find(r#"{"credsStore": "none", "auths": {"ghcr.io": {"auth": "bTpw"}}}"#, "ghcr.io").await;
    assert_eq!(found.credential, password("m", "p"));
    for broken in ["bad", "missing", "../sh"] {
        let found = find(&format!(r#"{{"credsStore": "{broken}"}}"#), "ghcr.io").await;
        assert_eq!(found.credential, Credential::Anonymous);
        assert_eq!(found.warnings.len(), 1, "{found:?}");
        assert!(!found.warnings[0].contains("hunter2"), "{found:?}");
    }
}
