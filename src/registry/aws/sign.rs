//! Access keys, and signatures with them (AWS Signature Version 4).

use jiff::Timestamp;
use reqwest::header::HeaderValue;
use ring::hmac;
use url::Url;

use crate::{oci::Digest, registry::Secret};

/// An access key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    /// Its public name.
    pub(crate) id: String,
    /// The secret that signs.
    pub(crate) secret: Secret,
    /// What goes along with keys of a session.
    pub(crate) token: Option<Secret>,
    /// When it ends, if it does.
    pub(crate) expires: Option<Timestamp>,
    /// Where it came from, in words.
    pub(crate) source: String,
}

/// What a signature is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signed<'a> {
    pub(super) service: &'a str,
    pub(super) region: &'a str,
    pub(super) url: &'a Url,
    /// Names in lower case, sorted. `host` and what AWS adds are not among them.
    pub(super) headers: &'a [(&'static str, String)],
    pub(super) body: &'a [u8],
}

impl Signed<'_> {
    /// The headers that a `POST` needs besides those that it has.
    pub(super) fn headers(&self, key: &Key, now: Timestamp) -> Vec<(&'static str, HeaderValue)> {
        let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        let day = &time[..8];
        let mut headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let host = self.host();
        headers.push(("host", &host));
        headers.push(("x-amz-date", &time));
        if let Some(token) = &key.token {
            headers.push(("x-amz-security-token", token.expose()));
        }
        headers.sort_unstable();
        let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let lines: String =
            headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
        let path = self.url.path();
        let hash = Digest::of(self.body);
        let request = format!("POST\n{path}\n\n{lines}\n{names}\n{}", hash.hex());
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let hash = Digest::of(request.as_bytes());
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hash.hex());
        let start = format!("AWS4{}", key.secret.expose());
        let signing = [day, self.region, self.service, "aws4_request"]
            .iter()
            .fold(start.into_bytes(), |secret, part| mac(&secret, part.as_bytes()));
        let signature: String =
            mac(&signing, text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            key.id
        );
        let mut added = vec![("x-amz-date", time.clone()), ("authorization", authorization)];
        added.extend(key.token.as_ref().map(|token| ("x-amz-security-token", token.expose().to_owned())));
        added.into_iter().filter_map(|(name, value)| Some((name, hidden(&value)?))).collect()
    }

    fn host(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }
}

fn mac(secret: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text).as_ref().to_vec()
}

/// A header that is never printed. A key with a line break in it makes none, and the service says what is missing.
fn hidden(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_botocore() {
        for (url, token, signature) in [
            (
                "https://api.ecr.eu-west-1.amazonaws.com/",
                None,
                "host;x-amz-date;x-amz-target, \
                 Signature=f0b9e5447873591e04ab0cbcaf6805a098e9f3bc31c486cc2b70c71c6bbae6d9",
            ),
            (
                "http://127.0.0.1:5000/",
                Some("session/token=="),
                "host;x-amz-date;x-amz-security-token;x-amz-target, \
                 Signature=c0f2a4f952a02f1c8bc289b9cf2a4e1d3e1884a35d432f95573dcbe38bfc9966",
            ),
        ] {
            let key = Key {
                id: "AKIAIOSFODNN7EXAMPLE".into(),
                secret: Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
                token: token.map(Secret::new),
                expires: None,
                source: String::new(),
            };
            let target = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken";
            let headers =
                [("content-type", "application/x-amz-json-1.1".to_owned()), ("x-amz-target", target.into())];
            let url = &url.parse().unwrap();
            let signed = Signed { service: "ecr", region: "eu-west-1", url, headers: &headers, body: b"{}" };
            let found = signed.headers(&key, "2026-01-02T03:04:05Z".parse().unwrap());
            let header = |name| found.iter().find(|(n, _)| *n == name).map(|(_, v)| v.to_str().unwrap());
            let expected = format!(
                "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260102/eu-west-1/ecr/aws4_request, \
                 SignedHeaders=content-type;{signature}"
            );
            assert_eq!(header("authorization"), Some(expected.as_str()));
            assert_eq!(header("x-amz-date"), Some("20260102T030405Z"));
            assert_eq!(header("x-amz-security-token"), token);
            assert!(!format!("{found:?} {key:?}").contains("wJalr"));
        }
    }
}
