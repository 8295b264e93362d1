//! Trying a user name and a password.

use std::{collections::BTreeSet, sync::Arc};

use reqwest::{Method, StatusCode};

use super::{
    Client, Credential, Found, Result,
    challenge::Challenge,
    host::Host,
    request::Call,
    token::{Authorization, Scopes, TokenServer},
};

/// What a registry says of a credential that it was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// It is taken.
    Accepted,
    /// It was not looked at: the registry asks for none.
    NotAsked,
}

impl Client {
    /// Shows a credential to a registry, as one would in a request, and asks for nothing in particular.
    ///
    /// # Errors
    ///
    /// `Denied` if it is not taken.
    pub async fn check(&self, registry: &str, credential: &Credential) -> Result<Checked> {
        let host = self.host(registry)?;
        let base = self.reach(&host).await?.clone();
        let found = Found::new(credential.clone(), "what was given");
        let authorization = match (host.challenge(), credential) {
            (None, _) => return Ok(Checked::NotAsked),
            (Some(Challenge::Basic), Credential::Password { username, password }) => {
                Authorization::basic(username, password, &found.source)
            }
            (Some(Challenge::Basic), _) => return Ok(Checked::NotAsked),
            (Some(Challenge::Bearer { realm, service, .. }), _) => {
                self.token(&host, &realm, service.as_deref(), &found).await?
            }
        };
        let action = format!("log in to {registry}");
        let call = Call::new(&host, Method::GET, base, Scopes::pull(""), action);
        let answer = self.send_as(&call, &authorization).await?;
        match answer.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(answer.into_error().await),
            _ => Ok(Checked::Accepted),
        }
    }

    /// A token that is good for nothing in particular.
    async fn token(
        &self,
        host: &Arc<Host>,
        realm: &str,
        service: Option<&str>,
        found: &Found,
    ) -> Result<Authorization> {
        let server = TokenServer { host, realm, service, scopes: BTreeSet::new() };
        self.fetch_token(&server, found).await.map(|token| token.authorization)
    }
}
