//! Identifying to registries: finding out what they ask for, and the tokens that satisfy it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::{
    StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde::Deserialize;
use tokio::sync::Mutex;
use url::{Url, form_urlencoded};

use super::{
    Client, Credential, Found, Patience, RegistryError, Result, Secret,
    answer::{self, Answer},
    challenge::Challenge,
    client::Endpoint,
    error::{NO_CREDENTIALS, broken, is_refused},
    host::{Host, lock},
    location,
    retry::{self, Backoff, REFUSALS},
};

/// How long a token lasts that does not say it (distribution's token specification).
const DEFAULT_LIFE: u64 = 60;

/// What a request may do: actions by repository path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scopes {
    /// The repository whose credential is used.
    pub(super) owner: String,
    repositories: BTreeMap<String, &'static str>,
}

impl Scopes {
    pub(super) fn pull(path: &str) -> Self {
        Self { owner: path.into(), repositories: BTreeMap::from([(path.into(), "pull")]) }
    }

    pub(super) fn push(path: &str) -> Self {
        Self { owner: path.into(), repositories: BTreeMap::from([(path.into(), "pull,push")]) }
    }

    /// Also reads another repository, to mount from it: registries ask for that even where it is public.
    pub(super) fn and_pull(mut self, path: &str) -> Self {
        self.repositories.entry(path.into()).or_insert("pull");
        self
    }

    /// Whether something is to be written.
    pub(super) fn writes(&self) -> bool {
        self.repositories.values().any(|actions| actions.contains("push"))
    }

    fn texts(&self) -> BTreeSet<String> {
        self.repositories.iter().map(|(path, actions)| format!("repository:{path}:{actions}")).collect()
    }

    fn key(&self) -> String {
        let texts: Vec<_> = self.texts().into_iter().collect();
        format!("{} {}", self.owner, texts.join(" "))
    }
}

/// What goes along with a request.
#[derive(Debug, Clone)]
pub(super) struct Authorization {
    pub(super) header: Option<HeaderValue>,
    /// Where the credential behind it came from, in words.
    pub(super) source: String,
}

impl Authorization {
    pub(super) fn basic(username: &str, password: &Secret, source: &str) -> Self {
        Self { header: sensitive(&basic(username, password)), source: source.to_owned() }
    }
}

/// A place for one token. Whoever needs it waits for the one who fetches it.
#[derive(Debug, Default)]
pub(super) struct Slot(Mutex<Option<Token>>);

#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) authorization: Authorization,
    /// From when on it is not used any more.
    stale: Instant,
}

#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    expires_in: Option<f64>,
}

