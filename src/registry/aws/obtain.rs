//! Getting a key from where it is to be had.

use std::{path::Path, process::Stdio, time::Duration};

use jiff::Timestamp;
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use url::{Host, form_urlencoded};

use super::{
    AwsError, Key, Request, Result, call,
    call::{element, explain},
    origin::{Origin, Role, SingleSignOn},
    sources::Sources,
};
use crate::registry::{
    Client, Secret,
    host::{self, Trust},
};

/// How long the services of a machine or a container may take, which are next to us or not there at all.
const NEARBY: Duration = Duration::from_secs(2);

/// How long a program may take that prints a key: some ask the user.
const PROCESS: Duration = Duration::from_secs(60);

/// A key as services next to us and programs spell it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    access_key_id: String,
    secret_access_key: String,
    #[serde(alias = "Token")]
    session_token: Option<String>,
    expiration: Option<String>,
}

impl Document {
    /// The parser's words could quote a secret: they are left out.
    fn read(bytes: &[u8], source: &str) -> Result<Key> {
        let not_understood = |_| AwsError::source(source, "what it says is not understood");
        let document: Self = serde_json::from_slice(bytes).map_err(not_understood)?;
        Ok(Key {
            id: document.access_key_id,
            secret: Secret::new(document.secret_access_key),
            token: document.session_token.map(Secret::new),
            expires: document.expiration.and_then(|text| text.parse().ok()),
            source: source.to_owned(),
        })
    }
}

/// Asks for keys on behalf of a client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) client: &'a Client,
    pub(super) sources: &'a Sources,
    /// The region of what the key is for.
    pub(super) region: &'a str,
}

