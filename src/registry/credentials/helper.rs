//! Credential helpers: `docker-credential-NAME get`, `store` and `erase` (docker-credential-helpers' protocol).

use std::{
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{io::AsyncWriteExt, process::Command};

use crate::registry::Secret;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// What is said to a helper to keep something.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Kept<'a> {
    #[serde(rename = "ServerURL")]
    server_url: &'a str,
    username: &'a str,
    secret: &'a str,
}

/// Asks a helper; `None`: it knows no credential for this server. The error goes on from "the helper …" and never
/// quotes what the helper printed, which may be secret.
pub(super) async fn get(
    name: &str,
    folder: Option<&Path>,
    server: &str,
    timeout: Duration,
) -> Result<Option<(String, Secret)>, String> {
    let asked = tokio::time::timeout(timeout, call(name, folder, "get", server.as_bytes())).await;
    let output = asked.map_err(|_| format!("did not answer within {} s", timeout.as_secs()))??;
    if !output.status.success() {
        return if knows_nothing(&output) { Ok(None) } else { Err(format!("failed ({})", output.status)) };
    }
    let answer: Answer =
        serde_json::from_slice(&output.stdout).map_err(|_| "gave no answer that is understood".to_owned())?;
    if answer.secret.is_empty() {
        return Ok(None);
    }
    Ok(Some((answer.username, Secret::new(answer.secret))))
}

/// Has a helper keep a user name and a password.
pub(super) async fn store(
    name: &str,
    folder: Option<&Path>,
    server: &str,
    username: &str,
    password: &Secret,
) -> Result<(), String> {
    let kept = Kept { server_url: server, username, secret: password.expose() };
    let kept = serde_json::to_vec(&kept).map_err(|_| "cannot be told what to keep".to_owned())?;
    let output = call(name, folder, "store", &kept).await?;
    if output.status.success() { Ok(()) } else { Err(format!("failed to keep it ({})", output.status)) }
}

/// Has a helper forget what it keeps. Whether there was something.
pub(super) async fn erase(name: &str, folder: Option<&Path>, server: &str) -> Result<bool, String> {
    let output = call(name, folder, "erase", server.as_bytes()).await?;
    match output.status.success() {
        true => Ok(true),
        false if knows_nothing(&output) => Ok(false),
        false => Err(format!("failed to erase it ({})", output.status)),
    }
}

fn knows_nothing(output: &Output) -> bool {
    String::from_utf8_lossy(&output.stdout).to_lowercase().contains("credentials not found")
}

async fn call(name: &str, folder: Option<&Path>, verb: &str, input: &[u8]) -> Result<Output, String> {
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
        return Err("has a name that is no file name".to_owned());
    }
    let file = format!("docker-credential-{name}");
    let mut command = match folder {
        Some(folder) => Command::new(folder.join(file)),
        None => Command::new(file),
    };
    let mut child = command
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("could not be started: {error}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read is judged by its answer.
        let _ = stdin.write_all(input).await;
    }
    child.wait_with_output().await.map_err(|error| format!("could not be asked: {error}"))
}
