//! Credential helpers: `docker-credential-NAME get` (docker-credential-helpers' protocol).

use std::{path::Path, process::Stdio, time::Duration};

use serde::Deserialize;
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

/// Asks a helper; `None`: it knows no credential for this server. The error goes on from "the helper …" and never
/// quotes what the helper printed, which may be secret.
pub(super) async fn get(
    name: &str,
    folder: Option<&Path>,
    server: &str,
    timeout: Duration,
) -> Result<Option<(String, Secret)>, String> {
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
        return Err("has a name that is no file name".to_owned());
    }
    let file = format!("docker-credential-{name}");
    let mut command = match folder {
        Some(folder) => Command::new(folder.join(file)),
        None => Command::new(file),
    };
    let mut child = command
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("could not be started: {error}"))?;
    let ask = async {
        if let Some(mut stdin) = child.stdin.take() {
            // A helper that does not read is judged by its answer.
            let _ = stdin.write_all(server.as_bytes()).await;
        }
        child.wait_with_output().await
    };
    let output = tokio::time::timeout(timeout, ask)
        .await
        .map_err(|_| format!("did not answer within {} s", timeout.as_secs()))?
        .map_err(|error| format!("could not be asked: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout).to_lowercase();
        if said.contains("credentials not found") {
            return Ok(None);
        }
        return Err(format!("failed ({})", output.status));
    }
    let answer: Answer =
        serde_json::from_slice(&output.stdout).map_err(|_| "gave no answer that is understood".to_owned())?;
    if answer.secret.is_empty() {
        return Ok(None);
    }
    Ok(Some((answer.username, Secret::new(answer.secret))))
}