impl Asking<'_> {
    pub(super) async fn key(&self, origin: &Origin) -> Result<Key> {
        match origin {
            Origin::Key(key) => Ok(key.clone()),
            Origin::Role { role, by } => {
                // Roles of roles: as deep as profiles refer to each other, which is limited.
                let by = Box::pin(self.key(by)).await?;
                self.assume(role, &by).await
            }
            Origin::WebIdentity { role, token } => self.web_identity(role, token).await,
            Origin::Process { command, source } => process(command, source).await,
            Origin::SingleSignOn(sso) => self.single_sign_on(sso).await,
            Origin::Container { url, token, token_file } => {
                let token = match token_file {
                    Some(file) => Some(read(file, "the container")?),
                    None => token.clone(),
                };
                self.container(url, token.as_ref()).await
            }
            Origin::Instance => self.instance().await,
        }
    }

    fn security_token_service(&self, role: &Role) -> Result<(Url, String)> {
        let region = role.region.as_deref().or_else(|| self.sources.region()).unwrap_or(self.region);
        let own = || Url::parse(&format!("https://sts.{region}.{}/", domain(region))).ok();
        let url = self.sources.endpoint("STS").or_else(own);
        let url =
            url.ok_or_else(|| AwsError::source(&role.source, format!("the region {region:?} is none")))?;
        Ok((url, region.to_owned()))
    }

    async fn assume(&self, role: &Role, by: &Key) -> Result<Key> {
        let (url, region) = self.security_token_service(role)?;
        let id = role.external_id.as_deref().map(|id| ("ExternalId", id));
        let request = Request {
            action: format!("take on the role {}", role.arn),
            service: "sts",
            region: &region,
            url,
            headers: vec![("content-type", FORM.to_owned())],
            body: form("AssumeRole", role, id),
        };
        session(&self.client.aws_post(&request, by).await?, &role.source)
    }

    async fn web_identity(&self, role: &Role, token: &Path) -> Result<Key> {
        let (url, _) = self.security_token_service(role)?;
        let action = format!("take on the role {}", role.arn);
        let token_text = read(token, &role.source)?;
        let form = form("AssumeRoleWithWebIdentity", role, Some(("WebIdentityToken", token_text.expose())));
        let web =
            self.client.web_for(&url).map_err(|error| AwsError::source(&role.source, error.to_string()))?;
        let make = || web.post(url.clone()).header("content-type", FORM).body(form.clone());
        let (status, body) = self.client.aws_send(&action, make).await?;
        match status.is_success() {
            true => session(&body, &role.source),
            false => Err(explain(&action, status, &body, &token.display().to_string())),
        }
    }

    async fn single_sign_on(&self, sso: &SingleSignOn) -> Result<Key> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Token {
            access_token: String,
            expires_at: String,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Role {
            access_key_id: String,
            secret_access_key: String,
            session_token: String,
            expiration: i64,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Answer {
            role_credentials: Role,
        }
        let source = format!("the profile {}", sso.profile);
        let login = || {
            AwsError::source(&source, "its session of single sign-on has ended, or none was begun")
                .with_hint(format!("begin one: aws sso login --profile {}", sso.profile))
        };
        let kept = std::fs::read(&sso.token).map_err(|_| login())?;
        let token: Token = serde_json::from_slice(&kept).map_err(|_| login())?;
        // Old versions of the CLI write `UTC` for `Z`.
        let expires = token.expires_at.replace("UTC", "Z").parse::<Timestamp>();
        if expires.is_ok_and(|expires| expires <= Timestamp::now()) {
            return Err(login());
        }
        let own = || Url::parse(&format!("https://portal.sso.{}.{}/", sso.region, domain(&sso.region))).ok();
        let url = self.sources.endpoint("SSO").or_else(own).and_then(|url| {
            let mut url = url.join("federation/credentials").ok()?;
            url.query_pairs_mut().append_pair("role_name", &sso.role).append_pair("account_id", &sso.account);
            Some(url)
        });
        let url = url.ok_or_else(|| AwsError::source(&source, "its sso_region is none"))?;
        let web = self.client.web_for(&url).map_err(|error| AwsError::source(&source, error.to_string()))?;
        let action = format!("get the key of the role {}", sso.role);
        let make = || web.get(url.clone()).header("x-amz-sso_bearer_token", &token.access_token);
        let (status, body) = self.client.aws_send(&action, make).await?;
        if status == StatusCode::UNAUTHORIZED {
            return Err(login());
        }
        let not_understood = || explain(&action, status, &body, &source);
        let answer: Answer = serde_json::from_slice(&body).map_err(|_| not_understood())?;
        let role = answer.role_credentials;
        Ok(Key {
            id: role.access_key_id,
            secret: Secret::new(role.secret_access_key),
            token: Some(Secret::new(role.session_token)),
            expires: Timestamp::from_millisecond(role.expiration).ok(),
            source,
        })
    }

    async fn container(&self, url: &str, token: Option<&Secret>) -> Result<Key> {
        let source = "the container's role";
        let parsed = Url::parse(url).ok().filter(is_near);
        let url = parsed.ok_or_else(|| {
            let problem = format!("{url:?} is neither https nor an address of a container's own");
            AwsError::source(source, problem)
        })?;
        let web = self.nearby(source)?;
        let make = || {
            let request = web.get(url.clone());
            match token {
                Some(token) => request.header("authorization", token.expose()),
                None => request,
            }
        };
        let (status, body) = self.client.aws_send("get the container's role", make).await?;
        match status.is_success() {
            true => Document::read(&body, source),
            false => Err(AwsError::source(source, format!("its service answered {status}"))),
        }
    }

    /// The machine's role, by IMDSv2 ("Amazon EC2 user guide", "Use the Instance Metadata Service").
    async fn instance(&self) -> Result<Key> {
        let source = "this machine's role";
        let root = self.sources.text("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or("http://169.254.169.254");
        let url = |path: &str| format!("{}/latest/{path}", root.trim_end_matches('/'));
        let web = self.nearby(source)?;
        let ask = async |request| {
            let (status, _, body) =
                call::once(request, NEARBY).await.map_err(|problem| AwsError::source(source, problem))?;
            match status {
                StatusCode::OK => Ok(body),
                other => Err(AwsError::source(source, format!("its service answered {other}"))),
            }
        };
        let ttl = ("x-aws-ec2-metadata-token-ttl-seconds", "300");
        let token = ask(web.put(url("api/token")).header(ttl.0, ttl.1)).await?;
        let with_token = |path: &str| web.get(url(path)).header("x-aws-ec2-metadata-token", token.as_ref());
        let roles = ask(with_token("meta-data/iam/security-credentials/")).await?;
        let roles = String::from_utf8_lossy(&roles).into_owned();
        let role = roles.lines().next().unwrap_or_default().trim();
        let path = format!("meta-data/iam/security-credentials/{role}");
        Document::read(&ask(with_token(&path)).await?, source)
    }

    /// The HTTP client for what is next to us: no proxy stands between.
    fn nearby(&self, source: &str) -> Result<reqwest::Client> {
        let trust = Trust { insecure: false, loopback: true, ca: &[] };
        let made = host::web(trust, &self.client.inner.settings);
        made.map_err(|error| AwsError::source(source, error.to_string()))
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

fn form(action: &str, role: &Role, more: Option<(&str, &str)>) -> String {
    form_urlencoded::Serializer::new(String::new())
        .append_pair("Action", action)
        .append_pair("Version", "2011-06-15")
        .append_pair("RoleArn", &role.arn)
        .append_pair("RoleSessionName", &role.session)
        .extend_pairs(more)
        .finish()
}

/// The key in the answer of the Security Token Service.
fn session(body: &[u8], source: &str) -> Result<Key> {
    let text = String::from_utf8_lossy(body);
    let value = |name: &str| {
        let missing = || AwsError::source(source, format!("the role's answer has no {name}"));
        element(&text, name).map(str::to_owned).ok_or_else(missing)
    };
    Ok(Key {
        id: value("AccessKeyId")?,
        secret: Secret::new(value("SecretAccessKey")?),
        token: Some(Secret::new(value("SessionToken")?)),
        expires: value("Expiration")?.parse().ok(),
        source: source.to_owned(),
    })
}

fn read(path: &Path, source: &str) -> Result<Secret> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        AwsError::source(source, format!("the token in {} cannot be read: {error}", path.display()))
    })?;
    Ok(Secret::new(text.trim()))
}

