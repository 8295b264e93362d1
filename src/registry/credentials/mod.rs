//! Where credentials come from. They are looked up when a registry asks for them and kept for this process alone.
//!
//! The first source that knows the registry decides:
//!
//! 1. `IMGBUILD_REGISTRY_<HOST>_USERNAME` and `…_PASSWORD`, with the host in upper case and `_` for all but letters
//!    and digits: `IMGBUILD_REGISTRY_GHCR_IO_USERNAME`;
//! 2. the file that `REGISTRY_AUTH_FILE` names;
//! 3. `config.json` in `$DOCKER_CONFIG`, else in `~/.docker`;
//! 4. `$XDG_RUNTIME_DIR/containers/auth.json`, then `$XDG_CONFIG_HOME/containers/auth.json` (`~/.config`);
//! 5. for registries of ECR, AWS ([`super::aws`]);
//! 6. what CI gives a job: `GITHUB_TOKEN` for GHCR, `CI_REGISTRY_PASSWORD` or `CI_JOB_TOKEN` for GitLab's registry.
//!
//! In a file, an entry for a longer path decides over one for a shorter one (`containers-auth.json(5)`): for
//! `quay.io/me/app`, `quay.io/me` goes before `quay.io`. For the same name, `credHelpers` go before `credsStore`, and
//! that before `auths`.

mod ci;
mod document;
mod file;
mod helper;
mod keep;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

pub use keep::Kept;

use super::{Secret, aws::Sources, error::NO_CREDENTIALS};

/// How to identify to a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// Not at all.
    Anonymous,
    /// By a user name and a password.
    Password {
        /// The user name.
        username: String,
        /// The password, or a token that takes its place.
        password: Secret,
    },
    /// By an identity token, which the token server exchanges (OAuth2's refresh token).
    Identity(Secret),
    /// By a token that goes to the registry as it is.
    Bearer(Secret),
}

/// A credential and where it was found, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The credential.
    pub credential: Credential,
    /// Where it was found, never its value: `/home/me/.docker/config.json (auths ghcr.io)`.
    pub source: String,
    /// Sources that could not be asked, in words for a warning.
    pub warnings: Vec<String>,
    /// Whether nobody has set it up for this registry: CI gives it to every job, and it may be no use for reading.
    pub implicit: bool,
}

impl Found {
    /// A credential that somebody has set up.
    pub fn new(credential: Credential, source: impl Into<String>) -> Self {
        Self { credential, source: source.into(), warnings: Vec::new(), implicit: false }
    }

    /// None.
    pub fn nothing() -> Self {
        Self::new(Credential::Anonymous, NO_CREDENTIALS)
    }
}

/// The sources of credentials.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    files: Vec<PathBuf>,
    environment: BTreeMap<String, Secret>,
    /// Where helper programs are looked for; `None`: along `PATH`.
    helpers: Option<PathBuf>,
    aws: Sources,
    given: Vec<ci::Given>,
}

/// What is wrong with a source of credentials.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// A file cannot be read.
    #[error("failed to read the credentials in {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not what it should be. What it holds instead is not told: it may be secret.
    #[error("{path} is no registry credentials file: {problem}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A file cannot be written.
    #[error("failed to write the credentials to {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A helper does not do what it is there for.
    #[error("the credential helper docker-credential-{program} {problem}")]
    Helper {
        /// Its name.
        program: String,
        /// What it did.
        problem: String,
    },
    /// There is no place for credentials.
    #[error("there is no place for credentials: neither HOME nor DOCKER_CONFIG is set")]
    Nowhere,
    /// One of the two variables for a registry is missing.
    #[error("{present} is set but {missing} is not")]
    Variable {
        /// The variable that is there.
        present: String,
        /// The variable that is not.
        missing: String,
    },
}

/// How long a helper may take: some ask the user to unlock a keychain.
const HELPER_TIMEOUT: Duration = Duration::from_secs(60);

const PREFIX: &str = "IMGBUILD_REGISTRY_";

impl Credentials {
    /// No credentials.
    pub fn none() -> Self {
        Self::default()
    }

    /// The sources that these environment variables name.
    pub fn from_environment(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let variables: BTreeMap<_, _> =
            variables.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let folder = |name: &str| variables.get(name).map(PathBuf::from);
        let home = folder("HOME");
        let below_home = |path: &str| home.as_ref().map(|home| home.join(path));
        let files = [
            folder("REGISTRY_AUTH_FILE"),
            folder("DOCKER_CONFIG").or_else(|| below_home(".docker")).map(|path| path.join("config.json")),
            folder("XDG_RUNTIME_DIR").map(|path| path.join("containers/auth.json")),
            folder("XDG_CONFIG_HOME")
                .or_else(|| below_home(".config"))
                .map(|path| path.join("containers/auth.json")),
        ];
        let (aws, given) = (Sources::new(&variables), ci::given(&variables));
        let environment = variables
            .into_iter()
            .filter(|(name, _)| name.starts_with(PREFIX))
            .map(|(name, value)| (name, Secret::new(value)))
            .collect();
        Self { files: files.into_iter().flatten().collect(), environment, helpers: None, aws, given }
    }