impl Client {
    /// The root of a registry's API. The first call finds out how the registry is reached and what it asks for: some
    /// name no challenge in later refusals, so it is taken from here.
    pub(super) async fn reach<'h>(&self, host: &'h Arc<Host>) -> Result<&'h Url> {
        host.base.get_or_try_init(|| self.ping(host, self.patience)).await
    }

    /// The same for a place to pull from. Nobody waits for a mirror that does not answer: it is asked once, and not again
    /// by this client.
    pub(super) async fn reach_place<'h>(&self, at: &'h Endpoint) -> Result<&'h Url> {
        let host = &at.host;
        if !at.mirror {
            return self.reach(host).await;
        }
        let once = async || {
            if let Some(problem) = host.silent.get() {
                let action = format!("reach the registry {}", host.name);
                return Err(RegistryError::Transport { action, problem: problem.clone() });
            }
            let found = self.ping(host, Patience { attempts: 1, ..self.patience }).await;
            if let Err(RegistryError::Transport { problem, .. }) = &found {
                host.silent.get_or_init(|| problem.clone());
            }
            found
        };
        host.base.get_or_try_init(once).await
    }

    async fn ping(&self, host: &Arc<Host>, patience: Patience) -> Result<Url> {
        let roots = host.roots()?;
        let mut backoff = Backoff::new(patience);
        let action = format!("reach the registry {}", host.name);
        let (mut answered, mut refusals) = (false, 0);
        loop {
            let mut failure = None;
            let mut asked = None;
            let mut refused = false;
            for root in &roots {
                let request = tokio::time::timeout(patience.idle, host.web.get(root.clone()).send());
                match request.await {
                    Ok(Ok(response)) if retry::may_pass(response.status()) => {
                        asked = retry::retry_after(response.headers(), std::time::SystemTime::now());
                        answered = true;
                        let answer = Answer {
                            response,
                            action: action.clone(),
                            registry: host.name.clone(),
                            credential: NO_CREDENTIALS.into(),
                            _permit: None,
                        };
                        failure = Some(answer.into_error().await);
                        break;
                    }
                    Ok(Ok(response)) => {
                        if let Some(challenge) = Challenge::of(response.headers()) {
                            host.set_challenge(challenge);
                        }
                        return Ok(root.clone());
                    }
                    Ok(Err(error)) => {
                        refused |= is_refused(&error);
                        let error = broken(&action, error);
                        if matches!(
                            error,
                            RegistryError::Untrusted { .. } | RegistryError::UnknownHost { .. }
                        ) {
                            return Err(error);
                        }
                        // What TLS said is of more use than that plain HTTP failed too.
                        failure.get_or_insert(error);
                    }
                    Err(_) => {
                        let problem = format!("nothing came for {} s", patience.idle.as_secs());
                        failure.get_or_insert(RegistryError::Transport { action: action.clone(), problem });
                    }
                }
            }
            let Some(failure) = failure else {
                return Err(RegistryError::Settings(format!("the registry {} has no address", host.name)));
            };
            refusals += u32::from(refused);
            match backoff.next(asked) {
                Some(wait) if answered || refusals < REFUSALS => {
                    self.pause(None, failure.to_string(), wait).await;
                }
                _ => return Err(failure),
            }
        }
    }

    /// What to send along with a request for these scopes.
    pub(super) async fn authorization(&self, host: &Arc<Host>, scopes: &Scopes) -> Result<Authorization> {
        self.reach(host).await?;
        let nothing = Authorization { header: None, source: NO_CREDENTIALS.to_owned() };
        let Some(challenge) = host.challenge() else { return Ok(nothing) };
        let found = self.credential(host, scopes).await?;
        let source = found.source.clone();
        let with = |text: String| Authorization { header: sensitive(&text), source: source.clone() };
        match (challenge, &found.credential) {
            (_, Credential::Bearer(token)) => Ok(with(format!("Bearer {}", token.expose()))),
            (Challenge::Basic, Credential::Password { username, password }) => {
                Ok(with(basic(username, password)))
            }
            (Challenge::Basic, Credential::Identity(token)) => Ok(with(basic("<token>", token))),
            (Challenge::Basic, Credential::Anonymous) => Ok(nothing),
            (Challenge::Bearer { realm, service, .. }, _) => {
                let key = scopes.key();
                let slot = lock(&host.slots).entry(key.clone()).or_default().clone();
                let mut token = slot.0.lock().await;
                if let Some(token) = token.as_ref().filter(|token| token.stale > Instant::now()) {
                    return Ok(token.authorization.clone());
                }
                let mut texts = scopes.texts();
                texts.extend(lock(&host.extra_scopes).get(&key).cloned().unwrap_or_default());
                let server = TokenServer { host, realm: &realm, service: service.as_deref(), scopes: texts };
                let fresh = match self.fetch_token(&server, &found).await {
                    // A job's token may be for other repositories: what all may read is read without.
                    Err(RegistryError::Denied { .. }) if found.implicit && !scopes.writes() => {
                        self.fetch_token(&server, &Found::nothing()).await?
                    }
                    other => other?,
                };
                *token = Some(fresh.clone());
                Ok(fresh.authorization)
            }
        }
    }

    /// After a 401: takes in what the refusal says and forgets the token that was refused. Whether it is worth
    /// another try.
    pub(super) async fn renew(
        &self,
        host: &Arc<Host>,
        scopes: &Scopes,
        refusal: &HeaderMap,
        used: &Authorization,
    ) -> bool {
        let key = scopes.key();
        let mut news = false;
        if let Some(challenge) = Challenge::of(refusal) {
            news = host.challenge().is_none_or(|old| kind(&old) != kind(&challenge));
            if let Challenge::Bearer { scope: Some(scope), .. } = &challenge {
                let asked = scopes.texts();
                let extra = scope.split_ascii_whitespace().filter(|scope| !asked.contains(*scope));
                lock(&host.extra_scopes).entry(key.clone()).or_default().extend(extra.map(str::to_owned));
            }
            host.set_challenge(challenge);
        }
        host.found.lock().await.remove(&scopes.owner);
        self.forget_issued(host, used).await;
        if !matches!(host.challenge(), Some(Challenge::Bearer { .. })) {
            return news
                || self.authorization(host, scopes).await.is_ok_and(|fresh| fresh.header != used.header);
        }
        let slot = lock(&host.slots).get(&key).cloned();
        if let Some(slot) = slot {
            let mut token = slot.0.lock().await;
            // Somebody else may have renewed it in the meantime.
            if token.as_ref().is_some_and(|token| token.authorization.header == used.header) {
                *token = None;
            }
        }
        true
    }

    /// Gets a token: an identity token is exchanged by OAuth2's POST, with the older GET behind it; a password goes
    /// with the GET, which every token server knows.
    pub(super) async fn fetch_token(&self, server: &TokenServer<'_>, found: &Found) -> Result<Token> {
        let realm = server.realm()?;
        if let Credential::Identity(secret) = &found.credential {
            let answer = self.ask_token_server(server, &realm, Some(server.form(secret)), found).await?;
            // What token servers say that do not know the POST; 401 and 400 stand for that on some.
            if !matches!(answer.status().as_u16(), 400 | 401 | 404 | 405) {
                return read_token(answer, found).await;
            }
        }
        read_token(self.ask_token_server(server, &server.query(realm), None, found).await?, found).await
    }

    async fn ask_token_server(
        &self,
        server: &TokenServer<'_>,
        url: &Url,
        form: Option<String>,
        found: &Found,
    ) -> Result<Answer> {
        let action = format!("get a token for {} from {}", server.host.name, crate::error::public_url(url));
        let home = server.host.base.get().is_some_and(|base| base.host() == url.host());
        let web = if home { server.host.web.clone() } else { self.web_for(url)? };
        let patience = self.patience;
        let mut backoff = Backoff::new(patience);
        loop {
            let request = match (&form, &found.credential) {
                (Some(form), _) => web
                    .post(url.clone())
                    .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .body(form.clone()),
                (None, Credential::Password { username, password }) => {
                    web.get(url.clone()).header(AUTHORIZATION, basic(username, password))
                }
                (None, Credential::Identity(secret)) => {
                    web.get(url.clone()).header(AUTHORIZATION, basic("<token>", secret))
                }
                (None, _) => web.get(url.clone()),
            };
            let (reason, asked, result) = match tokio::time::timeout(patience.idle, request.send()).await {
                Ok(Ok(response)) => {
                    let status = response.status();
                    let asked = retry::retry_after(response.headers(), std::time::SystemTime::now());
                    let answer = Answer {
                        response,
                        action: action.clone(),
                        registry: server.host.name.clone(),
                        credential: found.source.clone(),
                        _permit: None,
                    };
                    if !retry::may_pass(status) {
                        return Ok(answer);
                    }
                    (format!("{action}: {}", answer::words(status)), asked, Ok(answer))
                }
                Ok(Err(error)) => match broken(&action, error) {
                    error @ RegistryError::Transport { .. } => (error.to_string(), None, Err(error)),
                    error => return Err(error),
                },
                Err(_) => {
                    let problem = format!("nothing came for {} s", patience.idle.as_secs());
                    let error = RegistryError::Transport { action: action.clone(), problem };
                    (error.to_string(), None, Err(error))
                }
            };
            match backoff.next(asked) {
                Some(wait) => self.pause(None, reason, wait).await,
                None => return result,
            }
        }
    }
}