/// What a program prints ("AWS SDKs and Tools reference", "Process credential provider").
async fn process(command: &str, source: &str) -> Result<Key> {
    let child = tokio::process::Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .stderr(Stdio::null())
        .output();
    let failed = |problem: String| AwsError::source(source, format!("its credential_process {problem}"));
    let output = tokio::time::timeout(PROCESS, child)
        .await
        .map_err(|_| failed(format!("did not end within {} s", PROCESS.as_secs())))?
        .map_err(|error| failed(format!("could not be started: {error}")))?;
    match output.status.success() {
        true => Document::read(&output.stdout, source),
        false => Err(failed(format!("failed ({})", output.status))),
    }
}

/// Whether a container may send its token there: over TLS, or to addresses that lead nowhere else.
fn is_near(url: &Url) -> bool {
    match (url.scheme(), url.host()) {
        ("https", Some(_)) => true,
        ("http", Some(Host::Ipv4(ip))) => ip.is_loopback() || matches!(ip.octets(), [169, 254, 170, 2 | 23]),
        ("http", Some(Host::Ipv6(ip))) => {
            ip.is_loopback() || ip.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23]
        }
        ("http", Some(Host::Domain(name))) => name == "localhost",
        _ => false,
    }
}

/// The domain of a region's services (<https://docs.aws.amazon.com/general/latest/gr/rande.html>).
fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_containers_stay_near() {
        for (url, near) in [
            ("http://169.254.170.2/v2", true),
            ("http://169.254.170.23/v1/credentials", true),
            ("http://[fd00:ec2::23]/v1", true),
            ("http://127.0.0.1:51679/", true),
            ("http://localhost/", true),
            ("https://vault.example/", true),
            ("http://169.254.169.254/", false),
            ("http://example.com/", false),
            ("ftp://127.0.0.1/", false),
        ] {
            assert_eq!(is_near(&url.parse().unwrap()), near, "{url}");
        }
    }
}
