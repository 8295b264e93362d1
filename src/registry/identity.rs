//! As whom we come to a registry.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    AwsError, Client, Credential, Ecr, Found, RegistryError, Result,
    aws::Reach,
    ecr::Issued,
    host::Host,
    token::{Authorization, Scopes},
};

impl Client {
    /// What is set up for the repository; else, for ECR, what AWS issues.
    pub(super) async fn credential(&self, host: &Arc<Host>, scopes: &Scopes) -> Result<Found> {
        let found = self.set_up(host, &scopes.owner).await?;
        match &host.ecr {
            Some(ecr) if found.credential == Credential::Anonymous => {
                self.issued(host, ecr, scopes.writes()).await
            }
            _ => Ok(found),
        }
    }

    /// The password of ECR: the one that there is, or a new one if it ends soon.
    async fn issued(&self, host: &Arc<Host>, ecr: &Ecr, writes: bool) -> Result<Found> {
        let mut kept = host.issued.lock().await;
        let fits = |issued: &&Issued| {
            issued.stale > Instant::now() && !(writes && issued.found.credential == Credential::Anonymous)
        };
        if let Some(issued) = kept.as_ref().filter(fits) {
            return Ok(issued.found.clone());
        }
        // Everybody may read the public one. Who has a key is let read more.
        let optional = *ecr == Ecr::Public && !writes;
        let reach = if optional { Reach::SetUp } else { Reach::Machine };
        let issued = match self.issue(&host.name, ecr, reach).await {
            Err(RegistryError::Aws(error)) if optional => {
                if !matches!(*error, AwsError::Nothing { .. }) {
                    self.warn_once(format!("reading {} without a password: {error}", host.name));
                }
                Issued::new(Found::nothing(), Duration::from_secs(300))
            }
            other => other?,
        };
        *kept = Some(issued.clone());
        Ok(issued.found)
    }

    /// After a 403: whether it may be for a password that has ended before its time, for which ECR has no other word. A
    /// new one is then worth a try.
    pub(super) async fn may_have_ended(&self, host: &Arc<Host>, used: &Authorization) -> bool {
        let old = |issued: &Issued| issued.since.elapsed() > Duration::from_secs(300);
        let is_old = host.ecr.is_some() && host.issued.lock().await.as_ref().is_some_and(old);
        if is_old {
            self.forget_issued(host, used).await;
        }
        is_old
    }

    /// Forgets the password that a request was refused with, unless there is another one already.
    pub(super) async fn forget_issued(&self, host: &Arc<Host>, used: &Authorization) {
        let mut kept = host.issued.lock().await;
        let is_used = |issued: &Issued| match &issued.found.credential {
            Credential::Password { username, password } => {
                Authorization::basic(username, password, "").header == used.header
            }
            _ => false,
        };
        if kept.as_ref().is_some_and(is_used) {
            *kept = None;
        }
    }

    async fn set_up(&self, host: &Arc<Host>, path: &str) -> Result<Found> {
        let mut cache = host.found.lock().await;
        if let Some(found) = cache.get(path) {
            return Ok(found.clone());
        }
        let found = self.inner.settings.credentials.find(&host.name, path).await?;
        for warning in &found.warnings {
            self.warn_once(warning.clone());
        }
        if found.implicit {
            self.note_once(format!("using {} for {}", found.source, host.name));
        }
        cache.insert(path.to_owned(), found.clone());
        Ok(found)
    }
}
