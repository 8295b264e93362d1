//! Which source gives the key: read from the environment and the files, with nothing asked yet.

use std::path::PathBuf;

use sha1::{Digest as _, Sha1};

use super::{AwsError, Key, Result, profile::Profiles, profile::Section, sources::Sources};
use crate::registry::Secret;

/// Where a key is to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// Here it is.
    Key(Key),
    /// A role that another key may take on.
    Role { role: Role, by: Box<Origin> },
    /// A role that the bearer of a token in a file may take on.
    WebIdentity { role: Role, token: PathBuf },
    /// What a program prints.
    Process { command: String, source: String },
    /// A session of single sign-on that `aws sso login` began.
    SingleSignOn(SingleSignOn),
    /// A container's role, by a URL that is asked with a token.
    Container { url: String, token: Option<Secret>, token_file: Option<PathBuf> },
    /// This machine's role.
    Instance,
}

/// A role, and what is said on taking it on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Role {
    pub(super) arn: String,
    pub(super) session: String,
    pub(super) external_id: Option<String>,
    /// The region whose service is asked.
    pub(super) region: Option<String>,
    /// Where it is named, in words.
    pub(super) source: String,
}

/// What a profile says of single sign-on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SingleSignOn {
    pub(super) profile: String,
    pub(super) region: String,
    pub(super) account: String,
    pub(super) role: String,
    /// The file with the session's token.
    pub(super) token: PathBuf,
}

/// How many profiles may refer to each other in a row.
const DEPTH: usize = 8;

impl Origin {
    /// The first source that is set up; `None`: none but perhaps the machine itself, which is to be asked.
    pub(super) fn find(sources: &Sources) -> Result<Option<Self>> {
        if let Some(key) = environment(sources)? {
            return Ok(Some(Self::Key(key)));
        }
        if let (Some(token), Some(arn)) =
            (sources.path("AWS_WEB_IDENTITY_TOKEN_FILE"), sources.text("AWS_ROLE_ARN"))
        {
            let role = Role {
                arn: arn.to_owned(),
                session: sources.text("AWS_ROLE_SESSION_NAME").unwrap_or(SESSION).to_owned(),
                external_id: None,
                region: None,
                source: "AWS_WEB_IDENTITY_TOKEN_FILE".to_owned(),
            };
            return Ok(Some(Self::WebIdentity { role, token }));
        }
        let named = sources.text("AWS_PROFILE").or_else(|| sources.text("AWS_DEFAULT_PROFILE"));
        let profiles = Profiles::read(sources)?;
        let name = named.unwrap_or("default");
        match profiles.profile(name) {
            Some(_) => {
                let reader = Reader { sources, profiles: &profiles };
                // A profile may name a region and nothing more.
                if let Some(origin) = reader.profile(name, DEPTH)? {
                    return Ok(Some(origin));
                }
            }
            None if named.is_some() => {
                let problem = "neither ~/.aws/config nor ~/.aws/credentials has it";
                return Err(AwsError::source(format!("the profile {name} (AWS_PROFILE)"), problem));
            }
            None => {}
        }
        Ok(container(sources))
    }
}

/// What sessions are called in AWS's logs.
const SESSION: &str = "imgbuild";

fn environment(sources: &Sources) -> Result<Option<Key>> {
    let source = "AWS_ACCESS_KEY_ID".to_owned();
    match (sources.text("AWS_ACCESS_KEY_ID"), sources.secret("AWS_SECRET_ACCESS_KEY")) {
        (Some(id), Some(secret)) => {
            let token = sources.secret("AWS_SESSION_TOKEN");
            Ok(Some(Key { id: id.to_owned(), secret, token, expires: None, source }))
        }
        (None, None) => Ok(None),
        (Some(_), None) => Err(AwsError::source("the environment", "AWS_SECRET_ACCESS_KEY is not set")),
        (None, Some(_)) => Err(AwsError::source("the environment", "AWS_ACCESS_KEY_ID is not set")),
    }
}

/// The address that containers of ECS ask.
const ECS: &str = "http://169.254.170.2";

