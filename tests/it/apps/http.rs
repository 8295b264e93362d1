//! Questions over HTTP, asked from within a container.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::docker::Container;

/// What a server says.
#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// By their names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    /// As text, not compressed.
    pub(crate) body: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Asks from a container that has Python, until there is an answer that is no failure of the server.
#[track_caller]
pub(crate) fn ask(container: &Container, url: &str) -> Answer {
    send(container, url, "")
}

/// The same with a body: JSON, or `@` and a file in the container.
#[track_caller]
pub(crate) fn send(container: &Container, url: &str, body: &str) -> Answer {
    const SCRIPT: &str = r"import gzip, json, sys
from urllib import error, request
url, body = sys.argv[1:]
headers = {'Accept-Encoding': 'gzip', 'Content-Type': 'application/json'}
if body.startswith('@'):
    headers['Content-Type'] = 'application/octet-stream'
    with open(body[1:], 'rb') as file:
        body = file.read()
else:
    body = body.encode()
try:
    answer = request.urlopen(request.Request(url, body or None, headers), timeout=10)
except error.HTTPError as refusal:
    if refusal.code >= 500:
        raise
    answer = refusal
text, headers = answer.read(), {name.lower(): value for name, value in answer.headers.items()}
if headers.get('content-encoding') == 'gzip':
    text = gzip.decompress(text)
print(json.dumps({'status': answer.status, 'headers': headers, 'body': text.decode()}))";
    serde_json::from_str(&container.until(&["python", "-c", SCRIPT, url, body])).unwrap()
}
