//! What CI gives the programs of a job without being asked.

use std::collections::BTreeMap;

use super::Credential;
use crate::registry::Secret;

/// A credential that the job was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Given {
    /// The registry that it is for.
    registry: String,
    pub(super) credential: Credential,
    /// The variables that it came in.
    pub(super) source: &'static str,
}

/// What the environment of a job gives. Both services make a token for each job, and both say for which registry it is.
pub(super) fn given(variables: &BTreeMap<String, String>) -> Vec<Given> {
    let text = |name: &str| variables.get(name).map(String::as_str);
    let is_on = |name: &str| text(name) == Some("true");
    let mut given = Vec::new();
    let mut give = |registry: Option<String>, user: Option<&str>, password: Option<&str>, source| {
        if let (Some(registry), Some(user), Some(password)) = (registry, user, password) {
            let credential =
                Credential::Password { username: user.to_owned(), password: Secret::new(password) };
            given.push(Given { registry, credential, source });
        }
    };
    if is_on("GITHUB_ACTIONS") {
        let user = text("GITHUB_ACTOR");
        give(github(text("GITHUB_SERVER_URL")), user, text("GITHUB_TOKEN"), "GITHUB_ACTOR and GITHUB_TOKEN");
    }
    if is_on("GITLAB_CI") {
        let registry = text("CI_REGISTRY").map(str::to_owned);
        let (user, password) = (text("CI_REGISTRY_USER"), text("CI_REGISTRY_PASSWORD"));
        give(registry.clone(), user, password, "CI_REGISTRY_USER and CI_REGISTRY_PASSWORD");
        give(registry, Some("gitlab-ci-token"), text("CI_JOB_TOKEN"), "CI_JOB_TOKEN");
        let proxy = text("CI_DEPENDENCY_PROXY_SERVER").map(str::to_owned);
        let (user, password) = (text("CI_DEPENDENCY_PROXY_USER"), text("CI_DEPENDENCY_PROXY_PASSWORD"));
        give(proxy, user, password, "CI_DEPENDENCY_PROXY_USER and CI_DEPENDENCY_PROXY_PASSWORD");
    }
    given
}

impl Given {
    pub(super) fn is_for(&self, registry: &str) -> bool {
        let own = self.registry.strip_suffix(":443").unwrap_or(&self.registry);
        own == registry.strip_suffix(":443").unwrap_or(registry)
    }
}

/// The registry of a GitHub: the token of a company's own is nothing for the public one.
fn github(server: Option<&str>) -> Option<String> {
    let host = match server {
        None => "github.com",
        Some(url) => url.strip_prefix("https://")?.trim_end_matches('/'),
    };
    match host {
        "github.com" => Some("ghcr.io".to_owned()),
        "" => None,
        own => Some(format!("containers.{own}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_given_tokens_for_one_registry() {
        let github = [("GITHUB_ACTIONS", "true"), ("GITHUB_ACTOR", "me"), ("GITHUB_TOKEN", "t")];
        let gitlab = [("GITLAB_CI", "true"), ("CI_REGISTRY", "gitlab.example:5050"), ("CI_JOB_TOKEN", "t")];
        let user = [("CI_REGISTRY_USER", "u"), ("CI_REGISTRY_PASSWORD", "p")];
        let enterprise = ("GITHUB_SERVER_URL", "https://git.corp.example");
        for (variables, registry, expected) in [
            (github.to_vec(), "ghcr.io", Some("me")),
            (github.to_vec(), "docker.io", None),
            (github.to_vec(), "ghcr.io.example", None),
            (github[1..].to_vec(), "ghcr.io", None),
            (github[..2].to_vec(), "ghcr.io", None),
            ([&github[..], &[enterprise]].concat(), "ghcr.io", None),
            ([&github[..], &[enterprise]].concat(), "containers.git.corp.example", Some("me")),
            ([&github[..], &[("GITHUB_SERVER_URL", "https://github.com")]].concat(), "ghcr.io", Some("me")),
            (gitlab.to_vec(), "gitlab.example:5050", Some("gitlab-ci-token")),
            (gitlab.to_vec(), "gitlab.example", None),
            ([&gitlab[..], &user].concat(), "gitlab.example:5050", Some("u")),
            (user.to_vec(), "gitlab.example:5050", None),
            (
                vec![
                    ("GITLAB_CI", "true"),
                    ("CI_DEPENDENCY_PROXY_SERVER", "gitlab.com:443"),
                    ("CI_DEPENDENCY_PROXY_USER", "u"),
                    ("CI_DEPENDENCY_PROXY_PASSWORD", "p"),
                ],
                "gitlab.com",
                Some("u"),
            ),
        ] {
            let map = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            let found = given(&map).into_iter().find(|given| given.is_for(registry));
            let user = found.map(|given| match given.credential {
                Credential::Password { username, .. } => username,
                other => panic!("{other:?}"),
            });
            assert_eq!(user.as_deref(), expected, "{registry} {variables:?}");
        }
    }
}
