//! Docker's `config.json` and podman's `auth.json`.

use std::{collections::BTreeMap, path::Path};

use base64::{Engine, engine::general_purpose};
use serde::Deserialize;

use super::{Credential, CredentialError, of_pair};
use crate::registry::Secret;

/// The key under which Docker keeps Docker Hub.
pub(super) const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// The parts of the file that are about credentials. No `Debug`: it holds secrets.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct AuthFile {
    auths: BTreeMap<String, Option<Entry>>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: String,
}

#[derive(Deserialize, Default, Clone)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    #[serde(alias = "identityToken")]
    identitytoken: String,
    #[serde(alias = "registryToken")]
    registrytoken: String,
}

impl AuthFile {
    /// Reads the file; `None`: there is none.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, CredentialError> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(None);
            }
            Err(source) => return Err(CredentialError::Read { path: path.to_owned(), source }),
        };
        if bytes.trim_ascii().is_empty() {
            return Ok(None);
        }
        // The parser's words could quote a value: only its position is told.
        serde_json::from_slice(&bytes).map(Some).map_err(|error| CredentialError::File {
            path: path.to_owned(),
            problem: format!("it is not understood at line {} column {}", error.line(), error.column()),
        })
    }

    /// The helper for exactly this name.
    pub(super) fn helper(&self, name: &str) -> Option<&str> {
        lookup(&self.cred_helpers, name).map(String::as_str).filter(|helper| !helper.is_empty())
    }

    /// The helper for all names.
    pub(super) fn store(&self) -> Option<&str> {
        Some(self.creds_store.as_str()).filter(|helper| !helper.is_empty())
    }

    /// The entry for exactly this name. An empty one says only that a helper has it.
    pub(super) fn auth(&self, name: &str) -> Result<Option<Credential>, String> {
        let Some(Some(entry)) = lookup(&self.auths, name) else { return Ok(None) };
        if !entry.registrytoken.is_empty() {
            return Ok(Some(Credential::Bearer(Secret::new(&entry.registrytoken))));
        }
        if !entry.identitytoken.is_empty() {
            return Ok(Some(Credential::Identity(Secret::new(&entry.identitytoken))));
        }
        if !entry.auth.is_empty() {
            let (username, password) = decode(&entry.auth)
                .ok_or_else(|| format!("the auth of {name} is not base64 of USER:PASSWORD"))?;
            return Ok(Some(of_pair(&username, password)));
        }
        if !entry.username.is_empty() {
            return Ok(Some(of_pair(&entry.username, Secret::new(&entry.password))));
        }
        Ok(None)
    }
}

fn lookup<'a, T>(map: &'a BTreeMap<String, T>, name: &str) -> Option<&'a T> {
    map.get(name).or_else(|| map.iter().find(|(key, _)| normal(key) == name).map(|(_, value)| value))
}

/// A key as references would name it: without scheme, API version and closing slash, and Docker Hub under one name.
pub(super) fn normal(key: &str) -> String {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let key = key.trim_end_matches('/');
    let key = key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key);
    let (host, path) = key.split_once('/').map_or((key, None), |(host, path)| (host, Some(path)));
    let host = match host {
        "index.docker.io" | "registry-1.docker.io" | "registry.hub.docker.com" => "docker.io",
        other => other,
    };
    match path {
        Some(path) => format!("{host}/{path}"),
        None => host.to_owned(),
    }
}

/// `USER:PASSWORD` in base64. Docker pads old entries with zero bytes.
fn decode(auth: &str) -> Option<(String, Secret)> {
    let auth = auth.trim();
    let bytes = general_purpose::STANDARD
        .decode(auth)
        .or_else(|_| general_purpose::STANDARD_NO_PAD.decode(auth))
        .ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (username, password) = text.split_once(':')?;
    Some((username.to_owned(), Secret::new(password.trim_matches('\0'))))
}