    /// Adds a file, asked after all others.
    #[must_use]
    pub fn with_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.push(path.into());
        self
    }

    /// Looks for helper programs in this folder instead of along `PATH`.
    #[must_use]
    pub fn with_helpers(mut self, folder: impl Into<PathBuf>) -> Self {
        self.helpers = Some(folder.into());
        self
    }

    /// The credential for a repository: `registry` as references name it, `path` the repository's path on it.
    ///
    /// # Errors
    ///
    /// A file that exists cannot be read or is malformed, or half a pair of variables is set. A helper that fails is
    /// only a warning: what it would have known may not be needed.
    pub async fn find(&self, registry: &str, path: &str) -> Result<Found, CredentialError> {
        if let Some((credential, source)) = self.in_environment(registry)? {
            return Ok(Found::new(credential, source));
        }
        let mut warnings = Vec::new();
        for file in &self.files {
            let Some(content) = file::AuthFile::read(file)? else { continue };
            if let Some((credential, name)) =
                self.in_file(file, &content, registry, path, &mut warnings).await?
            {
                let source = format!("{} ({name})", file.display());
                return Ok(Found { warnings, ..Found::new(credential, source) });
            }
        }
        let given = self.given.iter().find(|given| given.is_for(registry));
        let found = given.map(|given| Found::new(given.credential.clone(), given.source));
        let found = found.map(|found| Found { implicit: true, ..found });
        Ok(Found { warnings, ..found.unwrap_or_else(Found::nothing) })
    }

    /// What the environment says of AWS.
    pub(super) fn aws(&self) -> &Sources {
        &self.aws
    }

    fn in_environment(&self, registry: &str) -> Result<Option<(Credential, String)>, CredentialError> {
        let host: String = registry
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
            .collect();
        let username = format!("{PREFIX}{host}_USERNAME");
        let password = format!("{PREFIX}{host}_PASSWORD");
        match (self.environment.get(&username), self.environment.get(&password)) {
            (Some(user), Some(secret)) => {
                Ok(Some((of_pair(user.expose(), secret.clone()), format!("{username} and _PASSWORD"))))
            }
            (Some(_), None) => Err(CredentialError::Variable { present: username, missing: password }),
            (None, Some(_)) => Err(CredentialError::Variable { present: password, missing: username }),
            (None, None) => Ok(None),
        }
    }

    async fn in_file(
        &self,
        file: &Path,
        content: &file::AuthFile,
        registry: &str,
        path: &str,
        warnings: &mut Vec<String>,
    ) -> Result<Option<(Credential, String)>, CredentialError> {
        for name in candidates(registry, path) {
            let of_name = content.helper(&name).map(|helper| (helper, "credHelpers"));
            let of_host =
                || content.store().filter(|_| name == registry).map(|helper| (helper, "credsStore"));
            if let Some((program, field)) = of_name.or_else(of_host) {
                match helper::get(program, self.helpers.as_deref(), &server(&name), HELPER_TIMEOUT).await {
                    Ok(Some((username, secret))) => {
                        return Ok(Some((of_pair(&username, secret), format!("{field} {program}"))));
                    }
                    Ok(None) => {}
                    Err(problem) => warnings.push(format!(
                        "the credential helper docker-credential-{program}, which {} names, {problem}",
                        file.display()
                    )),
                }
            }
            let found = content
                .auth(&name)
                .map_err(|problem| CredentialError::File { path: file.to_owned(), problem })?;
            if let Some(credential) = found {
                return Ok(Some((credential, format!("auths {name}"))));
            }
        }
        Ok(None)
    }
}

/// A user name of `<token>` marks the secret as an identity token (docker-credential-helpers).
fn of_pair(username: &str, password: Secret) -> Credential {
    if username == "<token>" {
        Credential::Identity(password)
    } else {
        Credential::Password { username: username.to_owned(), password }
    }
}

/// The names that an entry for the repository may have, longest first.
fn candidates(registry: &str, path: &str) -> Vec<String> {
    let mut name = format!("{registry}/{path}");
    let mut names = Vec::new();
    while name.len() > registry.len() {
        names.push(name.clone());
        name.truncate(name.rfind('/').unwrap_or(0).max(registry.len()));
    }
    names.push(registry.to_owned());
    names
}

/// What helpers are asked for: Docker Hub goes by the URL of its first API.
fn server(name: &str) -> String {
    if name == "docker.io" { file::DOCKER_HUB_KEY.to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests;