/// Whom to ask for a token, and for what.
#[derive(Debug)]
pub(super) struct TokenServer<'a> {
    pub(super) host: &'a Arc<Host>,
    pub(super) realm: &'a str,
    pub(super) service: Option<&'a str>,
    pub(super) scopes: BTreeSet<String>,
}

impl TokenServer<'_> {
    /// The realm, if a password may go there.
    fn realm(&self) -> Result<Url> {
        let action = || format!("get a token for {}", self.host.name);
        let base = self.host.base.get();
        let protocol = |problem| RegistryError::Protocol { action: action(), problem };
        let from = base.ok_or_else(|| protocol("the registry was not reached".to_owned()))?;
        location::resolve(from, self.realm, self.host.insecure)
            .map_err(|problem| protocol(format!("its token server is not asked: {problem}")))
    }

    fn query(&self, mut realm: Url) -> Url {
        {
            let mut query = realm.query_pairs_mut();
            if let Some(service) = self.service {
                query.append_pair("service", service);
            }
            for scope in &self.scopes {
                query.append_pair("scope", scope);
            }
            query.append_pair("client_id", "imgbuild");
        }
        realm
    }

    fn form(&self, refresh_token: &Secret) -> String {
        let scopes: Vec<_> = self.scopes.iter().map(String::as_str).collect();
        form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "refresh_token")
            .append_pair("service", self.service.unwrap_or_default())
            .append_pair("scope", &scopes.join(" "))
            .append_pair("client_id", "imgbuild")
            .append_pair("refresh_token", refresh_token.expose())
            .finish()
    }
}

async fn read_token(answer: Answer, found: &Found) -> Result<Token> {
    if answer.status() != StatusCode::OK {
        return Err(answer.into_error().await);
    }
    let broken = answer.protocol("the token server's answer is not understood");
    let bytes = answer.bytes(1 << 20).await?;
    let Ok(parsed) = serde_json::from_slice::<TokenAnswer>(&bytes) else { return Err(broken) };
    let token = [parsed.token, parsed.access_token].into_iter().flatten().find(|token| !token.is_empty());
    let header = token.and_then(|token| sensitive(&format!("Bearer {token}")));
    let Some(header) = header else { return Err(broken) };
    let life = parsed.expires_in.filter(|life| *life >= 1.0).map_or(DEFAULT_LIFE, |life| life as u64);
    // Used until shortly before it ends, so that a request under way does not meet the end.
    let life = Duration::from_secs(life.min(24 * 3600));
    let stale = Instant::now() + life - (life / 4).min(Duration::from_secs(30));
    Ok(Token { authorization: Authorization { header: Some(header), source: found.source.clone() }, stale })
}

fn kind(challenge: &Challenge) -> Option<(&str, Option<&str>)> {
    match challenge {
        Challenge::Basic => None,
        Challenge::Bearer { realm, service, .. } => Some((realm, service.as_deref())),
    }
}

fn basic(username: &str, password: &Secret) -> String {
    format!("Basic {}", STANDARD.encode(format!("{username}:{}", password.expose())))
}

/// A header that is never printed.
fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
