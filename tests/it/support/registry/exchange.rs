//! One request to the registry, and the answer to it when no rule interferes.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{Method, Response, StatusCode};
use imgbuild::oci::Digest;

use super::{Auth, BoxError, Keeps, Mounts, Options, Reply, Seen, State};

pub(super) fn full(bytes: impl Into<Bytes>) -> BoxBody<Bytes, BoxError> {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed()
}

pub(super) struct Exchange {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) address: SocketAddr,
    pub(super) seen: Seen,
    pub(super) options: Options,
}

impl Exchange {
    pub(super) fn reply(&self, status: u16, headers: &[(&str, String)], body: impl Into<Bytes>) -> Reply {
        let mut builder = Response::builder().status(StatusCode::from_u16(status).unwrap());
        for (name, value) in headers {
            builder = builder.header(*name, value);
        }
        builder.body(full(body)).unwrap()
    }

    fn error(&self, status: u16, code: &str) -> Reply {
        self.reply(
            status,
            &[],
            format!(r#"{{"errors":[{{"code":"{code}","message":"{code} of the fake"}}]}}"#),
        )
    }

    fn path(&self) -> &str {
        self.seen.path.split('?').next().unwrap()
    }

    fn query(&self, name: &str) -> Vec<String> {
        let query = self.seen.path.split_once('?').map_or("", |(_, query)| query);
        url::form_urlencoded::parse(query.as_bytes())
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
            .collect()
    }

    /// The repository and what follows it, of `/v2/<repository>/<kind>/<rest>`.
    fn split(&self) -> Option<(String, &'static str, String)> {
        let path = self.path().strip_prefix("/v2/")?;
        ["manifests", "blobs", "tags"].into_iter().find_map(|kind| {
            let (repository, rest) = path.split_once(&format!("/{kind}/"))?;
            Some((repository.to_owned(), kind, rest.to_owned()))
        })
    }

    pub(super) fn authorize(&self) -> Option<Reply> {
        let given = self.seen.header("authorization").unwrap_or_default();
        match &self.options.auth {
            Auth::None => None,
            Auth::Basic(user, password) => {
                let expected = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
                let challenge = ("www-authenticate", "Basic realm=\"fake\"".to_owned());
                (given != expected && self.path().starts_with("/v2/"))
                    .then(|| self.reply(401, &[challenge], r#"{"errors":[{"code":"UNAUTHORIZED"}]}"#))
            }
            Auth::Bearer(bearer) => {
                let ping = self.path() == "/v2/";
                if !self.path().starts_with("/v2/") || ping && bearer.open_ping {
                    return None;
                }
                let needed = self.needed_scopes();
                let mut state = self.state.lock().unwrap();
                let token = given.strip_prefix("Bearer ").and_then(|token| state.tokens.get_mut(token));
                let valid = token.is_some_and(|(scopes, uses)| {
                    let granted = |(repository, action): &(String, &str)| {
                        scopes.iter().any(|scope| {
                            scope
                                .strip_prefix(&format!("repository:{repository}:"))
                                .is_some_and(|actions| actions.split(',').any(|a| a == *action))
                        })
                    };
                    let left = uses.is_none_or(|uses| uses > 0);
                    if let Some(uses) = uses {
                        *uses = uses.saturating_sub(1);
                    }
                    left && needed.iter().all(granted)
                });
                if valid {
                    return None;
                }
                let challenge = format!("Bearer realm=\"http://{}/token\",service=\"fake\"", self.address);
                let headers: &[_] = if bearer.challenge_only_on_ping && !ping {
                    &[]
                } else {
                    &[("www-authenticate", challenge)]
                };
                Some(self.reply(401, headers, r#"{"errors":[{"code":"UNAUTHORIZED"}]}"#))
            }
        }
    }

    fn needed_scopes(&self) -> Vec<(String, &'static str)> {
        let Some((repository, _, _)) = self.split() else { return vec![] };
        let action = if matches!(self.seen.method.as_str(), "GET" | "HEAD") { "pull" } else { "push" };
        let mut needed = vec![(repository, action)];
        needed.extend(self.query("from").into_iter().map(|from| (from, "pull")));
        needed
    }

    pub(super) fn answer(&self, method: &Method, body: Bytes) -> Reply {
        if self.path() == "/token" {
            return self.token(method, &body);
        }
        if self.path() == "/v2/" {
            return self.reply(200, &[], "{}");
        }
        let Some((repository, kind, rest)) = self.split() else { return self.error(404, "NAME_UNKNOWN") };
        match (kind, rest.strip_prefix("uploads/")) {
            ("blobs", Some(upload)) => self.upload(method, &repository, upload, &body),
            ("blobs", None) => self.read_blob(&repository, &rest),
            ("manifests", _) if method == Method::DELETE => self.delete(&repository, &rest),
            ("manifests", _) if method == Method::PUT => self.write_manifest(&repository, &rest, body),
            ("manifests", _) => self.read_manifest(method, &repository, &rest),
            _ => self.tags(&repository),
        }
    }

    fn token(&self, method: &Method, body: &[u8]) -> Reply {
        let Auth::Bearer(bearer) = &self.options.auth else { return self.error(404, "UNKNOWN") };
        let mut scopes = self.query("scope");
        if method == Method::POST {
            let form: HashMap<String, String> = url::form_urlencoded::parse(body).into_owned().collect();
            if let Some(status) = bearer.post_status {
                return self.reply(status, &[], "");
            }
            if form.get("grant_type").map(String::as_str) != Some("refresh_token")
                || form.get("refresh_token").map(String::as_str) != bearer.identity
            {
                return self.error(401, "UNAUTHORIZED");
            }
            scopes = form["scope"].split(' ').map(str::to_owned).collect();
        } else if let Some((user, password)) = bearer.user {
            let expected = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
            if self.seen.header("authorization") != Some(&expected) {
                return self.error(401, "UNAUTHORIZED");
            }
        }
        if bearer.refuses.is_some_and(|repository| {
            scopes.iter().any(|scope| scope.starts_with(&format!("repository:{repository}:")))
        }) {
            return self.error(403, "DENIED");
        }
        let mut state = self.state.lock().unwrap();
        state.next += 1;
        let token = format!("token-{}", state.next);
        state.tokens.insert(token.clone(), (scopes, bearer.uses));
        let expires = bearer.expires_in.map_or(String::new(), |life| format!(", \"expires_in\": {life}"));
        self.reply(200, &[], format!("{{\"token\": \"{token}\"{expires}}}"))
    }

    fn read_blob(&self, repository: &str, digest: &str) -> Reply {
        let state = self.state.lock().unwrap();
        let Some(bytes) = state.blobs.get(&(repository.to_owned(), digest.to_owned())) else {
            return self.error(404, "BLOB_UNKNOWN");
        };
        if let Some(root) = &self.options.blob_root {
            return self.reply(307, &[("location", format!("{root}{}", self.seen.path))], "");
        }
        let mut bytes = bytes.clone();
        if self.options.corrupt {
            let mut changed = BytesMut::from(&bytes[..]);
            changed[0] ^= 1;
            bytes = changed.freeze();
        }
        let size = bytes.len();
        let start = self
            .seen
            .header("range")
            .filter(|_| !self.options.no_ranges)
            .and_then(|range| range.strip_prefix("bytes=")?.split('-').next()?.parse::<usize>().ok());
        let mut headers = vec![];
        if let Some(start) = start {
            bytes = bytes.slice(start..);
            headers.push(("content-range", format!("bytes {start}-{}/{size}", size - 1)));
        }
        headers.push(("content-length", bytes.len().to_string()));
        let body = if self.seen.method == "HEAD" { Bytes::new() } else { bytes };
        self.reply(if start.is_some() { 206 } else { 200 }, &headers, body)
    }

    fn read_manifest(&self, method: &Method, repository: &str, target: &str) -> Reply {
        let state = self.state.lock().unwrap();
        let Some((media_type, bytes)) = state.manifests.get(&(repository.to_owned(), target.to_owned()))
        else {
            return self.error(404, "MANIFEST_UNKNOWN");
        };
        let mut headers =
            vec![("content-type", media_type.clone()), ("content-length", bytes.len().to_string())];
        if !self.options.no_digest {
            headers.push(("docker-content-digest", Digest::of(bytes).to_string()));
        }
        self.reply(200, &headers, if method == Method::HEAD { Bytes::new() } else { bytes.clone() })
    }

    fn write_manifest(&self, repository: &str, target: &str, bytes: Bytes) -> Reply {
        let digest = Digest::of(&bytes);
        if target.contains(':') && target != digest.to_string() {
            return self.error(400, "DIGEST_INVALID");
        }
        let mut state = self.state.lock().unwrap();
        let key = |target: &str| (repository.to_owned(), target.to_owned());
        if self.options.immutable && !target.contains(':') && state.manifests.contains_key(&key(target)) {
            let body = r#"{"errors":[{"code":"TAG_INVALID","message":"the tag already exists and cannot be overwritten"}]}"#;
            return self.reply(400, &[], body);
        }
        let media_type = self.seen.header("content-type").unwrap_or_default().to_owned();
        state.manifests.insert(key(target), (media_type.clone(), bytes.clone()));
        state.manifests.insert(key(&digest.to_string()), (media_type, bytes));
        let mut headers = vec![];
        if !self.options.no_digest {
            headers.push(("docker-content-digest", digest.to_string()));
        }
        if self.options.many_tags {
            for tag in self.query("tag") {
                let there = state.manifests[&key(target)].clone();
                state.manifests.insert(key(&tag), there);
                headers.push(("oci-tag", tag));
            }
        }
        headers.extend(self.options.subject.clone().map(|subject| ("oci-subject", subject)));
        self.reply(201, &headers, "")
    }

    fn delete(&self, repository: &str, target: &str) -> Reply {
        match (self.options.keeps, target.contains(':')) {
            (Keeps::All, _) => return self.error(405, "UNSUPPORTED"),
            (Keeps::Tags, false) => return self.error(400, "DIGEST_INVALID"),
            _ => {}
        }
        let mut state = self.state.lock().unwrap();
        let key = (repository.to_owned(), target.to_owned());
        let Some((_, bytes)) = state.manifests.remove(&key) else {
            return self.error(404, "MANIFEST_UNKNOWN");
        };
        if target.contains(':') {
            state.manifests.retain(|(of, _), (_, other)| of != repository || *other != bytes);
        }
        self.reply(202, &[], "")
    }

    fn tags(&self, repository: &str) -> Reply {
        let state = self.state.lock().unwrap();
        let last = self.query("last").pop();
        let mut tags: Vec<_> = state
            .manifests
            .keys()
            .filter(|(name, target)| name == repository && last.as_ref().is_none_or(|last| target > last))
            .map(|(_, target)| target.clone())
            .collect();
        if tags.is_empty() {
            return self.reply(200, &[], r#"{"name": "x", "tags": null}"#);
        }
        let mut headers = vec![];
        if let Some(page) = self.options.page.filter(|page| *page < tags.len()) {
            tags.truncate(page);
            let next = format!("</v2/{repository}/tags/list?n={page}&last={}>; rel=\"next\"", tags[page - 1]);
            headers.push(("link", next));
        }
        self.reply(200, &headers, serde_json::json!({"tags": tags}).to_string())
    }

    fn upload(&self, method: &Method, repository: &str, id: &str, body: &[u8]) -> Reply {
        if method == Method::POST {
            return self.begin(repository);
        }
        let mut state = self.state.lock().unwrap();
        let Some(id) = id.parse::<usize>().ok().filter(|id| state.uploads.contains_key(id)) else {
            return self.error(404, "BLOB_UPLOAD_UNKNOWN");
        };
        let upload = state.uploads.get_mut(&id).unwrap();
        let at = self.session_headers(repository, id, upload.len());
        if method == Method::GET {
            return self.reply(204, &at, "");
        }
        if method == Method::PATCH {
            let start = self.seen.header("content-range").and_then(|r| r.split('-').next()?.parse().ok());
            let too_large = self.options.max_patch.is_some_and(|limit| body.len() as u64 > limit);
            if start != Some(upload.len()) || too_large {
                return self.reply(416, &at, "");
            }
            upload.extend_from_slice(body);
            let at = self.session_headers(repository, id, upload.len());
            return self.reply(202, &at, "");
        }
        upload.extend_from_slice(body);
        let bytes = state.uploads.remove(&id).unwrap().freeze();
        let digest = Digest::of(&bytes).to_string();
        if self.query("digest") != [digest.clone()] {
            return self.error(400, "DIGEST_INVALID");
        }
        state.blobs.insert((repository.to_owned(), digest), bytes);
        self.reply(201, &[], "")
    }

    fn begin(&self, repository: &str) -> Reply {
        let mut state = self.state.lock().unwrap();
        if let (Some(digest), Some(from)) = (self.query("mount").pop(), self.query("from").pop()) {
            match self.options.mounts {
                Mounts::Refused(status) => return self.reply(status, &[], ""),
                Mounts::Done => {
                    if let Some(bytes) = state.blobs.get(&(from, digest.clone())).cloned() {
                        state.blobs.insert((repository.to_owned(), digest), bytes);
                        return self.reply(201, &[], "");
                    }
                }
                Mounts::Declined => {}
            }
        }
        state.next += 1;
        let id = state.next;
        state.uploads.insert(id, BytesMut::new());
        let mut headers = self.session_headers(repository, id, 0);
        if self.options.no_location {
            headers.clear();
        }
        headers.extend(self.options.min_chunk.map(|least| ("oci-chunk-min-length", least.to_string())));
        self.reply(202, &headers, "")
    }

    /// A relative `Location` with a query of its own, unless an absolute one is asked for.
    fn session_headers(&self, repository: &str, id: usize, length: usize) -> Vec<(&'static str, String)> {
        let root = self.options.upload_root.clone().unwrap_or_default();
        vec![
            ("location", format!("{root}/v2/{repository}/blobs/uploads/{id}?_state=a%2Bb")),
            ("range", format!("0-{}", length.max(1) - 1)),
        ]
    }

    /// Keeps a part of an upload's body.
    pub(super) fn keep(&self, bytes: &[u8]) {
        let Some((_, _, rest)) = self.split() else { return };
        let Some(Ok(id)) = rest.strip_prefix("uploads/").map(str::parse::<usize>) else { return };
        if let Some(upload) = self.state.lock().unwrap().uploads.get_mut(&id) {
            upload.extend_from_slice(bytes);
        }
    }
}