fn container(sources: &Sources) -> Option<Origin> {
    let relative = sources.text("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").map(|path| format!("{ECS}{path}"));
    let url = relative.or_else(|| sources.text("AWS_CONTAINER_CREDENTIALS_FULL_URI").map(str::to_owned))?;
    Some(Origin::Container {
        url,
        token: sources.secret("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
        token_file: sources.path("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
    })
}

struct Reader<'a> {
    sources: &'a Sources,
    profiles: &'a Profiles,
}

impl Reader<'_> {
    fn profile(&self, name: &str, depth: usize) -> Result<Option<Origin>> {
        let source = format!("the profile {name}");
        let wrong = |problem: &str| AwsError::source(source.clone(), problem);
        let section = self.profiles.profile(name).ok_or_else(|| wrong("there is no such profile"))?;
        let deeper = depth.checked_sub(1).ok_or_else(|| wrong("profiles refer to each other in a circle"))?;
        if let Some(arn) = section.text("role_arn") {
            let role = Role {
                arn: arn.to_owned(),
                session: section.text("role_session_name").unwrap_or(SESSION).to_owned(),
                external_id: section.text("external_id").map(str::to_owned),
                region: section.text("region").map(str::to_owned),
                source: source.clone(),
            };
            if section.text("mfa_serial").is_some() {
                return Err(wrong("its role asks for a code of a second factor").with_hint(
                    "begin a session with the AWS CLI and pass it on: eval \"$(aws configure export-credentials \
                     --format env)\"",
                ));
            }
            if let Some(token) = section.text("web_identity_token_file") {
                return Ok(Some(Origin::WebIdentity { role, token: token.into() }));
            }
            let by = match (section.text("source_profile"), section.text("credential_source")) {
                // A profile that names itself has keys beside its role.
                (Some(other), _) if other == name => {
                    keys(section, &source).map(Origin::Key).ok_or_else(|| wrong("it has no keys"))?
                }
                (Some(other), _) => {
                    let found = self.profile(other, deeper)?;
                    found.ok_or_else(|| wrong(&format!("its source_profile {other} has no keys")))?
                }
                (None, Some("Environment")) => environment(self.sources)?
                    .map(Origin::Key)
                    .ok_or_else(|| wrong("AWS_ACCESS_KEY_ID is not set"))?,
                (None, Some("EcsContainer")) => container(self.sources)
                    .ok_or_else(|| wrong("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is not set"))?,
                (None, Some("Ec2InstanceMetadata")) => Origin::Instance,
                _ => return Err(wrong("role_arn needs source_profile, credential_source or a token's file")),
            };
            return Ok(Some(Origin::Role { role, by: Box::new(by) }));
        }
        if let Some(key) = keys(section, &source) {
            return Ok(Some(Origin::Key(key)));
        }
        if section.text("sso_account_id").is_some() {
            return self.single_sign_on(name, section).map(|sso| Some(Origin::SingleSignOn(sso)));
        }
        if let Some(command) = section.text("credential_process") {
            return Ok(Some(Origin::Process { command: command.to_owned(), source }));
        }
        Ok(None)
    }

    fn single_sign_on(&self, name: &str, section: &Section) -> Result<SingleSignOn> {
        let missing = |key: &str| AwsError::source(format!("the profile {name}"), format!("it has no {key}"));
        let session = section.text("sso_session");
        let shared =
            session.map(|session| self.profiles.session(session).ok_or_else(|| missing("sso_session")));
        let shared = shared.transpose()?.unwrap_or(section);
        let value = |of: &Section, key: &str| of.text(key).map(str::to_owned).ok_or_else(|| missing(key));
        // The CLI keeps tokens under the name of the session, or else the URL where it begins.
        let kept = match session {
            Some(session) => session.to_owned(),
            None => value(shared, "sso_start_url")?,
        };
        let hash: String = Sha1::digest(kept.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        let home = self.sources.path("HOME").ok_or_else(|| missing("home directory"))?;
        Ok(SingleSignOn {
            profile: name.to_owned(),
            region: value(shared, "sso_region")?,
            account: value(section, "sso_account_id")?,
            role: value(section, "sso_role_name")?,
            token: home.join(".aws/sso/cache").join(format!("{hash}.json")),
        })
    }
}

fn keys(section: &Section, source: &str) -> Option<Key> {
    Some(Key {
        id: section.text("aws_access_key_id")?.to_owned(),
        secret: section.secret("aws_secret_access_key")?,
        token: section.secret("aws_session_token"),
        expires: None,
        source: source.to_owned(),
    })
}
