//! What ECR's API does for us.

use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::Ecr;
use crate::registry::{
    Client, Credential, Found, RegistryError, Result, Secret,
    aws::{AwsError, Key, Reach, Request},
};

/// A password that the API has issued.
#[derive(Debug, Clone)]
pub(in crate::registry) struct Issued {
    pub(in crate::registry) found: Found,
    /// When it was issued.
    pub(in crate::registry) since: Instant,
    /// From when on it is not used any more.
    pub(in crate::registry) stale: Instant,
}

impl Issued {
    /// One that was issued now, for this long.
    pub(in crate::registry) fn new(found: Found, life: Duration) -> Self {
        let since = Instant::now();
        Self { found, since, stale: since + life }
    }
}

/// The shortest time that a password is used for. One that looks older when it comes is from a clock that is wrong.
const SHORTEST: Duration = Duration::from_secs(300);

/// How long before its end a password is renewed: an upload under way should not meet it.
const BEFORE_END: Duration = Duration::from_secs(1800);

impl Client {
    /// Asks the API for a password (`GetAuthorizationToken`; those of today last for 12 hours).
    pub(in crate::registry) async fn issue(&self, registry: &str, ecr: &Ecr, reach: Reach) -> Result<Issued> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Data {
            authorization_token: String,
            expires_at: Option<f64>,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum OneOrMore {
            One(Data),
            More(Vec<Data>),
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Answer {
            authorization_data: OneOrMore,
        }
        let action = format!("get a password for {registry} from AWS (GetAuthorizationToken)");
        let (bytes, key) = self.ask_ecr(ecr, &action, "GetAuthorizationToken", &json!({}), reach).await?;
        // The parser's words could quote the token: they are left out.
        let broken = || RegistryError::Protocol {
            action: action.clone(),
            problem: "the answer is not understood".into(),
        };
        let answer: Answer = serde_json::from_slice(&bytes).map_err(|_| broken())?;
        let data = match answer.authorization_data {
            OneOrMore::One(data) => data,
            OneOrMore::More(list) => list.into_iter().next().ok_or_else(broken)?,
        };
        let decoded = STANDARD.decode(&data.authorization_token).ok().and_then(|b| String::from_utf8(b).ok());
        let (username, password) =
            decoded.as_deref().and_then(|text| text.split_once(':')).ok_or_else(broken)?;
        // It also ends with the session of the key that it was issued for.
        let ends = [data.expires_at, key.expires.map(|end| end.as_second() as f64)];
        let ends = ends.into_iter().flatten().fold(f64::INFINITY, f64::min);
        let life = (ends - Timestamp::now().as_second() as f64).clamp(0.0, 12.0 * 3600.0);
        let life = Duration::from_secs(life as u64);
        let found = Found::new(
            Credential::Password { username: username.to_owned(), password: Secret::new(password) },
            format!("AWS, {}", key.source),
        );
        Ok(Issued::new(found, life.saturating_sub(BEFORE_END).max(SHORTEST)))
    }

    /// Makes a repository; `name` is what people call it, `path` the registry. Whether it was not there already.
    pub(in crate::registry) async fn create_repository(
        &self,
        ecr: &Ecr,
        name: &str,
        path: &str,
    ) -> Result<bool> {
        let mut body = json!({ "repositoryName": ecr.repository(path) });
        if let Ecr::Private { account: Some(account), .. } = ecr {
            body["registryId"] = json!(account);
        }
        let action = format!("create the repository {name} (CreateRepository)");
        match self.ask_ecr(ecr, &action, "CreateRepository", &body, Reach::Machine).await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("RepositoryAlreadyExistsException") => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn ask_ecr(
        &self,
        ecr: &Ecr,
        action: &str,
        name: &str,
        body: &serde_json::Value,
        reach: Reach,
    ) -> Result<(Bytes, Key), AwsError> {
        let sources = self.inner.settings.credentials.aws();
        let url = sources.endpoint(ecr.endpoint_variable()).or_else(|| ecr.endpoint());
        let url = url.ok_or_else(|| AwsError::Unreachable {
            action: action.to_owned(),
            problem: format!("the region {:?} is none", ecr.region()),
        })?;
        let request = Request {
            action: action.to_owned(),
            service: ecr.service(),
            region: ecr.region(),
            url,
            headers: vec![
                ("content-type", "application/x-amz-json-1.1".to_owned()),
                ("x-amz-target", format!("{}.{name}", ecr.target())),
            ],
            body: body.to_string(),
        };
        let key = self.aws_key(ecr.region(), reach).await?;
        match self.aws_post(&request, &key).await {
            // The session may have been ended early: a source may have a new one.
            Err(error) if error.code().is_some_and(|code| code.contains("Expired")) => {
                self.inner.aws.forget(&key).await;
                let fresh = self.aws_key(ecr.region(), reach).await?;
                if fresh == key {
                    return Err(error);
                }
                Ok((self.aws_post(&request, &fresh).await?, fresh))
            }
            other => Ok((other?, key)),
        }
    }
}
